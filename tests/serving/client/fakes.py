"""Transports that need no server."""

import numpy as np

from eigenfit_serving.client import Metadata, Signature, TensorSpec, VersionStatus
from eigenfit_serving.client.calls import (
    GetMetadata,
    GetStatus,
    ListModels,
    Outputs,
    Predict,
)


def spec(dtype, *shape):
    return TensorSpec(np.dtype(dtype), shape)


FIT_OUTPUTS = {
    "parameters": spec("f8", None, 2),
    "matrix": spec("f8", None, 2, 2),
    "eigenvalues": spec("f8", None, 2),
    "loss": spec("f8", None),
    "num_steps": spec("i4", None),
    "result": spec("i4", None),
}

STATE = {
    "parameters": spec("f8", None, 2),
    "eigenvalues": spec("f8", None, 2),
    "loss": spec("f8", None),
}

# Of a matrix diag(r): levels are the parameters.
SIGNATURES = {
    "fit": Signature(
        {
            "initial": spec("f8", None, 2),
            "targets": spec("f8", None, 2),
            "tolerance": spec("f8", None),
            "max_steps": spec("i4", None),
        },
        FIT_OUTPUTS,
    ),
    "eigenvalues": Signature(
        {"parameters": spec("f8", None, 2)}, {"eigenvalues": spec("f8", None, 2)}
    ),
    "init": Signature(
        {"initial": spec("f8", None, 2), "targets": spec("f8", None, 2)}, STATE
    ),
    "step": Signature({**STATE, "targets": spec("f8", None, 2)}, STATE),
    "scalar": Signature({"x": spec("f4")}, {"y": spec("f4")}),
}


class FakeTransport:
    """Answers for diagonal matrices of order 2; each step halves the distance."""

    def __init__(self, models=("diagonal",), failures=()):
        self.models = list(models)
        self.failures = list(failures)
        self.calls = []
        self.timeouts = []
        self.version = 3
        self.closed = False

    def send(self, call, timeout):
        self.calls.append(call)
        self.timeouts.append(timeout)
        if self.failures and isinstance(call, Predict):
            raise self.failures.pop(0)
        match call:
            case ListModels():
                return self.models
            case GetStatus():
                return [VersionStatus(3, "AVAILABLE", "OK", "")]
            case GetMetadata(target):
                return Metadata(target.name, self.version, SIGNATURES)
            case Predict():
                run = getattr(self, f"_{call.signature}")
                return Outputs(run(**call.inputs), self.version)

    def close(self):
        self.closed = True

    def _fit(self, initial, targets, tolerance, max_steps):
        rows = len(initial)
        zeros = np.zeros(rows)
        return {
            "parameters": targets,
            "matrix": targets[:, :, np.newaxis] * np.eye(2),
            "eigenvalues": targets,
            "loss": zeros,
            "num_steps": np.minimum(max_steps, 1),
            "result": np.where(np.isnan(targets).any(1), 5, 0).astype("i4"),
        }

    def _eigenvalues(self, parameters):
        return {"eigenvalues": np.sort(parameters)}

    def _init(self, initial, targets):
        loss = ((initial - targets) ** 2).sum(1)
        return {"parameters": initial, "eigenvalues": initial, "loss": loss}

    def _step(self, parameters, eigenvalues, loss, targets):
        return self._init((parameters + targets) / 2, targets)

    def _scalar(self, x):
        return {"y": x + 1}
