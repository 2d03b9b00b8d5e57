"""Inputs with known answers, stored with an export and run again by `verify`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit import Result, Solver
from eigenfit.fitting.compilation import Compiled, Mode
from eigenfit_export.probes.conditions import ULPS, Arrays, Measured, measure, sizes
from eigenfit_export.probes.points import candidates, narrowed
from eigenfit_export.signatures import (
    FIT_TRACE,
    FLOAT32,
    SERVING_DEFAULT,
    Signature,
    signatures_of,
)
from eigenfit_export.starts import Start

FEW, MANY = 3, 25
"""Most steps of a fit that is hard to reproduce, and of any other."""

TINY = np.finfo(np.float64).tiny

_TRACE = "trace_"

_SAME = {SERVING_DEFAULT: FIT_TRACE, "fit": FIT_TRACE, "fit_xla": FIT_TRACE}
"""Functions with the same outputs as another, except the trace."""

_BASIS_DEPENDENT = ("eigenvectors", "history", "memory", "moment", "steps")


class Probe(NamedTuple):
    """One call with its answer."""

    inputs: Arrays  # [b, ...] each
    outputs: Arrays  # [b, ...] each, from eager execution
    allowed: Arrays  # [b] each: differences that rounding explains; not for integers

    def without(self, prefix: str) -> Probe:
        """Returns a probe without the arrays whose names begin with a prefix."""
        fields = (
            {k: x for k, x in field.items() if not k.startswith(prefix)}
            for field in self
        )
        return Probe(*fields)

    def resized(self, batch: int) -> Probe:
        """Returns a probe of fewer or more members; the last, bad one stays last.

        A single member is the first one.
        """
        number = len(next(iter(self.inputs.values())))
        index = np.resize(np.arange(max(1, number - 1)), batch)
        if batch > 1:
            index[-1] = number - 1
        return Probe(*({k: x[index] for k, x in field.items()} for field in self))


def record_probes(
    solver: Solver,
    max_steps_limit: int | None = None,
    batch: int = 4,
    only: Collection[str] | None = None,
    start: Start | None = None,
) -> dict[str, Probe]:
    """Runs every exported function eagerly on generic input.

    Of many points, those are taken whose answers depend least on rounding, and among
    fits one that needs many steps. The last of several members has a NaN among its
    targets, which must not spread to the others (except for `init` and `step`).

    Args:
        solver: Solver that is exported.
        max_steps_limit: As for `signatures_of`.
        batch: Number b of members.
        only: Names of the functions to run; all by default.
        start: As for `signatures_of`.

    Returns:
        A probe for each signature, by name.

    Example:
        >>> import eigenfit as ef
        >>> probes = record_probes(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> probes["serving_default"].outputs["result"].tolist()
        [0, 0, 0, 5]
        >>> bool((probes["fit"].allowed["parameters"] < 1e-12).all())
        True
    """
    eager = signatures_of(solver, max_steps_limit, mode="eager", start=start)
    recorder = _Recorder(solver, max_steps_limit, batch, start)
    known: dict[str, Probe] = {}
    probes: dict[str, Probe] = {}
    for signature in eager:
        if only is not None and signature.name not in only:
            continue
        stem = signature.name.removesuffix(FLOAT32)
        stem = _SAME.get(stem, stem)
        if stem not in known:
            known[stem] = recorder.probe(stem)
        probe = known[stem]
        if stem == FIT_TRACE and not signature.name.startswith(FIT_TRACE):
            probe = probe.without(_TRACE)
        if signature.name.endswith(FLOAT32):
            probe = recorder.in_float32(stem, probe)
        probes[signature.name] = probe
    return probes


def flatten_probes(probes: Mapping[str, Probe]) -> Arrays:
    """Names every array for a file: `name/inputs/key` and `name/outputs/key`."""
    return {
        f"{name}/{kind}/{key}": array
        for name, probe in probes.items()
        for kind in ("inputs", "outputs")
        for key, array in getattr(probe, kind).items()
    }


@dataclass
class _Recorder:
    solver: Solver
    limit: int | None
    batch: int
    start: Start | None

    @cached_property
    def _eager(self) -> dict[str, Signature]:
        return self._signatures(self.solver, "eager")

    @cached_property
    def _traced(self) -> dict[str, Signature]:
        return self._signatures(self.solver, "graph")

    @cached_property
    def _untraced(self) -> dict[str, Signature]:
        # From another solver, whose programs are traced under perturbation.
        solver = Solver(self.solver.problem, self.solver.method)
        programs = solver.programs
        # One trace serves all fits.
        programs.fit = Compiled(
            lambda *given: programs.trace.variant("graph")(*given)[0],
            programs.trace.signature,
        )
        return self._signatures(solver, "graph")

    def _signatures(self, solver: Solver, mode: Mode) -> dict[str, Signature]:
        listed = signatures_of(solver, self.limit, mode, self.start)
        return {signature.name: signature for signature in listed}

    def probe(self, name: str) -> Probe:
        """Chooses inputs of a function and answers them."""
        at_start = name == "fit_from_start" and self.start is not None
        begin = np.array(self.start.parameters[0]) if at_start else None  # type: ignore[union-attr]
        given = candidates(self.solver.problem, begin)
        if name.startswith("fit"):
            return self._fit(name, given)
        if name == "step":
            state = _call(self._eager["init"], given)
            given |= {key: _float32_if_finite(x) for key, x in state.items()}
        return self._answered(name, given, self._measured(name, given))

    def _fit(self, name: str, given: Arrays) -> Probe:
        limit = self.limit or self.solver.method.default_max_steps
        b = len(given["targets"])
        given["tolerance"] = _tolerances(self.solver, given["targets"])
        measured = None
        for steps in (MANY, FEW, 0):
            # Asking for more than the limit shows that it is enforced.
            asked = limit + 2 if limit <= steps else steps
            given["max_steps"] = np.full(b, asked, np.int32)
            measured = _of_use(self._measured(name, given), given["initial"])
            if (measured.stable & (_condition(measured) < self._poor)).any():
                break
        assert measured is not None
        return self._answered(name, given, measured)

    @property
    def _poor(self) -> float:
        dtype = self.solver.problem.parameter_dtype.as_numpy_dtype
        return float(np.finfo(dtype).eps ** 0.25)

    def _measured(self, name: str, given: Arrays) -> Measured:
        # Steps of a fit are slow when run eagerly.
        once, again = self._eager, self._eager
        if name.startswith("fit"):
            once, again = self._traced, self._untraced
        own = {x.name: given[x.name] for x in once[name].inputs}
        dtype = self.solver.problem.parameter_dtype
        return measure(
            partial(_call, once[name]), own, dtype, partial(_call, again[name])
        )

    def _answered(self, name: str, given: Arrays, measured: Measured) -> Probe:
        number = max(1, self.batch - 1)
        index = _chosen(measured, number, self._poor)
        index = np.resize(index, self.batch)
        inputs = {x.name: given[x.name][index] for x in self._eager[name].inputs}
        # Only a fit handles a NaN; what `init` and `step` make of it is arbitrary.
        if self.batch > 1 and "targets" in inputs and name not in ("init", "step"):
            inputs["targets"][-1, 0] = np.nan
        outputs = _call(self._eager[name], inputs)
        allowed = {key: x[index] for key, x in measured.allowed.items()}
        kept = [key for key in outputs if not key.startswith(_BASIS_DEPENDENT)]
        return Probe(
            inputs,
            {key: outputs[key] for key in kept},
            {key: np.nan_to_num(allowed[key]) for key in kept if key in allowed},
        )

    def in_float32(self, name: str, known: Probe) -> Probe:
        """Makes the probe of the function that takes and returns float32."""
        narrow = {
            key: x.astype(np.float32) if x.dtype.kind == "f" else x
            for key, x in known.inputs.items()
        }
        same = all(
            np.array_equal(x, known.inputs[key], equal_nan=x.dtype.kind == "f")
            for key, x in narrow.items()
        )
        outputs = known.outputs if same else _call(self._eager[name], narrow)
        eps = float(np.finfo(np.float32).eps)
        allowed = {
            key: x + ULPS * eps * np.nan_to_num(sizes(outputs[key]))
            for key, x in known.allowed.items()
        }
        return Probe(narrow, {key: outputs[key] for key in known.outputs}, allowed)


def _call(signature: Signature, given: Arrays) -> Arrays:
    arguments = [tf.constant(given[x.name], x.dtype) for x in signature.inputs]
    return {key: x.numpy() for key, x in signature.function(*arguments).items()}


def _of_use(measured: Measured, initial: np.ndarray) -> Measured:
    # A fit whose answer is its start would let any model pass.
    moved = measured.outputs["parameters"] != initial
    return measured._replace(stable=measured.stable & moved.any(axis=1))


def _chosen(measured: Measured, number: int, poor: float) -> np.ndarray:
    """Chooses the best-conditioned members, and first a fit of many steps, if any.

    Equally conditioned members keep the order of `candidates`, nearest start first.
    """
    condition = np.where(measured.stable, _condition(measured), np.inf)
    order = np.argsort(condition, kind="stable")
    steps = measured.outputs.get("num_steps")
    if steps is not None:
        usable = condition[order] < max(poor, condition[order[0]])
        many = order[usable & (steps[order] > FEW)]
        # One that creeps may be stopped by any criterion; prefer one that converged.
        met = many[measured.outputs["result"][many] == int(Result.converged)]
        many = met if met.size else many
        if many.size:
            order = np.concatenate([many[:1], order[order != many[0]]])
    levels = measured.outputs.get("gradient_lower")
    if levels is not None:
        order = np.arange(len(order))  # neighbours ask for different levels
    return order[:number]


def _condition(measured: Measured) -> np.ndarray:
    # Relative differences of the main outputs; a loss near 0 is always uncertain.
    keys = set(measured.allowed)
    keys = keys & {"parameters", "gradient", "product", "eigenvalues"} or keys
    ratios = [
        measured.allowed[key] / np.maximum(sizes(measured.outputs[key]), TINY)
        for key in keys
    ]
    return np.nan_to_num(np.max(ratios, axis=0), nan=np.inf)


def _tolerances(solver: Solver, targets: np.ndarray) -> np.ndarray:
    # The default, and losses of a size that matters, in turn.
    size = np.max(np.abs(targets), axis=1)
    loss = (1e-6 * size) ** 2 * np.sum(solver.problem.roots() ** 2)
    loss[::2] = 0
    return narrowed(loss.astype(targets.dtype))


def _float32_if_finite(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind != "f":
        return x
    with np.errstate(over="ignore"):
        narrow = narrowed(x)
    return np.where(np.isfinite(narrow), narrow, x)
