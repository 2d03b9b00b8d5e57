"""Which signatures classify and regress, and what their tensors have to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigenfit_serving.protocol.dtypes import kind_of_dtype
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import CLASSIFY_METHOD, REGRESS_METHOD
from eigenfit_serving.server.status import Code, ServingError

_INPUTS = "inputs"
_CLASSES = "classes"
_SCORES = "scores"
_OUTPUTS = "outputs"


def classify_names(signature: Any, options: Options) -> tuple[str, list[str]]:
    """Finds the tensor names of input and outputs.

    Raises:
        ServingError: If the signature does not classify.
    """
    _check_method(signature, "classification", CLASSIFY_METHOD, options)
    _check_one_input(signature)
    count = len(signature.outputs)
    if count not in (1, 2):
        raise _invalid(f"Expected one or two output Tensors, found {count}")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No classification inputs found in SignatureDef: {signature}")
    names = [x for x in (_CLASSES, _SCORES) if x in signature.outputs]
    if not names:
        raise _unfit(
            "Expected classification signature outputs to contain at least one of "
            f'"{_CLASSES}" or "{_SCORES}". Signature was: {signature}'
        )
    fetches = [signature.outputs[x].name for x in names]
    return signature.inputs[_INPUTS].name, fetches


def regress_names(signature: Any, options: Options) -> tuple[str, list[str]]:
    """Finds the tensor names of input and output.

    Raises:
        ServingError: If the signature does not regress.
    """
    _check_method(signature, "regression", REGRESS_METHOD, options)
    _check_one_input(signature)
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise _unfit(f"No regression inputs found in SignatureDef: {signature}")
    if _OUTPUTS not in signature.outputs:
        raise _unfit(f"No regression outputs found in SignatureDef: {signature}")
    return signature.inputs[_INPUTS].name, [signature.outputs[_OUTPUTS].name]


def classified(
    signature: Any, count: int, outputs: Mapping[str, np.ndarray]
) -> list[list[tuple[bytes, float]]]:
    """Makes labels and scores of the outputs.

    Raises:
        ServingError: If they have other types or shapes.
    """
    classes = _output(signature, _CLASSES, outputs)
    scores = _output(signature, _SCORES, outputs)
    if classes is not None:
        _check_class_tensor(classes, _CLASSES, "DT_STRING", count)
    if scores is not None:
        _check_class_tensor(scores, _SCORES, "DT_FLOAT", count)
    if classes is None:
        assert scores is not None
        return [[(b"", score) for score in row] for row in scores.tolist()]
    if scores is None:
        return [[(label, 0.0) for label in row] for row in classes.tolist()]
    if classes.shape[1] != scores.shape[1]:
        raise _invalid(
            "Tensors class and score should match in dim_size(1). Got "
            f"{classes.shape[1]} vs. {scores.shape[1]}"
        )
    rows = zip(classes.tolist(), scores.tolist(), strict=True)
    return [list(zip(*row, strict=True)) for row in rows]


def regressed(
    signature: Any, count: int, outputs: Mapping[str, np.ndarray]
) -> list[float]:
    """Makes numbers of the output.

    Raises:
        ServingError: If it has another type or shape.
    """
    array = outputs[signature.outputs[_OUTPUTS].name]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise _invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
            f"but got {_shape(array)}"
        )
    if array.shape[0] != count:
        raise _invalid(
            "Input batch size did not match output batch size: "
            f"{count} vs. {array.shape[0]}"
        )
    if array.dtype != np.float32:
        found = kind_of_dtype(array.dtype).name
        raise _invalid(f"Expected output Tensor of DT_FLOAT.  Got: {found}")
    return array.reshape(-1).tolist()


def _output(
    signature: Any, alias: str, outputs: Mapping[str, np.ndarray]
) -> np.ndarray | None:
    if alias not in signature.outputs:
        return None
    return outputs[signature.outputs[alias].name]


def _check_class_tensor(array: np.ndarray, alias: str, dtype: str, count: int) -> None:
    if array.ndim != 2:
        raise _invalid(
            f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}"
        )
    found = kind_of_dtype(array.dtype).name
    if found != dtype:
        raise _invalid(f"Expected {alias} Tensor of {dtype}. Got: {found}")
    if array.shape[0] != count:
        raise _invalid(
            f"Expected {alias} output batch size of {count}. Got: {array.shape[0]}"
        )


def _check_method(signature: Any, kind: str, method: str, options: Options) -> None:
    if options.enable_signature_method_name_check and signature.method_name != method:
        raise _invalid(
            f"Expected {kind} signature method_name to be {method}. "
            f"Was: {signature.method_name}"
        )


def _check_one_input(signature: Any) -> None:
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")


def _shape(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)


def _unfit(message: str) -> ServingError:
    return ServingError(Code.FAILED_PRECONDITION, message)
