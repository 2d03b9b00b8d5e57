"""Finds the resource that a method and a path name."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from eigenfit_serving.protocol.status import Code, ServingError, invalid, not_served
from eigenfit_serving.server.interfaces import ModelSpec
from eigenfit_serving.server.versions import parse_version

_VERSION = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_FLAGS = re.IGNORECASE | re.ASCII
_RUN = re.compile(rf"/v1/models/([^/:]+){_VERSION}:(classify|regress|predict)", _FLAGS)
_LOOK = re.compile(rf"/v1/models(?:/([^/:]+))?{_VERSION}(?:/(metadata))?", _FLAGS)
_API = re.compile(r"/v1/.*", _FLAGS)


class Route(NamedTuple):
    """What a valid request asks for.

    Attributes:
        action: `predict`, `status`, `metadata` or `list`.
        spec: Model and version; the name is empty for `list`.
    """

    action: str
    spec: ModelSpec


def is_api(target: str) -> bool:
    """Tells whether a path is one of the protocol's, however malformed.

    Example:
        >>> is_api("/V1/nothing"), is_api("/v2/models")
        (True, False)
    """
    return _API.fullmatch(target) is not None


def route(method: str, target: str) -> Route:
    """Finds what a request asks for.

    Args:
        method: Method in upper case.
        target: Path, and `?` with the query if there is one, as sent.

    Raises:
        ServingError: INVALID_ARGUMENT, with TensorFlow Serving's texts; UNIMPLEMENTED
            for classify and regress.

    Example:
        >>> found = route("POST", "/v1/models/a%20b/versions/3:predict")
        >>> found.action, found.spec.name, found.spec.version
        ('predict', 'a b', 3)
    """
    pattern = {"POST": _RUN, "GET": _LOOK}.get(method)
    match = pattern.fullmatch(target) if pattern is not None else None
    # TensorFlow Serving ignores case here, but then compares the last word with it.
    if match is None or (method == "POST" and not match[4].islower()):
        raise invalid(f"Malformed request: {method} {target}")
    name, version, label, last = match.groups()
    number = None if version is None else parse_version(version)
    if version is not None and number is None:
        raise invalid(f"Failed to convert version: {version[:64]} to numeric.")
    label = None if label is None else _decoded(label)
    spec = ModelSpec(_decoded(name or ""), number, label)
    if method == "POST":
        if last != "predict":
            raise ServingError(Code.UNIMPLEMENTED, not_served(f"`{last}`"))
        return Route("predict", spec)
    if spec.name:
        return Route("metadata" if last == "metadata" else "status", spec)
    if target.lower() == "/v1/models":
        return Route("list", spec)
    raise invalid("Missing model name in request.")


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")
