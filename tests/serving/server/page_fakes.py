"""A solver in NumPy with the signatures that the page drives."""

import numpy as np
from tests.serving.server.rest_fakes import FakeRunner, FakeServable, signature

from eigenfit_serving.protocol.messages import DataType

ORDER = 3
ROTATION, _ = np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3))

DOUBLE, INT = "DT_DOUBLE", "DT_INT32"
STATE = {"parameters": DOUBLE, "loss": DOUBLE, "eigenvalues": DOUBLE, "spare": DOUBLE}
LIMITS = {"targets": DOUBLE, "tolerance": DOUBLE, "max_steps": INT}
FIT = {
    **{"parameters": DOUBLE, "matrix": DOUBLE, "eigenvalues": DOUBLE},
    **{"loss": DOUBLE, "num_steps": INT, "result": INT},
}


def state_of(parameters, targets):
    levels = np.sort(parameters)
    loss = ((levels - targets) ** 2).sum(axis=1)
    spare = np.full_like(loss, np.nan)
    return dict(zip(STATE, (parameters, loss, levels, spare), strict=True))


def step(parameters, targets):
    return parameters + 0.5 * (targets - parameters)


def fit(initial, targets, tolerance, max_steps):
    parameters, count = initial, 0
    # 0 is the default.
    size = np.abs(targets).max(axis=1)
    tolerance = np.where(tolerance > 0, tolerance, ORDER * (1e-10 * size) ** 2)
    while True:
        state = state_of(parameters, targets)
        if (state["loss"] <= tolerance).all() or count >= max_steps.max():
            break
        parameters, count = step(parameters, targets), count + 1
    result = np.where(state["loss"] <= tolerance, 0, 2).astype(np.int32)
    if not (np.diff(targets, axis=1) >= 0).all():
        result[:] = 5
    matrix = ROTATION @ (parameters[:, :, None] * ROTATION.T)
    steps = np.full(len(result), count, np.int32)
    values = (parameters, matrix, state["eigenvalues"], state["loss"], steps, result)
    return dict(zip(FIT, values, strict=True))


def run(servable, name, inputs, context):
    servable.calls.append(name)
    servable.tolerances += inputs.get("tolerance", np.zeros(0)).tolist()
    if name == "fit":
        answer = fit(**inputs)
        if servable.minimum:
            answer["result"] = np.where(answer["result"] == 2, 6, answer["result"])
        return answer
    if name == "fit_from_random":
        seed = inputs.pop("seed")
        initial = np.random.default_rng(seed).normal(size=inputs["targets"].shape)
        return {"initial": initial, **fit(initial, **inputs)}
    if name == "init":
        return state_of(inputs["initial"], inputs["targets"])
    # NaN of the state has made the way through the browser and back.
    assert np.isnan(inputs["spare"]).all()
    return state_of(step(inputs["parameters"], inputs["targets"]), inputs["targets"])


def solver(name="toy"):
    signatures = {
        "fit": signature({"initial": DOUBLE, **LIMITS}, FIT),
        "fit_from_random": signature(
            {"seed": INT, **LIMITS}, {"initial": DOUBLE, **FIT}
        ),
        "init": signature({"initial": DOUBLE, "targets": DOUBLE}, STATE),
        "step": signature({**STATE, "targets": DOUBLE}, STATE),
    }
    for one in signatures.values():
        one.inputs["targets"].tensor_shape.dim.add().size = ORDER
        assert one.inputs["targets"].dtype == DataType.Value(DOUBLE)
    servable = FakeServable(name, 1, signatures)
    servable.calls, servable.tolerances, servable.minimum = [], [], False
    return servable


def runner():
    return FakeRunner(run)
