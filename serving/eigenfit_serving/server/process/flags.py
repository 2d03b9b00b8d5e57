"""The command line: the flags of tensorflow_model_server, and more."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from eigenfit_serving.server.options import FIRST_OF_OURS, WITHOUT_EFFECT, Options

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Options)}

_NEGATED = {
    f"{no}{name}": name
    for name, default in _DEFAULTS.items()
    for no in ("no-", "no_", "no")
    if isinstance(default, bool)
}


class FlagError(ValueError):
    """A flag whose value cannot be read; the text says which."""


@dataclass(frozen=True)
class Command:
    """What the command line asks for.

    Attributes:
        options: All settings.
        given: Names of the flags that were given.
        action: `help` or `version`, or empty to serve.
        unknown: Arguments that are not known.
        idle: Names of flags given that have no effect here.
    """

    options: Options
    given: frozenset[str] = frozenset()
    action: str = ""
    unknown: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()

    @property
    def has_rest(self) -> bool:
        """Whether REST is offered."""
        return bool(self.options.rest_api_port) or (
            self.options.free_ports and "rest_api_port" in self.given
        )

    @property
    def has_tcp(self) -> bool:
        """Whether gRPC has a port."""
        return bool(self.options.port) or self.options.free_ports

    def warnings(self) -> list[str]:
        """Lists warnings about arguments that are unknown or have no effect."""
        found = [f"unknown argument: {argument}" for argument in self.unknown]
        if self.idle:
            reasons = [f"--{name} ({WITHOUT_EFFECT[name]})" for name in self.idle]
            found.append(f"Without effect here: {', '.join(reasons)}.")
        return found


def parse_flags(arguments: Sequence[str]) -> Command:
    """Reads `--flag=value`, `--flag value`, `--flag`, `--noflag` and `--no-flag`.

    Raises:
        FlagError: If a value is missing or cannot be read.

    Example:
        >>> command = parse_flags(["--port=9000", "--access_log", "--what=1"])
        >>> command.options.port, command.options.access_log, command.unknown
        (9000, True, ('--what=1',))
    """
    settings: dict[str, Any] = {}
    unknown, idle, action = [], [], ""
    left = list(arguments)
    while left:
        argument = left.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument in ("-h", "--help", "--version"):
            action = action or name.replace("-h", "help")
        elif not argument.startswith("--"):
            unknown.append(argument)
        elif name in _DEFAULTS:
            settings[name] = _read(name, value if equals else _next_value(name, left))
        elif not equals and name in _NEGATED:
            settings[_NEGATED[name]] = False
        elif name in WITHOUT_EFFECT:
            if not equals and left and not left[0].startswith("-"):
                left.pop(0)
            idle.append(name)
        else:
            unknown.append(argument)
    options, without_effect = Options(**settings), tuple(dict.fromkeys(idle))
    given = frozenset(settings)
    return Command(options, given, action, tuple(unknown), without_effect)


def help_text() -> str:
    """Writes what `--help` prints."""
    lines = [
        "usage: python -m eigenfit_serving.server [--flag=value ...]",
        "",
        "Serves SavedModels over gRPC and REST, as tensorflow_model_server does.",
        "",
        "For example:",
        "  python -m eigenfit_serving.server --port=8500 --rest_api_port=8501 \\",
        "      --model_name=identity --model_base_path=/models/identity",
    ]
    title = "Flags of tensorflow_model_server"
    for flag in fields(Options):
        if flag.name in ("port", FIRST_OF_OURS):
            lines += ["", f"{title}:"]
            title = "Flags of this server"
        shown = str(flag.default)
        shown = f" [{shown.lower() if shown in ('True', 'False') else shown}]"
        text = flag.metadata["text"] + shown * (flag.default != "")
        lines.append(f"  --{flag.name}\n        {text}")
    lines += ["", "Understood, but without effect:"]
    lines += [f"  --{name}" for name in WITHOUT_EFFECT]
    lines += ["", "  --version", "  --help"]
    return "\n".join(lines)


def version_text() -> str:
    """Writes what `--version` prints, without importing TensorFlow."""
    return (
        f"eigenfit ModelServer: {_version_of('eigenfit')}\n"
        f"TensorFlow Library: {_version_of('tensorflow', 'tensorflow-cpu')}"
    )


def _version_of(*packages: str) -> str:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def _next_value(name: str, left: list[str]) -> str:
    is_bool = isinstance(_DEFAULTS[name], bool)
    follows = bool(left) and not left[0].startswith("--")
    if follows and (not is_bool or left[0].lower() in _TRUE + _FALSE):
        return left.pop(0)
    if is_bool:
        return "true"
    raise FlagError(f"--{name} needs a value, such as --{name}={_DEFAULTS[name]}.")


def _read(name: str, text: str) -> Any:
    kind = type(_DEFAULTS[name])
    fault = f"Couldn't interpret value {text} for flag {name}."
    if kind is bool and text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    if kind is str:
        return text
    try:
        value = {int: int, float: float}[kind](text)
    except (KeyError, ValueError):
        raise FlagError(fault) from None
    if value != value or (value < 0 and name != "file_system_poll_wait_seconds"):
        raise FlagError(fault)
    if name in ("port", "rest_api_port") and value > 65535:
        raise FlagError(f"{fault} Ports end at 65535.")
    return value
