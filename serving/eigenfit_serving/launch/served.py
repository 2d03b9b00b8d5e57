"""Starts a server for models, waits until it is ready, and stops it.

Exception
+-- ValueError
|   +-- InputError      nothing was started: wrong path, port, kind, ...
+-- RuntimeError
    +-- StartError      the server ended, or did not become ready
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from eigenfit_serving.launch.kinds import Command, address_of, choose
from eigenfit_serving.launch.options import LOCAL, LaunchOptions
from eigenfit_serving.launch.ready import Prober
from eigenfit_serving.model_folders import find_models

__all__ = ["LaunchOptions", "Served", "StartError", "serve"]


class StartError(RuntimeError):
    """The server ended or did not become ready; the text says why, if known."""


def serve(
    path: str | os.PathLike[str],
    *,
    kind: str = "auto",
    host: str = LOCAL,
    port: int = 8500,
    rest_port: int = 8501,
    model_name: str | None = None,
    batching: str | os.PathLike[str] | bool = False,
    monitoring: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
    tls_ca: str | os.PathLike[str] | None = None,
    api_key_file: str | os.PathLike[str] | None = None,
    image: str = "tensorflow/serving",
    flags: Iterable[str] = (),
    timeout: float | None = 300.0,
    log: Callable[[str], None] | None = None,
) -> Served:
    """Serves models with TensorFlow Serving or with eigenfit's own server.

    Args:
        path: A model (a folder with version folders), one version, a folder of models,
            or a `models.config`.
        kind: `binary` (tensorflow_model_server on the PATH), `docker` (its image),
            `embedded` (our server, which speaks the same protocol), or `auto`: the
            first of these that is available.
        host: Address to listen on; `0.0.0.0` for all. A binary listens on all anyway.
        port: Port for gRPC; 0 for a free one.
        rest_port: Port for REST; 0 for a free one.
        model_name: Name of the model; by default that of its folder.
        batching: A file of batching parameters, or True for the defaults; no effect on
            our server.
        monitoring: A file of monitoring parameters, which switches metrics on.
        tls_cert: Server certificate in PEM; needs `tls_key`. TensorFlow Serving
            encrypts gRPC only, our server REST as well.
        tls_key: Private key of `tls_cert`.
        tls_ca: CA certificates that must have signed those of clients.
        api_key_file: A file with the key that callers must send; our server only.
        image: Image for the kind `docker`.
        flags: Further flags of tensorflow_model_server, such as
            `--file_system_poll_wait_seconds=5`.
        timeout: Seconds to wait until all models are available; None to return at
            once and call `wait_ready` later.
        log: Called with each line that the server writes once it is ready.

    Returns:
        The running server; stop it, or use it as a context manager.

    Raises:
        InputError: If there is nothing to serve, a port is in use, or that kind of
            server is not available.
        StartError: If the server ended or did not become ready; it is then stopped.

    Example:
        >>> with serve("models/chain", port=0, rest_port=0) as server:  # doctest: +SKIP
        ...     print(server.kind, server.grpc_url)
        embedded grpc://127.0.0.1:34157
    """

    def as_path(value: Any) -> Any:
        return value if value is None or isinstance(value, bool) else Path(value)

    models = find_models(Path(path), model_name)
    options = LaunchOptions(
        host=host,
        port=port,
        rest_port=rest_port,
        batching=as_path(batching),
        monitoring=as_path(monitoring),
        tls_cert=as_path(tls_cert),
        tls_key=as_path(tls_key),
        tls_ca=as_path(tls_ca),
        api_key_file=as_path(api_key_file),
        image=image,
        extra=tuple(flags),
    ).checked()
    scratch = tempfile.TemporaryDirectory(prefix="eigenfit-serve-")
    try:
        command = choose(kind, models, options, Path(scratch.name))
        names = [model.name for model in models.models]
        server = Served(command, options, names, scratch, log)
    except BaseException:
        scratch.cleanup()
        raise
    if timeout is not None:
        try:
            server.wait_ready(timeout)
        except BaseException:
            server.stop(timeout=5.0)
            raise
    return server


class Served:
    """A running server, stopped at the end of a `with`, or with this process.

    Attributes:
        kind: `embedded`, `binary` or `docker`.
        about: Description of the server, for users.
        models: Names of the models.
        port: Port for gRPC.
        rest_port: Port for REST.
        grpc_url: URL for `Client`.
        rest_url: URL for `Client`, browsers and curl.
    """

    def __init__(
        self,
        command: Command,
        options: LaunchOptions,
        models: list[str],
        scratch: tempfile.TemporaryDirectory[str],
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.kind, self.about = command.kind, command.about
        self.models = models
        self.port, self.rest_port = options.port, options.rest_port
        tls = options.tls_cert is not None
        rest_tls = tls and command.kind == "embedded"
        address = address_of(options.host)
        self.grpc_url = f"grpc{'s' * tls}://{address}:{self.port}"
        self.rest_url = f"http{'s' * rest_tls}://{address}:{self.rest_port}"
        self._stop_command = command.stop
        self._scratch = scratch
        self._prober = Prober(self.rest_url, models, options.api_key_file)
        self._log = log
        self._tail: collections.deque[str] = collections.deque(maxlen=50)
        self._is_ready = threading.Event()
        # Our server announces that it is ready: without a certificate one cannot ask.
        self._announces = command.kind == "embedded" and options.tls_ca is not None
        self._announced = threading.Event()
        try:
            self._process = subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                # Ctrl-C reaches only us; the server is stopped once, through `stop`.
                start_new_session=True,
            )
        except OSError as error:
            raise StartError(
                f"{command.arguments[0]} cannot be started: {error.strerror or error}."
            ) from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.stop)

    def __repr__(self) -> str:
        return (
            f"Served(kind={self.kind!r}, models={self.models!r}, "
            f"grpc_url={self.grpc_url!r}, rest_url={self.rest_url!r})"
        )

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Id of the process that was started."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process; None while it runs."""
        return self._process.poll()

    def wait_ready(
        self, timeout: float = 300.0, tell: Callable[[str], None] | None = None
    ) -> None:
        """Waits until every model has an available version.

        Args:
            timeout: Seconds to wait.
            tell: Called with each change meanwhile, such as "model a is LOADING".

        Raises:
            StartError: If the server ends before that, a model cannot be loaded, or
                it takes longer than `timeout` seconds.
        """
        end = time.monotonic() + timeout
        while True:
            if self._process.poll() is not None:
                self._reader.join(5.0)
                raise StartError(
                    f"The server ended with code {self._process.returncode}"
                    f"{self._last_words()}"
                )
            is_served = self._is_served()
            while self._prober.news:
                news = self._prober.news.pop(0)
                if tell is not None:
                    tell(news)
            if is_served:
                self._is_ready.set()
                return
            if time.monotonic() > end:
                raise StartError(
                    f"Not ready after {timeout:g} s: {self._prober.describe()}"
                    f"{self._last_words()}"
                )
            time.sleep(0.05)

    def _is_served(self) -> bool:
        if self._announces:
            return self._announced.is_set()
        failed = self._prober.failure()
        if failed is not None:
            raise StartError(failed)
        return not self._prober.waiting

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits until the server has ended.

        Returns:
            Its exit code; None if it still runs after `timeout` seconds.
        """
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout: float = 60.0) -> int:
        """Tells the server to finish its running requests and to end.

        Args:
            timeout: Seconds after which it is killed.

        Returns:
            Its exit code.
        """
        atexit.unregister(self.stop)
        process = self._process
        if process.poll() is None:
            if self._stop_command:
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    subprocess.run(
                        self._stop_command, capture_output=True, timeout=timeout
                    )
            process.terminate()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._kill()
            except BaseException:  # a second Ctrl-C
                self._kill()
                raise
        self._reader.join(5.0)
        if process.stdout is not None and not self._reader.is_alive():
            process.stdout.close()
        self._scratch.cleanup()
        return process.returncode

    def last_lines(self) -> list[str]:
        """Lists the last lines that the server wrote."""
        return list(self._tail)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, 9)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            line = line.rstrip("\n")
            self._tail.append(line)
            if line.startswith('{"event": "ready"'):
                self._announced.set()
            if self._log is not None and self._is_ready.is_set():
                # Ignore its errors and read on: a full pipe would block the server.
                with contextlib.suppress(Exception):
                    self._log(line)

    def _last_words(self) -> str:
        lines = [line.strip() for line in self._tail if line.strip()]
        return f": {lines[-1]}" if lines else "."
