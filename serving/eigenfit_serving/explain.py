"""Turns a validation error into one line: place, key, value, remedy."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ValidationError

from eigenfit_serving.errors import BadValue, show


def explain(
    error: ValidationError,
    model: type[BaseModel],
    file: str,
    options: Collection[str] = (),
) -> str:
    """Describes the first problem of a validation error.

    Args:
        error: Of validating `model`.
        model: Whose fields' descriptions say what a value must be.
        file: Named as the place.
        options: Keys that came from the command line, e.g. "fit.tolerance"; they are
            shown as options, "--tolerance".

    Returns:
        One line.
    """
    first, *others = error.errors(include_url=False)
    key, has_value, value, text = _parts(first, model)
    place = f"{file}: {key}"
    if key in options:
        place = "--" + key.rsplit(".", 1)[-1].replace("_", "-")
    line = f"{place} = {show(value)}: {text}" if has_value else f"{place}: {text}"
    if others:
        plural = "s" if len(others) > 1 else ""
        line += f" ({len(others)} more error{plural} after this one.)"
    return line


def _parts(error: Any, model: type[BaseModel]) -> tuple[str, bool, Any, str]:
    """Key, whether its value is worth showing, the value, and what to do."""
    loc, kind, value = error["loc"], error["type"], error["input"]
    cause = error.get("ctx", {}).get("error")
    names, owner, field = _locate(loc, model)
    key = ".".join(names)
    if isinstance(cause, BadValue):
        return key + cause.key, cause.value is not None, cause.value, str(cause)
    if kind == "extra_forbidden":
        known = [info.alias or name for name, info in owner.model_fields.items()]
        close = difflib.get_close_matches(names[-1], known, n=1)
        hint = (
            f'Did you mean "{close[0]}"?'
            if close
            else f"Known here: {', '.join(known) or 'none'}."
        )
        return key, False, None, f"is not a known key. {hint}"
    if kind.startswith("union_tag"):
        tags = error["ctx"].get("expected_tags", '"symmetric", "affine"')
        tags = tags.replace("'", '"')
        tag = value.get("kind") if isinstance(value, dict) else None
        text = f"must be one of {tags}."
        return f"{key}.kind", tag is not None, tag, text
    if kind in ("model_type", "model_attributes_type"):
        text = f"must be a table. Write its keys under a line [{key}]."
        return key, True, value, text
    if kind == "missing":
        wanted = f": {field.description}" if field and field.description else ""
        return key, False, None, f"is missing. Add it{wanted}."
    wanted = field.description if field else None
    text = f"must be {wanted}." if wanted else f"{error['msg']}."
    return key, True, value, text


def _locate(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[list[str], type[BaseModel], Any]:
    """Follows a location: the keys as in the file, the last model, the field."""
    names: list[str] = []
    field = None
    candidates: list[type[BaseModel]] = [model]
    for part in map(str, loc):
        by_kind = {_kind(candidate): candidate for candidate in candidates}
        if len(candidates) > 1 and part in by_kind:
            # The tag of a discriminated union is no key of the file.
            candidates = [by_kind[part]]
            continue
        names.append(part)
        fields = {
            info.alias or name: info
            for name, info in candidates[0].model_fields.items()
        }
        field = fields.get(part)
        inner = _models(field.annotation) if field else []
        if inner:
            candidates = inner
    return names, candidates[0], field


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [_models(choice) for choice in typing.get_args(annotation)]
        return [model for models in found for model in models]
    return []


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    choices = typing.get_args(field.annotation) if field else ()
    return choices[0] if choices else None
