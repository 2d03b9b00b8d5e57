"""The JSON Schema of problem files, by which editors complete and check them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eigenfit_serving.problem_file.reading import ProblemFile

SCHEMA_FILE = Path(__file__).with_name("problem.schema.json")
"""The schema as it is shipped."""

_DATA_FILE = {
    "type": "object",
    "description": "numbers from a .csv, .npy, .npz or .mtx file beside this one",
    "properties": {
        "file": {"type": "string", "minLength": 1},
        "key": {
            "description": "array of a .npz file, or columns of a .csv file",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
            ],
        },
    },
    "required": ["file"],
    "additionalProperties": False,
}
_NUMBERS: dict[str, dict[str, Any]] = {
    "real": {"type": "number"},
    "integer": {"type": "integer"},
    "complex": {
        "description": 'a number, or a complex one in quotes: "1+2j"',
        "anyOf": [{"type": "number"}, {"type": "string"}],
    },
}
_MAX_RANK = 4


def problem_schema() -> dict[str, Any]:
    """Makes the schema of a problem file."""
    schema = ProblemFile.model_json_schema(by_alias=True)
    schema["$defs"] |= {"data_file": _DATA_FILE, **_arrays()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_tidied(schema),
        "title": "eigenfit problem file",
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _tidied(schema: Any) -> Any:
    """Puts references where `arrays.mark` has marked a place; leaves noise out.

    TOML has no null, and what pydantic calls titles and discriminators says nothing
    that the names do not say.
    """
    if isinstance(schema, list):
        return [_tidied(entry) for entry in schema if entry != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    if set(schema) == {"eigenfit"}:
        return _ref(schema["eigenfit"])
    result = {}
    for key, entry in schema.items():
        if key in ("title", "discriminator") or (key == "default" and not entry):
            continue
        if key in ("properties", "$defs"):
            result[key] = {name: _tidied(inner) for name, inner in entry.items()}
        elif key != "default" or not isinstance(entry, dict):
            result[key] = _tidied(entry)
    if len(result.get("anyOf", ())) == 1:
        result |= result.pop("anyOf")[0]
    return result


def schema_text() -> str:
    """Writes the schema as text, as in the shipped file."""
    text = json.dumps(problem_schema(), indent=1, sort_keys=True, ensure_ascii=False)
    return text + "\n"


def _arrays() -> dict[str, Any]:
    """Describes arrays of every kind and depth of nesting."""
    result: dict[str, Any] = {}
    for kind, number in _NUMBERS.items():
        result[f"{kind}_0"] = number
        for rank in range(1, _MAX_RANK + 1):
            inner = _ref(f"{kind}_{rank - 1}")
            forms = [{"type": "array", "minItems": 1, "items": inner}]
            forms.append(_ref("data_file"))
            if kind == "complex":
                part = _ref(f"real_{rank}")
                forms.append(
                    {
                        "type": "object",
                        "properties": {"real": part, "imag": part},
                        "required": ["real", "imag"],
                        "additionalProperties": False,
                    }
                )
            result[f"{kind}_{rank}"] = {"anyOf": forms}
    return result
