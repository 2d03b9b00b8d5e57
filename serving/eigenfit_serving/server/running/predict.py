"""Prediction, independent of how requests and answers travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from eigenfit_serving.protocol.status import Code, ServingError, invalid
from eigenfit_serving.protocol.tensors import to_array
from eigenfit_serving.server.interfaces import WARMUP, RequestContext, Servable
from eigenfit_serving.server.options import Options

DEFAULT_SIGNATURE = "serving_default"


def predict(
    servable: Servable,
    signature_name: str,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str],
    context: RequestContext,
    options: Options,
) -> dict[str, np.ndarray]:
    """Runs one signature; returns its outputs by name.

    Args:
        servable: Version to run.
        signature_name: Name of the signature; empty for `serving_default`.
        inputs: Arrays by the names of the signature.
        output_filter: Names of the outputs that are wanted; all if empty.
        context: Context of the request; its signature and rows are filled in.
        options: Options, of which limits and `strict_shapes` are used.

    Raises:
        ServingError: With the texts of the protocol.
    """
    used = signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(used)
    if signature is None:
        raise ServingError(
            Code.FAILED_PRECONDITION, f'Serving signature key "{used}" not found.'
        )
    context.signature = used
    _check_names(signature, inputs)
    arrays = _input_arrays(signature, inputs)
    for alias, array in arrays.items():
        if array.ndim and context.rows is None:
            context.rows = array.shape[0]
        if options.strict_shapes:
            _check_shape(alias, array, signature.inputs[alias])
    # Warm-up requests are not limited.
    if context.entrypoint != WARMUP:
        _check_limits(arrays, options)
    outputs = _wanted(signature, output_filter)
    try:
        results = servable.run(used, arrays, outputs, context)
    except ServingError as error:
        if error.code is Code.INVALID_ARGUMENT:
            # Name the input whose shape is wrong, rather than nodes of the graph.
            for alias, array in arrays.items():
                _check_shape(alias, array, signature.inputs[alias])
        raise
    return dict(zip(outputs, results, strict=True))


def _check_names(signature: Any, given: Mapping[str, np.ndarray]) -> None:
    extra = set(given) - set(signature.inputs)
    missing = set(signature.inputs) - set(given) - set(signature.defaults)
    if len(given) != len(signature.inputs) and (extra or missing):
        raise invalid(
            f"input size does not match signature: {len(given)}!="
            f"{len(signature.inputs)} len({{{_list(given)}}}) != "
            f"len({{{_list(signature.inputs)}}}). Sent extra: {{{_list(extra)}}}. "
            f"Missing but required: {{{_list(missing)}}}."
        )


def _input_arrays(
    signature: Any, given: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    arrays = {}
    for alias in sorted(signature.inputs):
        if alias in given:
            arrays[alias] = given[alias]
        elif alias in signature.defaults:
            try:
                arrays[alias] = to_array(signature.defaults[alias])
            except ValueError:
                raise invalid(f"tensor parsing error: {alias}") from None
        else:
            raise invalid(
                f"Signature input alias: {alias}(feed name: "
                f"{signature.inputs[alias].name}) not found in request and no default "
                f"value provided. Inputs expected to be in the request "
                f"{{{_list(given)}}}, or default input alias set: "
                f"{_list(signature.defaults)}"
            )
    used = [alias for alias in arrays if alias in given]
    if len(used) != len(given):
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {_list(used)}, "
            f"request input: {_list(given)}"
        )
    return arrays


def _wanted(signature: Any, output_filter: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected "
                f"to be in the set {{{_list(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(output_filter) or sorted(signature.outputs)


def _check_limits(arrays: Mapping[str, np.ndarray], options: Options) -> None:
    """Checks inputs against the limits; a limit of zero is none."""

    def check(what: str, value: int, unit: str, option: str) -> None:
        limit = getattr(options, option)
        if limit and value > limit:
            text = f"{what} {value} {unit}, over the limit of {limit} (--{option})."
            raise invalid(text)

    elements = sum(array.size for array in arrays.values())
    check("The request has", elements, "elements", "max_elements")
    for alias, array in arrays.items():
        if array.ndim:
            check("The request has", array.shape[0], "rows", "max_rows")
        if array.ndim > 2 and array.shape[-1] == array.shape[-2]:
            check(f"{alias} has matrices of", array.shape[-1], "rows", "max_order")
        if alias == "max_steps" and array.size and array.dtype.kind in "iu":
            check("The request asks for", int(array.max()), "steps", "max_steps")


def _check_shape(alias: str, array: np.ndarray, info: Any) -> None:
    """Compares an input with the shape that the signature declares."""
    declared = info.tensor_shape
    if declared.unknown_rank:
        return
    wanted = [dim.size for dim in declared.dim]
    fits = len(wanted) == array.ndim and all(
        want < 0 or want == got for want, got in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        expected = ",".join("?" if size < 0 else str(size) for size in wanted)
        got = ",".join(map(str, array.shape))
        raise invalid(f"Input {alias}: expected shape [{expected}], got [{got}].")


def _list(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
