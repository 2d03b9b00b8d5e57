"""Expected outputs of the models, from definitions by LAPACK and from the solver."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from eigenfit import Problem
from eigenfit.eigen import decompose
from eigenfit_export.probes.conditions import Arrays, Measured, measure
from eigenfit_export.probes.stored import Probe
from eigenfit_export.verification.runner import GRAM, REBUILT

_Function = Callable[[Arrays], Arrays]

NEEDED = ("fit", "gradient", "eigengradient")
"""Functions whose probes, of `record_probes`, these are made from."""


def onnx_probes(problem: Problem, probes: Mapping[str, Probe]) -> dict[str, Probe]:
    """Makes a probe for each model that may be written.

    Args:
        problem: Problem that is exported.
        probes: Probes of the exported functions `NEEDED`, by name.

    Returns:
        Probes by stem of the model's file name, such as `eigh_float32`.
    """
    real = problem.parameter_dtype.name
    found = {f"{name}_{real}": probes[name] for name in ("fit", "gradient")}
    gradient = probes["gradient"]
    roots = np.broadcast_to(problem.roots(), gradient.inputs["targets"].shape)
    inputs = {**gradient.inputs, "weights": (roots**2).astype(real)}
    found[f"weighted_gradient_{real}"] = gradient._replace(inputs=inputs)
    if "matrix" in probes["eigengradient"].inputs:
        given = _matrix_inputs(probes["eigengradient"].inputs)
        for dtype in ("float32", "float64"):
            for name, function in _DEFINITIONS.items():
                found[f"{name}_{dtype}"] = _probe(function, given, tf.as_dtype(dtype))
    return found


def _matrix_inputs(inputs: Arrays) -> Arrays:
    # Numbers that are exact in float32.
    A = inputs["matrix"].astype(np.float32)
    b, n, _ = A.shape
    rng = np.random.default_rng(20200213)
    targets = np.linalg.eigvalsh(A.astype(np.float64)) + rng.uniform(-0.5, 0.5, [b, n])
    weights = np.linspace(1.0, 2.0, n) + np.zeros([b, 1])
    return {
        "matrix": A,
        "level": inputs["level"],
        "targets": targets.astype(np.float32),
        "weights": weights.astype(np.float32),
    }


def _probe(
    function: tuple[tuple[str, ...], _Function], given: Arrays, dtype: tf.DType
) -> Probe:
    names, compute = function
    inputs = {
        name: given[name].astype(dtype.as_numpy_dtype)
        if given[name].dtype.kind == "f"
        else given[name]
        for name in names
    }
    measured: Measured = measure(compute, inputs, dtype)
    # A matrix that is not finite must not disturb the others.
    spoiled = {name: x.copy() for name, x in inputs.items()}
    spoiled["matrix"][-1, -1, 0] = np.nan
    outputs = {name: x.copy() for name, x in measured.outputs.items()}
    for x in outputs.values():
        x[-1] = np.nan
    return Probe(spoiled, outputs, measured.allowed)


def _decomposed(given: Arrays) -> tuple[np.ndarray, np.ndarray]:
    w, V = decompose(tf.constant(given["matrix"], tf.float64))
    return w.numpy(), V.numpy()


def _eigh(given: Arrays) -> Arrays:
    w, V = _decomposed(given)
    adjoint = V.swapaxes(1, 2)
    return {
        "eigenvalues": w,
        REBUILT: (V * w[:, np.newaxis]) @ adjoint,
        GRAM: V @ adjoint,
    }


def _eigengradient(given: Arrays) -> Arrays:
    w, V = _decomposed(given)
    return {"eigenvalues": w, **_pulled(V, np.eye(w.shape[1])[given["level"]])}


def _loss_gradient(given: Arrays) -> Arrays:
    w, V = _decomposed(given)
    weights, residual = given["weights"], w - given["targets"]
    loss = np.sum(weights * residual**2, axis=1)
    return {"loss": loss, "eigenvalues": w, **_pulled(V, 2 * weights * residual)}


def _pulled(V: np.ndarray, slope: np.ndarray) -> Arrays:
    # Pulls derivatives by the levels back to derivatives by the matrix.
    G = (V * slope[:, np.newaxis]) @ V.swapaxes(1, 2)
    return {"gradient": G, "gradient_lower": np.tril(2 * G) - G * np.eye(G.shape[1])}


_DEFINITIONS: dict[str, tuple[tuple[str, ...], _Function]] = {
    "eigh": (("matrix",), _eigh),
    "eigengradient": (("matrix", "level"), _eigengradient),
    "loss_gradient": (("matrix", "targets", "weights"), _loss_gradient),
}
