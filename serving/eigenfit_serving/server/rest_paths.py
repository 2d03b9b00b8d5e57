"""Which resource a method and a path name."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from eigenfit_serving.server.interfaces import ModelSpec
from eigenfit_serving.server.status import Code, ServingError, invalid, not_served

_VERSION = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_FLAGS = re.IGNORECASE | re.ASCII
_RUN = re.compile(rf"/v1/models/([^/:]+){_VERSION}:(classify|regress|predict)", _FLAGS)
_LOOK = re.compile(rf"/v1/models(?:/([^/:]+))?{_VERSION}(?:/(metadata))?", _FLAGS)
_API = re.compile(r"/v1/.*", _FLAGS)

_LARGEST_VERSION = 2**63 - 1


class Action(enum.Enum):
    """What is done with a model."""

    PREDICT = "predict"
    STATUS = "status"
    METADATA = "metadata"
    LIST = "list"


@dataclass(frozen=True)
class Route:
    """A request that makes sense.

    Attributes:
        action: What to do.
        spec: With which model; its name is empty for `LIST`.
    """

    action: Action
    spec: ModelSpec


def is_api(target: str) -> bool:
    """Tells whether a path is one of the protocol's, however malformed.

    Example:
        >>> is_api("/V1/nothing"), is_api("/v2/models")
        (True, False)
    """
    return _API.fullmatch(target) is not None


def route(method: str, target: str) -> Route:
    """Finds what is asked for.

    Args:
        method: In upper case.
        target: Path and, if there is one, `?` and the query, as they were sent.

    Raises:
        ServingError: INVALID_ARGUMENT, with TensorFlow Serving's texts; UNIMPLEMENTED
            for classify and regress.

    Example:
        >>> found = route("POST", "/v1/models/a%20b/versions/3:predict")
        >>> found.action.value, found.spec.name, found.spec.version
        ('predict', 'a b', 3)
    """
    match = None
    if method == "POST":
        match = _RUN.fullmatch(target)
    elif method == "GET":
        match = _LOOK.fullmatch(target)
    # The real one compares the last word with its case, after matching without.
    if match is None or (method == "POST" and not match[4].islower()):
        raise invalid(f"Malformed request: {method} {target}")
    name, version, label, last = match.groups()
    # Python refuses to convert thousands of digits.
    digits = (version or "").lstrip("0")
    if len(digits) > 19 or int(digits or 0) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits[:64]} to numeric.")
    spec = ModelSpec(
        name=_decoded(name or ""),
        version=None if version is None else int(digits or 0),
        label=None if label is None else _decoded(label),
    )
    if method == "POST":
        if last != Action.PREDICT.value:
            raise ServingError(Code.UNIMPLEMENTED, not_served(f"`{last}`"))
        return Route(Action.PREDICT, spec)
    if not spec.name and target.lower() == "/v1/models":
        return Route(Action.LIST, spec)
    if not spec.name:
        raise invalid("Missing model name in request.")
    return Route(Action.METADATA if last == "metadata" else Action.STATUS, spec)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")
