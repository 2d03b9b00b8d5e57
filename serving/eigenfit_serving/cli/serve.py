"""The command `eigenfit serve`: a server for exported models."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from eigenfit_serving.launch.served import Served

EPILOG = "Example:  eigenfit serve models/identity --monitoring monitoring.config"


def serve(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A model, one version of it, a folder of models, or a models.config.",
        ),
    ],
    flags: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- FLAGS]",
            help="More flags of tensorflow_model_server, after two dashes.",
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="binary (tensorflow_model_server on the PATH), docker (its image), "
            "embedded (eigenfit's own, same protocol), or auto: the first available.",
        ),
    ] = "auto",
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="INTEGER", help="Port for gRPC; 0 for a free one.")
    ] = 8500,
    rest_port: Annotated[
        int, typer.Option(metavar="INTEGER", help="Port for REST; 0 for a free one.")
    ] = 8501,
    model_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Model name; by default the folder's."),
    ] = None,
    batching: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Batching parameters of tensorflow_model_server."
        ),
    ] = None,
    monitoring: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Monitoring configuration, for metrics."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TLS certificate in PEM.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its private key in PEM.")
    ] = None,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CA certificates in PEM; one must have signed each client's.",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the key callers must send."),
    ] = None,
    image: Annotated[
        str, typer.Option(metavar="NAME", help="Image for --kind docker.")
    ] = "tensorflow/serving",
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Time limit for loading the models."),
    ] = 300.0,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            help="Show neither the start-up steps nor the log of the server.",
        ),
    ] = False,
) -> None:
    """Serve models to any client of TensorFlow Serving, over gRPC and REST.

    Starts a server, waits until all models are loaded, prints its address, and stops it
    at Ctrl-C or SIGTERM, once the requests in progress are answered. Exit code 0:
    stopped; 2: nothing could be started; 1: the server ended by itself.
    """
    from rich.console import Console

    from eigenfit_serving.errors import InputError
    from eigenfit_serving.launch import served as launch

    is_shown = threading.Event()

    def log(line: str) -> None:
        if is_shown.is_set() and not quiet:
            typer.echo(line, err=True)

    began = time.monotonic()

    def say(text: str) -> None:
        if not quiet:
            seconds = time.monotonic() - began
            typer.echo(f"{seconds:5.1f} s  {text}", err=True)

    with _stop_signals(), contextlib.suppress(_Stopped):
        server = launch.serve(
            path,
            kind=kind,
            host=host,
            port=port,
            rest_port=rest_port,
            model_name=model_name,
            batching=batching or False,
            monitoring=monitoring,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_ca=tls_ca,
            api_key_file=api_key_file,
            image=image,
            flags=flags or (),
            timeout=None,
            log=log,
        )
        with server:
            try:
                say(f"Starting {server.about}")
                server.wait_ready(timeout, say)
            except launch.StartError as error:
                raise InputError(str(error)) from None
            example = _example(server, path, api_key_file)
            print_served(server, time.monotonic() - began, example, Console())
            is_shown.set()
            code = server.wait()
            last = server.last_lines()[-1:] or [""]
            typer.echo(
                f"eigenfit: the server ended by itself with code {code}: {last[0]}",
                err=True,
            )
            raise typer.Exit(1)
    typer.echo("Stopped.")


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM."""


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    wanted = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_served(
    server: Served, seconds: float, example: str, console: Console
) -> None:
    """Prints which server runs, its addresses, and how to try it.

    Args:
        server: Server that has started.
        seconds: Seconds that the start took.
        example: Shell command that tries it.
        console: Console to print to.
    """
    from rich.text import Text

    names = ", ".join(server.models[:8]) + ", ..." * (len(server.models) > 8)
    where = f"gRPC {server.grpc_url}, REST {server.rest_url}"
    lines = [
        (f"Serving {names} by {server.kind}: {server.about}", ""),
        (f"Ready after {seconds:.1f} s: {where}", "bold"),
        (f"Try it: {example}", ""),
        ("Ctrl-C stops it.", "dim"),
    ]
    for line, style in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def _example(server: Served, path: Path, api_key_file: Path | None = None) -> str:
    """Writes a curl command: a fit if a model is eigenfit's, else its metadata."""
    from urllib.parse import quote

    sizes = {name: _sizes(path, name) for name in server.models}
    ours = [name for name, found in sizes.items() if found is not None]
    name = (ours or server.models)[0]
    url = f"{server.rest_url}/v1/models/{quote(name, safe='')}"
    curl = "curl" + " --insecure" * url.startswith("https")
    if api_key_file is not None:
        file = shlex.quote(str(api_key_file))
        curl += f" -H \"x-api-key: $(awk 'NF {{print $1; exit}}' {file})\""
    if (found := sizes[name]) is None:
        return f"{curl} {shlex.quote(url + '/metadata')}"
    row = {
        "initial": [round(0.1 * (k + 1), 1) for k in range(found[0])],
        "targets": [float(k + 1) for k in range(found[1])],
        "tolerance": 0.0,  # the default
        "max_steps": 1000,
    }
    body = shlex.quote(json.dumps({"instances": [row]}))
    return f"{curl} -d {body} {shlex.quote(url + ':predict')}"


def _sizes(path: Path, name: str) -> tuple[int, int] | None:
    from eigenfit_export.loading.manifest_reader import newest_version, read_manifest

    version = newest_version(path) or newest_version(path / name)
    if version is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        manifest = read_manifest(version)
        sizes = manifest["num_parameters"], manifest["num_targets"]
        if max(sizes) <= 10:
            return sizes
    return None
