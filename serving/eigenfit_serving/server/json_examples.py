"""The body of a classify or regress request becomes serialised `tf.Example`s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from eigenfit_serving.server.json_values import (
    decode_base64,
    encode,
    invalid,
    is_base64,
)
from eigenfit_serving.server.json_words import describe, type_word


def examples_of(
    document: Mapping[str, Any],
    example_class: Any,
    check_rows: Callable[[int], None] = lambda rows: None,
) -> list[bytes]:
    """Serialises `examples`, each behind the features of `context`.

    Args:
        document: Body of the request.
        example_class: The message class `tensorflow.Example`.
        check_rows: Raises if there are too many, before any is converted.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """
    context = b""
    if "context" in document:
        context = _serialised(document["context"], example_class)
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {describe(document)} When method is classify, key 'examples' "
            "is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(
            f"JSON Value: {describe(document)} Expecting 'examples' value to be an "
            "list/array"
        )
    if not examples:
        raise invalid(
            f"JSON Value: {describe(document)} 'examples' value is an empty array"
        )
    check_rows(len(examples))
    return [context + _serialised(example, example_class) for example in examples]


def _serialised(value: Any, example_class: Any) -> bytes:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {type_word(value)}")
    message = example_class()
    for name, content in value.items():
        feature = message.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add(element, name, feature)
    return message.SerializeToString()


def _add(element: Any, name: str, feature: Any) -> None:
    if isinstance(element, bool):
        _list(feature, "int64", name).append(int(element))
    elif isinstance(element, str):
        _list(feature, "bytes", name).append(encode(element))
    elif is_base64(element):
        _list(feature, "bytes", name).append(decode_base64(element))
    elif isinstance(element, float) or (
        isinstance(element, int) and not -(2**63) <= element < 2**64
    ):
        with np.errstate(over="ignore"):
            number = float(np.float32(element))
        _list(feature, "float", name).append(number)
    elif isinstance(element, int):
        values = _list(feature, "int64", name)
        if element >= 2**63:
            raise invalid(
                f"Feature: {name} has uint64 element. Only int64 is supported."
            )
        values.append(element)
    else:
        raise invalid(
            f"Feature: {name} has element with unexpected JSON type: "
            f"{type_word(element)}"
        )


def _list(feature: Any, kind: str, name: str) -> Any:
    chosen = feature.WhichOneof("kind")
    if chosen not in (None, f"{kind}_list"):
        expected = chosen.removesuffix("_list")
        raise invalid(
            f"Unexpected element type in feature: {name} expecting type: {expected}"
        )
    return getattr(feature, f"{kind}_list").value
