"""The options for starting a server of any kind."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field, replace
from pathlib import Path

from eigenfit_serving.errors import InputError
from eigenfit_serving.model_folders import quoted

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class LaunchOptions:
    """The options that the kinds of servers share.

    Attributes:
        host: Address to listen on.
        port: Port for gRPC; 0 for a free one.
        rest_port: Port for REST; 0 for a free one.
        batching: File of batching parameters; True for TensorFlow Serving's defaults.
            No effect on the embedded server.
        monitoring: File of monitoring parameters, which switches metrics on.
        tls_cert: Server certificate in PEM; needs `tls_key`.
        tls_key: Private key of `tls_cert`.
        tls_ca: CA certificates that must have signed those of clients.
        api_key_file: File with the key that callers must send; embedded server only.
        image: Image for the kind `docker`.
        extra: Further flags, after all others.
    """

    host: str = LOCAL
    port: int = 8500
    rest_port: int = 8501
    batching: Path | bool = False
    monitoring: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    api_key_file: Path | None = field(default=None, repr=False)
    image: str = "tensorflow/serving"
    extra: tuple[str, ...] = ()

    @property
    def is_embedded_only(self) -> str | None:
        """The option given that only the embedded server has; None for none."""
        return "--api-key-file" if self.api_key_file is not None else None

    def checked(self) -> LaunchOptions:
        """Checks files and ports, and replaces ports 0 by free ones.

        Raises:
            InputError: If a file cannot be read or a port is taken.
        """
        for option, path in self._files():
            _check_readable(option, path)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError("--tls-cert and --tls-key: give both or none.")
        if self.tls_ca is not None and self.tls_cert is None:
            raise InputError("--tls-ca: needs --tls-cert and --tls-key.")
        port = _port("--port", self.host, self.port)
        rest = _port("--rest-port", self.host, self.rest_port)
        if port == rest:
            raise InputError(f"--rest-port = {rest}: is that of gRPC. Choose another.")
        return replace(self, port=port, rest_port=rest)

    def common_flags(self, scratch: Path) -> list[str]:
        """Writes the flags that tensorflow_model_server and our server share."""
        flags = []
        if self.batching:
            flags.append("--enable_batching=true")
            if self.batching is not True:
                flags.append(f"--batching_parameters_file={self.batching.resolve()}")
        if self.monitoring is not None:
            flags.append(f"--monitoring_config_file={self.monitoring.resolve()}")
        if self.tls_cert is not None:
            flags.append(f"--ssl_config_file={self._ssl_config(scratch)}")
        return flags

    def folders(self) -> list[Path]:
        """Lists the folders that the server must be able to read."""
        files = [path for _, path in self._files()]
        return [path.resolve().parent for path in files]

    def _files(self) -> list[tuple[str, Path]]:
        named = [
            ("--batching", self.batching if isinstance(self.batching, Path) else None),
            ("--monitoring", self.monitoring),
            ("--tls-cert", self.tls_cert),
            ("--tls-key", self.tls_key),
            ("--tls-ca", self.tls_ca),
            ("--api-key-file", self.api_key_file),
        ]
        return [(option, path) for option, path in named if path is not None]

    def _ssl_config(self, scratch: Path) -> Path:
        assert self.tls_cert is not None
        assert self.tls_key is not None
        lines = [
            f"server_key: {quoted(self.tls_key.read_text())}",
            f"server_cert: {quoted(self.tls_cert.read_text())}",
            f"client_verify: {'true' if self.tls_ca else 'false'}",
        ]
        if self.tls_ca is not None:
            lines.append(f"custom_ca: {quoted(self.tls_ca.read_text())}")
        file = scratch / "ssl.config"
        file.touch(mode=0o600)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file


def _check_readable(option: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise InputError(
            f"{option} = {path}: cannot be read ({error.strerror or error}). Give the "
            f"path of a file."
        ) from None


def _port(option: str, host: str, port: int) -> int:
    if not 0 <= port <= 65535:
        raise InputError(f"{option} = {port}: must be from 0 to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise InputError(
                    f"--host = {host}: is no address of this machine. Give 127.0.0.1 "
                    f"for this machine only, 0.0.0.0 for all of its addresses."
                ) from None
            reason = (
                "is in use"
                if error.errno == errno.EADDRINUSE
                else (error.strerror or error)
            )
            raise InputError(
                f"{option} = {port}: {reason} on {host}. Choose another port, or 0 "
                f"for any that is free."
            ) from None
        return probe.getsockname()[1]
