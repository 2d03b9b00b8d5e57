"""A solver in NumPy with the signatures that the page drives."""

import threading

import numpy as np
from tests.serving.server.rest_fakes import FakeRunner, FakeServable, signature

from eigenfit_serving.protocol.messages import DataType

ORDER = 3
ROTATION, _ = np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3))

DOUBLE, INT = "DT_DOUBLE", "DT_INT32"
LIMITS = {"targets": DOUBLE, "tolerance": DOUBLE, "max_steps": INT}
FIT = {
    **{"parameters": DOUBLE, "matrix": DOUBLE, "eigenvalues": DOUBLE},
    **{"loss": DOUBLE, "num_steps": INT, "result": INT},
}


SNAPSHOTS = 65
TRACE = {
    **{"trace_steps": INT, "trace_loss": DOUBLE, "trace_eigenvalues": DOUBLE},
    **{"trace_parameters": DOUBLE, "trace_matrix": DOUBLE},
}


def loss_of(parameters, targets):
    return ((np.sort(parameters) - targets) ** 2).sum(axis=-1)


def matrix_of(parameters):
    return ROTATION @ (parameters[..., :, None] * ROTATION.T)


def fit(initial, targets, tolerance, max_steps):
    """All members make as many steps; gives the answer, and the parameters of each."""
    path = [initial]
    # 0 is the default.
    size = np.abs(targets).max(axis=1)
    tolerance = np.where(tolerance > 0, tolerance, ORDER * (1e-10 * size) ** 2)
    while (loss_of(path[-1], targets) > tolerance).any():
        if len(path) > max_steps.max():
            break
        path.append(path[-1] + 0.5 * (targets - path[-1]))
    loss = loss_of(path[-1], targets)
    result = np.where(loss <= tolerance, 0, 2).astype(np.int32)
    if not (np.diff(targets, axis=1) >= 0).all():
        result[:] = 5
    steps = np.full(len(result), len(path) - 1, np.int32)
    levels = np.sort(path[-1])
    values = (path[-1], matrix_of(path[-1]), levels, loss, steps, result)
    return dict(zip(FIT, values, strict=True)), np.stack(path, axis=1)


def trace(path, targets):
    last = path.shape[1] - 1
    places = np.minimum(np.arange(SNAPSHOTS) * max(1, -(-last // 64)), last)
    parameters = path[:, places]
    loss = loss_of(parameters, targets[:, None])
    steps = np.tile(places.astype(np.int32), [len(path), 1])
    values = (steps, loss, np.sort(parameters), parameters, matrix_of(parameters))
    return dict(zip(TRACE, values, strict=True))


def run(servable, name, inputs, context):
    servable.calls.append(name)
    servable.tolerances += inputs["tolerance"].tolist()
    if name == "fit_from_random":
        seeds = inputs.pop("seed")
        draws = [np.random.default_rng(abs(seed)).normal(size=ORDER) for seed in seeds]
        initial = np.stack(draws)
        return {"initial": initial, **fit(initial, **inputs)[0]}
    servable.released.wait(20)
    answer, path = fit(**inputs)
    if servable.minimum:
        answer["result"] = np.where(answer["result"] == 2, 6, answer["result"])
    if servable.signs:
        answer["parameters"] = answer["parameters"] * np.resize(
            servable.signs, [len(path), 1]
        )
    return {**answer, **trace(path, inputs["targets"])}


class Solver(FakeServable):
    """Remembers calls; `released` lets them go on."""

    def __init__(self, *fields):
        super().__init__(*fields)
        self.calls, self.tolerances = [], []
        self.minimum, self.signs = False, ()
        self.released = threading.Event()
        self.released.set()


def solver(name="toy"):
    signatures = {
        "fit_trace": signature({"initial": DOUBLE, **LIMITS}, {**FIT, **TRACE}),
        "fit_from_random": signature(
            {"seed": INT, **LIMITS}, {"initial": DOUBLE, **FIT}
        ),
    }
    for one in signatures.values():
        one.inputs["targets"].tensor_shape.dim.add().size = ORDER
        assert one.inputs["targets"].dtype == DataType.Value(DOUBLE)
    return Solver(name, 1, signatures)


def runner():
    return FakeRunner(
        lambda servable, name, inputs, context: (
            run(servable, name, inputs, context)
            if hasattr(servable, "calls")
            else inputs
        )
    )
