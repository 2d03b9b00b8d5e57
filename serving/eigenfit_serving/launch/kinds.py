"""The kinds of servers: how each is found and started."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from eigenfit_serving.errors import InputError
from eigenfit_serving.launch.module_command import module_command
from eigenfit_serving.launch.options import LOCAL, LaunchOptions
from eigenfit_serving.model_folders import Models

KINDS = ("auto", "embedded", "binary", "docker")

BINARY = "tensorflow_model_server"

_EMBEDDED_NEEDS = {
    "grpc": "grpcio",
    "grpc_reflection": "grpcio-reflection",
    "httptools": "httptools",
    "prometheus_client": "prometheus-client",
}


@dataclass(frozen=True)
class Command:
    """The command that starts a server.

    Attributes:
        kind: `embedded`, `binary` or `docker`.
        arguments: Program and arguments.
        about: Description of the server, for users.
        stop: Command to run before the process is told to end; empty for none.
    """

    kind: str
    arguments: tuple[str, ...]
    about: str
    stop: tuple[str, ...] = ()


def choose(kind: str, models: Models, options: LaunchOptions, scratch: Path) -> Command:
    """Chooses a kind of server and returns the command that starts it.

    Args:
        kind: One of `KINDS`; `auto` takes the first that is available:
            tensorflow_model_server on the PATH, its container, our own server.
        models: Models to serve.
        options: Ports and the rest.
        scratch: Folder that lives as long as the server.

    Raises:
        InputError: If that kind is not available here.
    """
    if kind not in KINDS:
        raise InputError(f"--kind = {kind!r}: must be one of {', '.join(KINDS)}.")
    own = options.is_embedded_only
    if own is not None and kind in ("binary", "docker"):
        raise InputError(
            f"{own}: TensorFlow Serving knows no such thing. Use --kind embedded."
        )
    flags = models.flags(scratch) + options.common_flags(scratch)
    if kind == "embedded" or own is not None:
        command = _embedded(flags, options)
        if kind == "auto":
            reason = f"; chosen because TensorFlow Serving knows no {own}"
            command = replace(command, about=command.about + reason)
        return command
    if kind == "binary":
        return _binary(_found_binary(), flags, options)
    if kind == "docker":
        _check_docker(options.image)
        return _docker(flags, models, options, scratch)
    with contextlib.suppress(InputError):
        return _binary(_found_binary(), flags, options)
    with contextlib.suppress(InputError):
        _check_docker(options.image)
        return _docker(flags, models, options, scratch)
    return _embedded(flags, options)


def _embedded(flags: list[str], options: LaunchOptions) -> Command:
    missing = [
        package
        for module, package in _EMBEDDED_NEEDS.items()
        if importlib.util.find_spec(module) is None
    ]
    if missing:
        raise InputError(
            f"--kind embedded: needs {', '.join(missing)}. Install what is missing: "
            f'pip install "eigenfit[serving]"'
        )
    own = [
        f"--host={options.host}",
        f"--port={options.port}",
        f"--rest_api_port={options.rest_port}",
        # Report failures at once to whoever waits; new files are tried anyway.
        "--max_num_load_retries=0",
        *flags,
    ]
    if options.tls_cert is not None:
        own += [
            flag.replace("--ssl_config_file", "--rest_ssl_config_file")
            for flag in flags
            if flag.startswith("--ssl_config_file")
        ]
    if options.api_key_file is not None:
        own.append(f"--api_key_file={options.api_key_file.resolve()}")
    program = module_command("eigenfit_serving.server")
    about = "eigenfit's own server, which speaks the protocol of TensorFlow Serving"
    return Command("embedded", (*program, *own, *options.extra), about)


def _found_binary() -> tuple[str, str]:
    found = shutil.which(BINARY)
    if found is None:
        raise InputError(
            f"--kind binary: {BINARY} is not on the PATH. Install it, or use --kind "
            f"embedded."
        )
    code, output = _answer(found, "--version")
    if code:
        raise InputError(
            f"--kind binary: {found} --version ends with code {code}: "
            f"{_last_line(output)} Repair it, or use --kind embedded."
        )
    return found, _last_line(output, first=True)


def _binary(
    found: tuple[str, str], flags: list[str], options: LaunchOptions
) -> Command:
    program, version = found
    # It listens on all addresses: there is no flag to choose one.
    arguments = (
        program,
        f"--port={options.port}",
        f"--rest_api_port={options.rest_port}",
        *flags,
        "--xla_cpu_compilation_enabled=true",
        *options.extra,
    )
    about = f"{version or BINARY} ({program}), listening on all addresses"
    return Command("binary", arguments, about)


def _check_docker(image: str) -> None:
    engine = shutil.which("docker")
    if engine is None:
        raise InputError(
            "--kind docker: docker is not on the PATH. Install it, or use --kind "
            "embedded."
        )
    # Having the client proves nothing: the engine may be absent.
    code, output = _answer(engine, "info")
    if code:
        raise InputError(
            f"--kind docker: no container engine answers: {_last_line(output)} Start "
            f"one, or use --kind embedded."
        )
    code, _ = _answer(engine, "image", "inspect", image)
    if code:
        raise InputError(
            f"--kind docker: the image {image} is not here. Fetch it: docker pull "
            f"{image}"
        )


def _docker(
    flags: list[str], models: Models, options: LaunchOptions, scratch: Path
) -> Command:
    name = f"eigenfit-{os.getpid()}-{options.port}"
    folders = _distinct([*models.folders(), *options.folders(), scratch])
    arguments = [
        "docker",
        "run",
        "--rm",
        "--init",  # the entry point of the image ignores SIGTERM as process 1
        f"--name={name}",
        f"--publish={options.host}:{options.port}:8500",
        f"--publish={options.host}:{options.rest_port}:8501",
        # The same paths inside as outside, so that a models.config is valid in both.
        *(f"--volume={folder}:{folder}:ro" for folder in folders),
        options.image,
        *flags,
        "--xla_cpu_compilation_enabled=true",
        *options.extra,
    ]
    return Command(
        "docker",
        tuple(arguments),
        f"TensorFlow Serving in the container {name} ({options.image})",
        ("docker", "stop", name),
    )


def _distinct(folders: Iterable[Path]) -> list[Path]:
    found = list(dict.fromkeys(folder.resolve() for folder in folders))
    return [x for x in found if not any(other in x.parents for other in found)]


def _answer(*command: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=30,
        )
    except OSError as error:
        return 127, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return 124, "it does not answer within 30 s."
    return done.returncode, done.stdout


def _last_line(text: str, first: bool = False) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if first else lines[-1]) if lines else ""


def address_of(host: str) -> str:
    """Returns the local address of a server that listens on `host`.

    Example:
        >>> address_of("0.0.0.0"), address_of("::1")
        ('127.0.0.1', '[::1]')
    """
    if host in ("0.0.0.0", "::", ""):
        return LOCAL
    return f"[{host}]" if ":" in host else host
