"""Turns a validation error into lines: place, key, value, remedy."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from eigenfit_serving.errors import BadValue, BadValues, show

_MAX_LINES = 20


def explain(
    error: ValidationError,
    model: type[BaseModel],
    file: str,
    options: Collection[str] = (),
) -> list[str]:
    """Describes the errors of a validation.

    Args:
        error: Error of validating `model`.
        model: Model whose field descriptions say what a value must be.
        file: Name of the file, shown as the place.
        options: Keys that came from the command line, e.g. "fit.tolerance"; they are
            shown as options, "--tolerance".

    Returns:
        A line for each error; beyond 20 they are only counted.
    """
    lines = []
    for entry in error.errors(include_url=False):
        for key, has_value, value, text in _parts(entry, model):
            place = f"{file}: {key}"
            if key in options:
                place = "--" + key.rsplit(".", 1)[-1].replace("_", "-")
            shown = f" = {show(value)}" if has_value else ""
            lines.append(f"{place}{shown}: {text}")
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES:] = [f"{file}: {len(lines) - _MAX_LINES} more errors."]
    return lines


def _parts(error: Any, model: type[BaseModel]) -> list[tuple[str, bool, Any, str]]:
    """Returns the parts of each line of an error; see `_part`."""
    cause = error.get("ctx", {}).get("error")
    if not isinstance(cause, BadValues):
        return [_part(error, cause, model)]
    return [_part(error, each, model) for each in cause.errors]


def _part(error: Any, cause: Any, model: type[BaseModel]) -> tuple[str, bool, Any, str]:
    """Returns key, whether to show its value, the value, and the text."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    key, names, place = _locate(loc, model)
    if isinstance(cause, BadValue):
        return (key + cause.key).lstrip("."), cause.value is not None, *_said(cause)
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(names[-1], place.known, n=1)
        hint = (
            f'Did you mean "{close[0]}"?'
            if close
            else f"Known here: {', '.join(place.known) or 'none'}."
        )
        return key, False, None, f"is not a known key. {hint}"
    if kind.startswith("union_tag") and isinstance(value, dict):
        return _unknown_kind(key, value, list(_choices(place.annotation)))
    if kind in ("model_type", "model_attributes_type") or kind.startswith("union_tag"):
        inside = "." in key or "[" in key
        line = re.sub(r"\[\d+\]", "", key)
        line = f"[[{line}]]" if key.endswith("]") and inside else f"[{line}]"
        text = f"must be a table. Write its keys under a line {line}."
        return key, True, value, text
    if kind == "missing":
        wanted = f": {place.description}" if place.description else ""
        return key, False, None, f"is missing. Add it{wanted}."
    wanted = place.description
    text = f"must be {wanted}." if wanted else f"{error['msg']}."
    return key, True, value, text


def _said(cause: BadValue) -> tuple[Any, str]:
    return cause.value, str(cause)


def _unknown_kind(
    key: str, table: dict[str, Any], known: list[str]
) -> tuple[str, bool, Any, str]:
    given = table.get("kind")
    text = f"must be one of {', '.join(json.dumps(kind) for kind in known)}."
    if given is None:
        return f"{key}.kind", False, None, f"is missing. It {text}"
    close = difflib.get_close_matches(str(given), known, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f"{key}.kind", True, given, text + hint


class _Place:
    """Where a location of pydantic leads: an annotation and its description."""

    def __init__(self, annotation: Any, description: str | None = None) -> None:
        if typing.get_origin(annotation) is Annotated:
            for note in annotation.__metadata__:
                own = note.description if isinstance(note, FieldInfo) else None
                description = description or own
            annotation = annotation.__origin__
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            chosen = [x for x in typing.get_args(annotation) if x is not type(None)]
            if len(chosen) == 1:
                inner = _Place(chosen[0], description)
                annotation, description = inner.annotation, inner.description
        self.annotation = annotation
        self.description = description
        self.known: list[str] = []  # keys of the table it is in

    def step(self, part: int | str) -> tuple[_Place, bool]:
        """Follows one part: the next place, and whether the part is a key."""
        choices = _choices(self.annotation)
        if part in choices:
            # The tag of a union is not a key of the file.
            return _Place(choices[str(part)], self.description), False
        arguments = typing.get_args(self.annotation)
        if isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel):
            fields = {
                info.alias or name: info
                for name, info in self.annotation.model_fields.items()
            }
            info = fields.get(str(part))
            next_ = _Place(info.annotation, info.description) if info else _Place(None)
            next_.known = list(fields)
            return next_, True
        return _Place(arguments[-1] if arguments else None), True


def _locate(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[str, list[str], _Place]:
    """Follows a location: the key as in the file, its parts, and where it leads."""
    names: list[str] = []
    place = _Place(model)
    for part in loc:
        place, is_key = place.step(part)
        if is_key:
            names.append(f"[{part}]" if isinstance(part, int) else f".{part}")
    key = "".join(names).lstrip(".")
    return key, [name.lstrip(".") for name in names], place


def _choices(annotation: Any) -> dict[str, Any]:
    """Returns the members of a tagged union by tag."""
    if typing.get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return {}
    choices = {}
    for choice in typing.get_args(annotation):
        notes = getattr(choice, "__metadata__", ())
        tags = [note.tag for note in notes if isinstance(note, Tag)]
        inner = choice.__origin__ if notes else choice
        if not tags and isinstance(inner, type) and issubclass(inner, BaseModel):
            field = inner.model_fields.get("kind")
            tags = list(typing.get_args(field.annotation))[:1] if field else []
        for tag in tags:
            choices[tag] = choice
    return choices
