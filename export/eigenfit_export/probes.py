"""Inputs with known answers, stored with an export and run again by `verify`."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit import Problem, Solver
from eigenfit.drawing import in_box, scale_of, starting_cloud
from eigenfit_export.signatures import FLOAT32, Signature, signatures_of

TOLERANCES = {"graph": 1e-12, "xla": 1e-10, "float32": 1e-5}
"""Largest difference from a probe, relative to the largest number of an output."""

_DISTANCE = 0.02
"""Of the start from the answer, in natural scales: few steps, few digits lost."""

_MAX_STEPS = 3

_BASIS_DEPENDENT = ("eigenvectors", "history", "memory", "moment", "steps")


class Probe(NamedTuple):
    """One call with its answer."""

    inputs: dict[str, np.ndarray]  # [b, ...] each
    outputs: dict[str, np.ndarray]  # [b, ...] each, from eager execution
    tolerance: float  # relative; see `TOLERANCES`


def record_probes(
    solver: Solver,
    max_steps_limit: int | None = None,
    batch: int = 3,
    only: Collection[str] | None = None,
) -> dict[str, Probe]:
    """Runs every exported function eagerly on generic input.

    The last of several members has a NaN among its targets, which must stay there (but
    for `init` and `step`).

    Args:
        solver: What is exported.
        max_steps_limit: As for `signatures_of`.
        batch: Number b of members.
        only: Names of the functions; all by default.

    Returns:
        A probe for each signature, by name.

    Example:
        >>> import eigenfit as ef
        >>> probes = record_probes(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> probes["serving_default"].outputs["result"].tolist()
        [0, 0, 5]
        >>> probes["fit_xla"].tolerance
        1e-10
    """
    eager = signatures_of(solver, max_steps_limit, mode="eager")
    by_name = {signature.name: signature for signature in eager}
    finite = _finite_inputs(solver, batch)
    known = {**finite, "targets": finite["targets"].copy()}
    if batch > 1:
        known["targets"][-1, 0] = np.nan
    stepped = only is None or any(name.startswith("step") for name in only)
    state = _run(by_name["init"], finite) if stepped else {}
    is_single = solver.problem.parameter_dtype == tf.float32
    probes: dict[str, Probe] = {}
    for signature in eager:
        if only is not None and signature.name not in only:
            continue
        # What a method makes of a NaN is no answer: only a fit sorts it out.
        stepping = signature.name.startswith(("init", "step"))
        given = {**state, **finite} if stepping else known
        stem = signature.name.removesuffix(FLOAT32)
        inputs = {
            spec.name: given[spec.name].astype(spec.dtype.as_numpy_dtype)
            for spec in signature.inputs
        }
        if stem not in probes:
            outputs = _run(by_name[stem], given)
            outputs = {
                name: value
                for name, value in outputs.items()
                if not name.startswith(_BASIS_DEPENDENT)
            }
        else:
            outputs = probes[stem].outputs
        kind = "xla" if signature.is_compiled else "graph"
        if is_single or stem != signature.name:
            kind = "float32"
        probes[signature.name] = Probe(inputs, outputs, TOLERANCES[kind])
    return probes


def flatten_probes(probes: dict[str, Probe]) -> dict[str, np.ndarray]:
    """Names every array for a file: `name/inputs/key` and `name/outputs/key`."""
    return {
        f"{name}/{kind}/{key}": array
        for name, probe in probes.items()
        for kind in ("inputs", "outputs")
        for key, array in getattr(probe, kind).items()
    }


def _run(signature: Signature, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    arguments = [tf.constant(given[x.name], x.dtype) for x in signature.inputs]
    return {name: x.numpy() for name, x in signature.function(*arguments).items()}


def _finite_inputs(solver: Solver, batch: int) -> dict[str, np.ndarray]:
    problem = solver.problem
    dtype = problem.parameter_dtype.as_numpy_dtype
    rng = np.random.default_rng(20200213)
    answer = _generic(problem, rng, batch)
    initial = answer + _DISTANCE * rng.standard_normal(answer.shape) / scale_of(problem)
    vector = rng.standard_normal(answer.shape)
    # Numbers that float32 has too, so that all dtypes are given the same.
    initial, vector = (x.astype(np.float32).astype(dtype) for x in (initial, vector))
    initial = problem.limit(tf.constant(initial)).numpy()
    zeros = tf.zeros([batch, problem.num_targets], problem.parameter_dtype)
    targets = problem.values(tf.constant(answer, problem.parameter_dtype), zeros)
    targets = targets.numpy().astype(np.float32).astype(dtype)
    matrices = tf.nest.flatten(problem.matrix(tf.constant(initial)))
    matrix = matrices[0].numpy().astype(np.complex64).astype(np.complex128)
    is_real = matrices[0].dtype.is_floating
    return {
        "initial": initial,
        "parameters": initial,
        "vector": vector,
        "targets": targets,
        "tolerance": np.full([batch], np.float32(1e-8), dtype),
        "max_steps": np.full([batch], _MAX_STEPS, np.int32),
        "seed": np.arange(batch, dtype=np.int32),
        "level": np.resize([min(1, matrix.shape[-1] - 1), -1, 0], batch),
        "matrix": np.real(matrix).astype(dtype) if is_real else matrix,
        "matrix_real": np.real(matrix).astype(dtype),
        "matrix_imag": np.imag(matrix).astype(dtype),
    }


def _generic(problem: Problem, rng: np.random.Generator, batch: int) -> np.ndarray:
    normal = rng.standard_normal([batch, problem.num_parameters])
    if problem.bounds is not None:
        return in_box(rng, batch, *problem.bounds)
    structure = problem.structure
    known = structure.is_linear and structure.squared_norms() is not None
    if problem.is_plain and known:
        # Of the size at which levels are about one apart.
        levels = np.arange(problem.num_targets, dtype=np.float64)
        centre, spread = starting_cloud(problem, levels)
        return centre + spread * normal / scale_of(problem)
    return normal
