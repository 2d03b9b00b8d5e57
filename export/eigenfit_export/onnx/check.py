"""Checks ONNX models and runs them."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigenfit_export.onnx import graphs


def check(model: Any) -> None:
    """Refuses a model that some runtime might refuse or run wrongly.

    tf2onnx only logs what it cannot convert and returns a model all the same; the full
    check of onnx (with strict shape inference) and this check of operators find it.

    Raises:
        ValueError: If the model is invalid, has an operator that is not a standard one
            of its opset, or a constant that ONNX Runtime would drop.
    """
    onnx = graphs.required("onnx")
    name = model.graph.name
    domains = {x.domain: x.version for x in model.opset_import}
    if set(domains) != {""}:
        raise ValueError(f"{name} needs operators of {sorted(set(domains) - {''})}.")
    unknown = [
        operator
        for operator in graphs.count_operators(model)
        if not onnx.defs.has(operator, domains[""], "")
    ]
    if unknown:
        raise ValueError(
            f"{name} needs {', '.join(sorted(unknown))}, for which ONNX has nothing."
        )
    if lost := graphs.fragile_constants(model):
        values = ", ".join(f"{node.op_type} {value!r}" for _, node, _, value in lost)
        raise ValueError(f"{name}: ONNX Runtime would drop the constants of {values}.")
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ValueError(f"{name} is no valid model: {error}") from error


class Session:
    """A model in ONNX Runtime, on one thread.

    Args:
        model: An `onnx.ModelProto`, or the path of its file.

    Example:
        >>> from eigenfit_export.onnx.programs import eigh
        >>> session = Session(eigh("float64").model())
        >>> float(session.run(matrix=[[[0.0, 2.0], [2.0, 0.0]]])["eigenvalues"][0, 0])
        -2.0
    """

    def __init__(self, model: Any) -> None:
        runtime = graphs.required("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        given = model.SerializeToString() if hasattr(model, "graph") else str(model)
        self._session = runtime.InferenceSession(
            given, options, providers=["CPUExecutionProvider"]
        )
        inputs = self._session.get_inputs()
        inputs += self._session.get_overridable_initializers()
        self._dtypes = {x.name: _DTYPES[x.type] for x in inputs}
        self._outputs = [x.name for x in self._session.get_outputs()]

    def run(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Runs the model on arrays by name, which are converted to its dtypes."""
        arrays = {k: np.asarray(x, self._dtypes[k]) for k, x in inputs.items()}
        return dict(
            zip(self._outputs, self._session.run(self._outputs, arrays), strict=True)
        )


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}
