"""Runs a new model once, beside what TensorFlow and NumPy compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit import Solution, Solver
from eigenfit_export.onnx.check import Session
from eigenfit_export.onnx.programs import Program

Arrays = dict[str, np.ndarray]

_BATCH = 4
_BAD = 1
"""Number of members, and of the one that has a NaN."""

_OF_PROBLEMS = ("gradient", "weighted_gradient", "fit")

_TOLERANCES = {"float32": 2e-5, "float64": 1e-11}
_FIT_TOLERANCES = {"float32": 2e-2, "float64": 1e-7}
"""Of answers after a few steps, which lose digits."""


def compare(program: Program, model: Any, solver: Solver) -> float:
    """Runs a model on a batch with one bad member.

    Args:
        program: What the model was made from.
        model: The model, or the path of its file.
        solver: Whose problem `gradient` and `fit` are of.

    Returns:
        The largest difference, relative to the size of an output of a member.

    Raises:
        ValueError: If it is too large.

    Example:
        >>> import eigenfit as ef
        >>> from eigenfit_export.onnx.programs import eigh
        >>> program = eigh("float64", 2)
        >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
        >>> compare(program, program.model(), solver) < 1e-12
        True
    """
    inputs = _probe(program, solver)
    found = Session(model).run(**inputs)
    wide = {k: x.astype(np.float64) for k, x in inputs.items() if x.dtype.kind == "f"}
    expected = _expected(program.name, inputs | wide, found, solver)
    worst = worst_difference(found, expected)
    is_fit = program.name == "fit"
    allowed = (_FIT_TOLERANCES if is_fit else _TOLERANCES)[program.dtype]
    if not worst <= allowed:
        raise ValueError(
            f"{program.file_name} gives other numbers in ONNX Runtime than in "
            f"TensorFlow: they differ by {worst:.1e}, allowed is {allowed:.1e}."
        )
    return worst


def worst_difference(
    found: Mapping[str, np.ndarray], expected: Mapping[str, Any]
) -> float:
    """Gives the largest difference of any output, relative to its size in a member.

    Where a NaN or an integer is expected there must be the same: else the answer is
    infinity.

    Example:
        >>> worst_difference({"x": np.array([[2.0, 1.0]])}, {"x": [[2.0, 0.5]]})
        0.25
    """
    worst = 0.0
    for name, wanted in expected.items():
        got, wanted = found[name], np.asarray(wanted)
        if got.shape != wanted.shape or (np.isnan(got) != np.isnan(wanted)).any():
            return np.inf
        if wanted.dtype.kind != "f":
            worst = max(worst, 0.0 if np.array_equal(got, wanted) else np.inf)
            continue
        got, wanted = np.nan_to_num(got.astype(np.float64)), np.nan_to_num(wanted)
        axes = tuple(range(1, wanted.ndim))
        size = np.max(np.abs(wanted), axis=axes, initial=0.0, keepdims=True)
        difference = np.abs(got - wanted) / np.where(size > 0, size, 1)
        worst = max(worst, float(np.max(difference, initial=0.0)))
    return worst


def _probe(program: Program, solver: Solver) -> Arrays:
    rng = np.random.default_rng(20200213)
    problem = solver.problem
    if program.name in _OF_PROBLEMS:
        real = problem.parameter_dtype
        answer = rng.normal(size=[_BATCH, problem.num_parameters])
        # Near the answer a gradient is a small difference of large numbers.
        distance = 0.02 if program.name == "fit" else 1.0
        start = answer + distance * rng.normal(size=answer.shape)
        answer, start = (problem.limit(tf.constant(x, real)) for x in (answer, start))
        zeros = tf.zeros([_BATCH, problem.num_targets], real)
        targets = np.array(problem.values(answer, zeros))
        targets[_BAD] = np.nan
        inputs = {
            "parameters": start.numpy(),
            "initial": start.numpy(),
            "targets": targets,
            "weights": np.broadcast_to(problem.roots() ** 2, targets.shape),
            "tolerance": np.full(_BATCH, 1e-8),
            "max_steps": np.full(_BATCH, 3),
        }
        return _picked(inputs, program)
    n = program.inputs[0].shape[1] or 5
    X = rng.normal(size=[_BATCH, n, n])
    inputs = {
        "matrix": (X + np.swapaxes(X, 1, 2)) / 2,
        "targets": rng.normal(size=[_BATCH, n]),
        "weights": rng.uniform(0.5, 2.0, size=[_BATCH, n]),
        "level": np.arange(_BATCH) % n,
    }
    inputs["matrix"][_BAD, -1, 0] = np.nan
    return _picked(inputs, program)


def _picked(inputs: Arrays, program: Program) -> Arrays:
    return {
        spec.name: inputs[spec.name].astype(spec.dtype.as_numpy_dtype)
        for spec in program.inputs
    }


def _expected(
    name: str, inputs: Mapping[str, np.ndarray], found: Arrays, solver: Solver
) -> Mapping[str, Any]:
    if name in ("gradient", "weighted_gradient"):
        parameters, targets = inputs["parameters"], inputs["targets"]
        return solver.gradient(parameters, targets)._asdict()
    if name == "fit":
        specs = solver.programs.fit.signature
        arguments = [tf.constant(inputs[x.name], x.dtype) for x in specs]
        answer = solver.programs.fit.variant("graph")(*arguments)
        fields = dict(zip(Solution._fields, answer, strict=False))
        # Near an answer a loss is rounding, and several matrices have other names.
        return {
            k: fields[k].numpy()
            for k in ("parameters", "eigenvalues", "num_steps", "result")
        }
    A = np.tril(inputs["matrix"])
    bad = np.any(np.isnan(A), axis=(1, 2))
    w, V = np.linalg.eigh(np.where(bad[:, np.newaxis, np.newaxis], 0, A))
    w[bad], V[bad] = np.nan, np.nan
    if name == "eigh":
        signs = np.sign(np.sum(V * found["eigenvectors"], axis=1, keepdims=True))
        return {"eigenvalues": w, "eigenvectors": V * signs}
    expected: dict[str, np.ndarray] = {"eigenvalues": w}
    if name == "eigengradient":
        slope = np.eye(w.shape[1])[inputs["level"]]
    else:
        residual = w - inputs["targets"]
        expected["loss"] = np.sum(inputs["weights"] * residual**2, axis=1)
        slope = 2 * inputs["weights"] * residual
    G = (V * slope[:, np.newaxis]) @ np.swapaxes(V, 1, 2)
    expected["gradient"] = G
    expected["gradient_lower"] = np.tril(2 * G) - G * np.eye(w.shape[1])
    return expected
