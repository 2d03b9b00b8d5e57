"""The exported functions: their names, inputs and outputs, all batch-major.

This is the one definition that SavedModel, ONNX, StableHLO and the server share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import tensorflow as tf

from eigenfit import Solution, Solver
from eigenfit.eigen import decompose
from eigenfit.fitting.compilation import Compiled, Mode
from eigenfit.fitting.programs import MOST_TRACED
from eigenfit.tensors.batching import select
from eigenfit_export.drawing import drawing
from eigenfit_export.naming import (
    IMAG,
    REAL,
    join_complex,
    matrix_names,
    split_complex,
    state_names,
)
from eigenfit_export.starts import Start

SERVING_DEFAULT = "serving_default"

FIT_FROM_START = "fit_from_start"
"""Exported only if starts are given."""

FIT_WEIGHTED, FIT_WEIGHTED_FROM_RANDOM = "fit_weighted", "fit_weighted_from_random"
"""Exported only on request."""

FIT_TRACE, FIT_XLA = "fit_trace", "fit_xla"

FLOAT32 = "_float32"
"""Suffix of the functions that take and return float32, for JavaScript."""


@dataclass(frozen=True)
class Signature:
    """One exported function.

    Attributes:
        name: Name under which it is called.
        inputs: Named specs, each `[batch, ...]` with an unknown batch size.
        function: Takes the inputs in this order, returns a dict of outputs, each
            `[batch, ...]`.
        is_compiled: Whether XLA compiles it.
    """

    name: str
    inputs: tuple[tf.TensorSpec, ...]
    function: Callable[..., dict[str, tf.Tensor]]
    is_compiled: bool = False

    @cached_property
    def traced(self) -> Any:
        """The function as a `tf.function`, traced once for all callers."""
        return tf.function(self.function, input_signature=self.inputs, autograph=False)


def signatures_of(
    solver: Solver,
    max_steps_limit: int | None = None,
    mode: Mode = "graph",
    start: Start | None = None,
    weighted: bool = False,
    compiled_default: bool = False,
) -> list[Signature]:
    """Lists the functions that are exported for a solver.

    With b members, p parameters, m targets, N levels, matrices of order n:

    - `serving_default`, also called `fit`: `initial [b, p]`, `targets [b, m]`,
      `tolerance [b]`, `max_steps [b]` int32 -> the fields of `eigenfit.Solution`:
      `parameters`, `matrix [b, n, n]`, `eigenvalues [b, N]`, `loss [b]`, `num_steps`,
      `result [b]` int32;
    - `fit_from_random`: `seed [b]` int32 in place of `initial`, which becomes an
      output;
    - `fit_from_start`, if starts are given: no `initial`, the fit begins at the first
      of these, which becomes an output;
    - `eigenvalues`: `parameters [b, p]` -> `eigenvalues [b, N]`;
    - `gradient`: `parameters`, `targets` -> `loss`, `gradient [b, p]`, `eigenvalues`;
    - `eigengradient`: `matrix [b, n, n]` of any order, whose lower triangle is read,
      `level [b]` int32 (negative ones count from the top) -> `eigenvalues [b, n]`,
      and the derivative of that level by the matrix, `gradient [b, n, n]`
      (symmetric, `v v^H`) and `gradient_lower` (by the entries of the lower triangle,
      as TensorFlow counts them);
    - `hessian_vector_product`: `parameters`, `targets`, `vector [b, p]` -> `product`;
      not for problems that observe mode shapes;
    - `init`: `initial`, `targets` -> the state of the method, one tensor per field;
    - `step`: the state and `targets` -> the new state;
    - `fit_trace`: as `fit`, with its path: up to 65 snapshots of each member, evenly
      spaced from its start to its end, which is repeated in the places left over:
      `trace_steps [b, 65]` int32, `trace_eigenvalues [b, 65, N]`, `trace_loss
      [b, 65]`; for at most 144 parameters `trace_parameters [b, 65, p]`, and then, for
      matrices with at most 144 entries in all, `trace_matrix [b, 65, n, n]`;
    - `fit_xla`: the fit compiled by XLA;
    - all but `serving_default` and `fit_xla` once more with the suffix `_float32`,
      which take and return float32 and compute in the dtype of the problem.

    With `weighted` there are also `fit_weighted` and `fit_weighted_from_random`, which
    take `weights [b, m]` after `targets`: positive, they replace the weights and
    standard deviations of the problem, which the other functions use.

    `tolerance` is a loss, or 0 for the default, which is relative to the targets.

    A bad member gets a result code or NaN, and never disturbs the others. Complex
    tensors and several matrices are named as in `naming`.

    Args:
        solver: Solver to export.
        max_steps_limit: Largest `max_steps`; higher ones are clipped inside the graph.
            The method's own limit by default.
        mode: How the functions run; graph mode is what is exported, since TensorFlow
            Serving refuses what XLA compiles unless started with a flag.
        start: Start, or distribution of starts; the natural draw by default.
        weighted: Whether to list the functions that take weights per member.
        compiled_default: Whether XLA compiles `serving_default`, as `fit_xla`.

    Example:
        >>> import eigenfit as ef
        >>> found = signatures_of(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> [s.name for s in found][:4]
        ['serving_default', 'fit', 'fit_from_random', 'eigenvalues']
    """
    if max_steps_limit is None:
        max_steps_limit = int(solver.method.default_max_steps)
    start = start or Start()
    own = _Functions(solver, max_steps_limit, mode, start)
    programs, problem = solver.programs, solver.problem
    initial, targets, tolerance, max_steps = programs.fit.signature
    parameters = tf.TensorSpec(initial.shape, initial.dtype, "parameters")
    vector = tf.TensorSpec(initial.shape, initial.dtype, "vector")
    seed = tf.TensorSpec([None], tf.int32, "seed")
    level = tf.TensorSpec([None], tf.int32, "level")
    square = tf.TensorSpec([None, None, None], initial.dtype)
    parts = [REAL, IMAG] if own.is_complex else [""]
    matrix = [tf.TensorSpec(square.shape, square.dtype, f"matrix{x}") for x in parts]
    fit = (initial, targets, tolerance, max_steps)
    random = (seed, targets, tolerance, max_steps)
    pointwise = [
        Signature("fit", fit, own.fit),
        Signature("fit_from_random", random, own.fit_from_random),
        *(
            [Signature(FIT_FROM_START, random[1:], own.fit_from_start)]
            if start.parameters
            else []
        ),
        Signature("eigenvalues", (parameters,), own.eigenvalues),
        Signature("gradient", (parameters, targets), own.gradient),
        Signature("eigengradient", (*matrix, level), own.eigengradient),
        Signature("hessian_vector_product", (parameters, targets, vector), own.product),
        Signature("init", (initial, targets), own.init),
        Signature("step", (*own.state_specs, targets), own.step),
        Signature(FIT_TRACE, fit, own.fit_trace),
    ]
    if problem.has_modes:
        pointwise = [x for x in pointwise if x.name != "hessian_vector_product"]
    compiled = Signature(FIT_XLA, fit, own.fit_xla, is_compiled=True)
    chosen = compiled if compiled_default else pointwise[0]
    default = replace(chosen, name=SERVING_DEFAULT)
    dtype = problem.parameter_dtype
    narrow = [_in_float32(signature, dtype, mode) for signature in pointwise]
    result = [default, *pointwise, compiled, *narrow]
    if weighted:
        given = programs.weighted_fit.signature
        drawn = (seed, *given[1:])
        result += [
            Signature(FIT_WEIGHTED, tuple(given), own.fit_weighted),
            Signature(FIT_WEIGHTED_FROM_RANDOM, drawn, own.fit_weighted_from_random),
        ]
    return result


class _Functions:
    """The functions of a solver, each with one batch dimension."""

    def __init__(
        self, solver: Solver, max_steps_limit: int, mode: Mode, start: Start
    ) -> None:
        self._programs, self._problem = solver.programs, solver.problem
        self._limit = max_steps_limit
        self._mode: Mode = mode
        blocks = solver.problem.blocks
        self.is_complex = any(b.structure.dtype.is_complex for b in blocks)
        self._matrices = matrix_names(solver.problem)
        self._draw = drawing(solver.problem, start)
        self._start = start.parameters[:1]
        self._state = self._programs.init.output_specs()
        self._names = state_names(self._state)
        flat = zip(self._names, tf.nest.flatten(self._state), strict=True)
        self.state_specs = [spec for pair in flat for spec in _real_specs(*pair)]

    def fit(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._fit(self._mode, arguments)

    def fit_xla(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._fit("eager" if self._mode == "eager" else "xla", arguments)

    def fit_from_random(
        self, seed: tf.Tensor, targets: tf.Tensor, *limits: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        initial = self._draw(seed, targets)
        return {
            "initial": initial,
            **self._fit(self._mode, (initial, targets, *limits)),
        }

    def fit_weighted(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._run(self._programs.weighted_fit, self._mode, arguments)

    def fit_weighted_from_random(
        self, seed: tf.Tensor, targets: tf.Tensor, *others: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        initial = self._draw(seed, targets)
        return {"initial": initial, **self.fit_weighted(initial, targets, *others)}

    def fit_from_start(
        self, targets: tf.Tensor, *limits: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        start = tf.constant(self._start, targets.dtype)
        initial = tf.tile(start, [tf.shape(targets)[0], 1])
        return {
            "initial": initial,
            **self._fit(self._mode, (initial, targets, *limits)),
        }

    def fit_trace(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        *others, max_steps = arguments
        max_steps = tf.minimum(max_steps, self._limit)
        answer, trace = self._programs.trace.variant(self._mode)(*others, max_steps)
        named = self._fields(answer)
        matrices = [named[name] for name in self._matrices]
        entries = sum(x.shape[-2] * x.shape[-1] for x in matrices)
        if "parameters" in trace and entries <= MOST_TRACED:
            traced = self._traced_matrices(trace["parameters"])
            trace.update(zip(self._matrices, traced, strict=True))
        named.update((f"trace_{name}", x) for name, x in trace.items())
        return split_complex(named)

    def _traced_matrices(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        # Bad members have NaN parameters, from which not every structure can assemble.
        b, h, p = tf.unstack(tf.shape(parameters))
        flat = tf.reshape(parameters, [b * h, p])
        bad = tf.reduce_any(tf.math.is_nan(flat), axis=-1)
        A = self._problem.matrix(select(bad, tf.zeros_like(flat), flat))

        def snapshots(x: tf.Tensor) -> tf.Tensor:
            x = select(bad, x * float("nan"), x)
            shape = [*parameters.shape[:2], *x.shape[1:]]
            return tf.ensure_shape(tf.reshape(x, [b, h, *x.shape[1:]]), shape)

        return [snapshots(x) for x in tf.nest.flatten(A)]

    def eigenvalues(self, parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        # Not the differentiable function: a SavedModel cannot hold its gradient.
        shape = [tf.shape(parameters)[0], self._problem.num_targets]
        point = self._problem.evaluate(parameters, tf.zeros(shape, parameters.dtype))
        return {"eigenvalues": point.eigenvalues}

    def gradient(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._programs.gradient.variant(self._mode)(*arguments)._asdict()

    def eigengradient(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        *parts, level = arguments
        A = tf.complex(*parts) if self.is_complex else parts[0]
        w, V = decompose(A)
        n = tf.shape(A)[-1]
        place = tf.where(level < 0, level + n, level)
        known = (place >= 0) & (place < n)
        place = tf.clip_by_value(place, 0, n - 1)
        v = tf.gather(V, place, axis=2, batch_dims=1)
        G = v[:, :, tf.newaxis] * tf.math.conj(v)[:, tf.newaxis, :]
        lower = tf.linalg.band_part(2 * G, -1, 0) - tf.linalg.band_part(G, 0, 0)
        nan = tf.constant(float("nan"), w.dtype)
        known = known[:, tf.newaxis, tf.newaxis]
        G, lower = (tf.where(known, x, tf.cast(nan, x.dtype)) for x in (G, lower))
        return split_complex({"eigenvalues": w, "gradient": G, "gradient_lower": lower})

    def product(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"product": self._problem.hessian_vector_product(*arguments)}

    def init(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._named(self._programs.init.variant(self._mode)(*arguments))

    def step(self, *arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        *fields, targets = arguments
        names = [spec.name for spec in self.state_specs]
        joined = join_complex(dict(zip(names, fields, strict=True)))
        flat = [joined[name] for name in self._names]
        state = tf.nest.pack_sequence_as(self._state, flat)
        program = self._programs.step.variant(self._mode)
        return self._named(program(state, targets))

    def _fit(self, mode: Mode, arguments: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._run(self._programs.fit, mode, arguments)

    def _run(
        self, program: Compiled, mode: Mode, arguments: Sequence[tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        *others, max_steps = arguments
        max_steps = tf.minimum(max_steps, self._limit)
        answer = program.variant(mode)(*others, max_steps)
        return split_complex(self._fields(answer))

    def _fields(self, answer: Sequence[Any]) -> dict[str, tf.Tensor]:
        named: dict[str, Any] = dict(zip(Solution._fields, answer, strict=False))
        matrices = tf.nest.flatten(named.pop("matrix"))
        named.update(zip(self._matrices, matrices, strict=True))
        return named

    def _named(self, state: Any) -> dict[str, tf.Tensor]:
        flat = tf.nest.flatten(state)
        return split_complex(dict(zip(self._names, flat, strict=True)))


def _real_specs(name: str, spec: tf.TensorSpec) -> list[tf.TensorSpec]:
    if not spec.dtype.is_complex:
        return [tf.TensorSpec(spec.shape, spec.dtype, name)]
    dtype = spec.dtype.real_dtype
    return [tf.TensorSpec(spec.shape, dtype, name + part) for part in (REAL, IMAG)]


def _in_float32(signature: Signature, dtype: tf.DType, mode: Mode) -> Signature:
    # TensorFlow's JavaScript bindings have no float64 tensors.
    def function(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        wide = [tf.cast(x, dtype) if x.dtype.is_floating else x for x in arguments]
        program = signature.traced if mode == "graph" else signature.function
        outputs = program(*wide)
        return {
            name: tf.cast(x, tf.float32) if x.dtype.is_floating else x
            for name, x in outputs.items()
        }

    inputs = tuple(
        tf.TensorSpec(
            spec.shape, tf.float32 if spec.dtype.is_floating else spec.dtype, spec.name
        )
        for spec in signature.inputs
    )
    return Signature(signature.name + FLOAT32, inputs, function)
