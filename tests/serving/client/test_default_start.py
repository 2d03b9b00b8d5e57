"""A fit without `initial` begins at the start of the model, if it has one."""

import numpy as np
import pytest

from eigenfit_serving.client import Client
from eigenfit_serving.client.calls import (
    GetMetadata,
    Metadata,
    Outputs,
    Signature,
    TensorSpec,
)

REAL, WHOLE = np.dtype("float64"), np.dtype("int32")
LIMITS = {
    "tolerance": TensorSpec(REAL, (None,)),
    "max_steps": TensorSpec(WHOLE, (None,)),
}
ANSWER = {
    "parameters": TensorSpec(REAL, (None, 2)),
    "matrix": TensorSpec(REAL, (None, 2, 2)),
    "eigenvalues": TensorSpec(REAL, (None, 2)),
    "loss": TensorSpec(REAL, (None,)),
    "num_steps": TensorSpec(WHOLE, (None,)),
    "result": TensorSpec(WHOLE, (None,)),
}
PAIR = TensorSpec(REAL, (None, 2))


class Model:
    """A transport that answers with zeros and keeps what was asked."""

    def __init__(self, *names):
        given = {"initial": {"initial": PAIR}, "fit_from_start": {}}
        self.signatures = {
            name: Signature(
                {**given.get(name, given["initial"]), "targets": PAIR, **LIMITS},
                ANSWER if name == "fit" else {"initial": PAIR, **ANSWER},
            )
            for name in names
        }
        self.calls = []

    def send(self, call, timeout):
        if isinstance(call, GetMetadata):
            return Metadata("chain", 1, self.signatures)
        self.calls.append(call)
        outputs = self.signatures[call.signature].outputs
        b = len(call.inputs["targets"])
        arrays = {k: np.zeros([b, *x.shape[1:]], x.dtype) for k, x in outputs.items()}
        return Outputs(arrays, 1)

    def close(self):
        pass


def test_the_start_of_the_model_is_taken():
    model = Model("fit", "fit_from_start")
    found = Client(model, model="chain").fit(targets=[[1.0, 2.0], [3.0, 4.0]])
    [call] = model.calls
    assert call.signature == "fit_from_start"
    assert set(call.inputs) == {"targets", "tolerance", "max_steps"}
    # 0 is the tolerance of the model, relative to the targets.
    assert np.ravel(call.inputs["tolerance"]).tolist() == [0.0, 0.0]
    assert found.parameters.shape == (2, 2)


def test_a_given_start_and_tolerance_are_sent():
    model = Model("fit", "fit_from_start")
    client = Client(model, model="chain")
    client.fit([0.5, 0.25], [1.0, 2.0], tolerance=1e-6)
    [call] = model.calls
    assert call.signature == "fit"
    assert np.ravel(call.inputs["initial"]).tolist() == [0.5, 0.25]
    assert np.ravel(call.inputs["tolerance"]).tolist() == [1e-6]


def test_a_model_without_a_start_is_told_apart():
    client = Client(Model("fit"), model="chain")
    with pytest.raises(ValueError, match="'chain' was exported without a start"):
        client.fit(targets=[1.0, 2.0])
    with pytest.raises(TypeError, match="`targets` must be given"):
        client.fit([1.0, 2.0])
