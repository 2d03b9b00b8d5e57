"""The functions exported to ONNX: their names, inputs and outputs, all batch-major.

Names are those of `eigenfit_export.signatures` wherever it has the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

import eigenfit
from eigenfit import Levels, Problem, Solver
from eigenfit.observations.robust import Losses
from eigenfit_export.naming import matrix_names
from eigenfit_export.onnx.check import check
from eigenfit_export.onnx.convert import convert
from eigenfit_export.onnx.eigensolver import symmetric_eigh
from eigenfit_export.onnx.fit import fit as fit_batch
from eigenfit_export.onnx.portable import portable

Outputs = dict[str, tf.Tensor]


@dataclass(frozen=True)
class Program:
    """One function for one model.

    Attributes:
        name: Name of the function.
        dtype: `float32` or `float64`.
        inputs: Specs, each `[batch, ...]`; the first dimension is None, and others
            that are None have the same size n.
        function: Takes the inputs in this order, returns the outputs by name.
        facts: Metadata of the model: problem, method, limits.
    """

    name: str
    dtype: str
    inputs: tuple[tf.TensorSpec, ...]
    function: Callable[..., Outputs]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """The name of the model's file, such as `fit_float64.onnx`."""
        return f"{self.name}_{self.dtype}.onnx"

    def model(self) -> Any:
        """Converts and checks the function; returns an `onnx.ModelProto`.

        Raises:
            ImportError: If the packages of the extra `onnx` are missing.
            ValueError: If it needs an operator that ONNX lacks.
        """
        facts = {"eigenfit": eigenfit.__version__, **self.facts}
        model = convert(self.function, self.inputs, self.name, facts)
        check(model)
        return model


def eigh(dtype: str, order: int | None = None) -> Program:
    """Decomposes: `matrix [b, n, n]` -> `eigenvalues [b, n]`, `eigenvectors [b, n, n]`.

    Args:
        dtype: `float32` or `float64`.
        order: Order n; None for a model that takes any. A fixed order of at most 4
            makes the model three times as fast.

    Example:
        >>> eigh("float64").inputs[0].shape
        TensorShape([None, None, None])
    """

    def function(matrix: tf.Tensor) -> Outputs:
        w, V = symmetric_eigh(matrix)
        return {"eigenvalues": w, "eigenvectors": V}

    return Program("eigh", dtype, (_matrix(dtype, order),), function)


def eigengradient(dtype: str, order: int | None = None) -> Program:
    """Differentiates a level by the matrix.

    `matrix [b, n, n]`, `level [b]` int32 (negative ones count from the top) ->
    `eigenvalues [b, n]`, and the derivative of the chosen one, `gradient [b, n, n]`, by
    symmetric changes (`v v^T`), and `gradient_lower`, by the entries of the lower
    triangle, as TensorFlow counts them. A level that does not exist gives NaN. For a
    multiple eigenvalue only the sum over its levels is well defined.

    Args:
        dtype: `float32` or `float64`.
        order: As for `eigh`.

    Example:
        >>> [x.name for x in eigengradient("float64").inputs]
        ['matrix', 'level']
    """

    def function(matrix: tf.Tensor, level: tf.Tensor) -> Outputs:
        w, V = symmetric_eigh(matrix)
        n = tf.shape(matrix)[1]
        place = tf.where(level < 0, level + n, level)
        known = (place >= 0) & (place < n)
        place = tf.minimum(tf.maximum(place, 0), n - 1)
        rows = tf.transpose(V, [0, 2, 1])
        v = tf.gather_nd(rows, place[:, tf.newaxis], batch_dims=1)
        v = tf.where(known[:, tf.newaxis], v, _nan(v))
        G = v[:, :, tf.newaxis] * v[:, tf.newaxis, :]
        return {"eigenvalues": w, "gradient": G, "gradient_lower": _lower(G)}

    level = tf.TensorSpec([None], tf.int32, "level")
    return Program("eigengradient", dtype, (_matrix(dtype, order), level), function)


def loss_gradient(dtype: str, order: int | None = None) -> Program:
    """Differentiates `loss = sum_i weights_i (lambda_i - targets_i)^2` by the matrix.

    `matrix [b, n, n]`, `targets [b, n]`, `weights [b, n]` -> `loss [b]`,
    `eigenvalues [b, n]`, and `gradient`, `gradient_lower [b, n, n]` as in
    `eigengradient`.

    Args:
        dtype: `float32` or `float64`.
        order: As for `eigh`.

    Example:
        >>> [x.name for x in loss_gradient("float32", 3).inputs]
        ['matrix', 'targets', 'weights']
    """

    def function(matrix: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> Outputs:
        w, V = symmetric_eigh(matrix)
        loss, slope = _loss(w, targets, weights)
        G = tf.linalg.matmul(V * slope[:, tf.newaxis], tf.transpose(V, [0, 2, 1]))
        return {
            "loss": loss,
            "eigenvalues": w,
            "gradient": G,
            "gradient_lower": _lower(G),
        }

    targets = tf.TensorSpec([None, order], dtype, "targets")
    weights = tf.TensorSpec([None, order], dtype, "weights")
    inputs = (_matrix(dtype, order), targets, weights)
    return Program("loss_gradient", dtype, inputs, function)


def gradient(solver: Solver) -> Program:
    """Differentiates the loss of a problem by its parameters.

    `parameters [b, p]`, `targets [b, m]` -> `loss [b]`, `gradient [b, p]`,
    `eigenvalues [b, n]`.

    Args:
        solver: Solver of a problem with one matrix whose levels are observed.

    Example:
        >>> import eigenfit as ef
        >>> program = gradient(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> [x.name for x in program.inputs]
        ['parameters', 'targets']
    """
    problem = portable(solver.problem)
    weights = tf.constant(problem.roots() ** 2, problem.parameter_dtype)

    def function(parameters: tf.Tensor, targets: tf.Tensor) -> Outputs:
        return _parameter_gradient(problem, parameters, targets, weights)

    return _gradient_program("gradient", solver, function, ("parameters", "targets"))


def weighted_gradient(solver: Solver) -> Program:
    """Like `gradient`, with `weights [b, m]` as a third input.

    Args:
        solver: As for `gradient`; the weights of its problem are ignored.

    Example:
        >>> import eigenfit as ef
        >>> program = weighted_gradient(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> [x.name for x in program.inputs]
        ['parameters', 'targets', 'weights']
    """
    problem = portable(solver.problem)

    def function(*arguments: tf.Tensor) -> Outputs:
        return _parameter_gradient(problem, *arguments)

    names = ("parameters", "targets", "weights")
    return _gradient_program("weighted_gradient", solver, function, names)


def _gradient_program(
    name: str,
    solver: Solver,
    function: Callable[..., Outputs],
    names: tuple[str, ...],
) -> Program:
    problem = solver.problem
    dtype = problem.parameter_dtype
    inputs = tuple(
        tf.TensorSpec(
            [
                None,
                problem.num_parameters if x == "parameters" else problem.num_targets,
            ],
            dtype,
            x,
        )
        for x in names
    )
    return Program(name, dtype.name, inputs, function, _facts(solver))


def _parameter_gradient(
    problem: Problem, parameters: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
) -> Outputs:
    n, m = problem.structure.order, problem.num_targets
    (observed,) = problem.observations
    assert isinstance(observed, Levels)
    positions = observed.positions(n)
    place = np.full(n, m)  # index of each level among the targets, m for none
    place[positions] = np.arange(m)
    w, V = symmetric_eigh(problem.matrix(parameters))
    known = tf.gather(w, positions, axis=1)
    loss, slope = _loss(known, targets, weights, problem.observed.losses)
    padded = tf.concat([slope, tf.zeros_like(slope[:, :1])], axis=1)
    scaled = V * tf.gather(padded, place, axis=1)[:, tf.newaxis]
    G = tf.linalg.matmul(scaled, tf.transpose(V, [0, 2, 1]))
    by_parameter = problem.pull_matrix(parameters, G)
    return {"loss": loss, "gradient": by_parameter, "eigenvalues": w}


def fit(solver: Solver, max_steps_limit: int | None = None) -> Program:
    """Fits: `initial`, `targets`, `tolerance`, `max_steps` -> `eigenfit.Solution`.

    Args:
        solver: Solver whose problem and method are exported.
        max_steps_limit: Largest `max_steps`; higher ones are clipped inside the model.
            The method's own limit by default.

    Example:
        >>> import eigenfit as ef
        >>> program = fit(ef.Solver(ef.Problem(ef.Symmetric(2))))
        >>> [x.name for x in program.inputs]
        ['initial', 'targets', 'tolerance', 'max_steps']
    """
    problem = portable(solver.problem)
    limit = max_steps_limit or solver.method.default_max_steps

    def function(*arguments: tf.Tensor) -> Outputs:
        initial, targets, tolerance, max_steps = arguments
        steps = tf.minimum(max_steps, limit)
        answer = fit_batch(problem, solver.method, initial, targets, tolerance, steps)
        matrices = tf.nest.flatten(answer.pop("matrix"))
        return answer | dict(zip(matrix_names(problem), matrices, strict=True))

    inputs = tuple(solver.programs.fit.signature)
    facts = _facts(solver) | {"max_steps_limit": str(limit)}
    return Program("fit", problem.parameter_dtype.name, inputs, function, facts)


def _facts(solver: Solver) -> dict[str, str]:
    return {"problem": repr(solver.problem), "method": repr(solver.method)}


def _matrix(dtype: str, order: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([None, order, order], dtype, "matrix")


def _lower(G: tf.Tensor) -> tf.Tensor:
    # Twice below the diagonal, once on it, zero above.
    i = tf.range(tf.shape(G)[1])
    i, j = i[:, tf.newaxis], i
    factor = 2 * tf.cast(i > j, G.dtype) + tf.cast(tf.equal(i, j), G.dtype)
    return G * factor


def _loss(
    w: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, losses: Losses | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    # The loss, and its derivatives by the levels w.
    residual = w - targets
    slope = factor = weights * residual
    if losses is not None:
        roots = tf.sqrt(weights)
        residual = factor = losses.root(roots * residual)
        slope = roots * residual * losses.slope(residual)
    # One matrix product per member, see `eigensolver`.
    loss = tf.linalg.matmul(factor[:, tf.newaxis], residual[:, :, tf.newaxis])
    return loss[:, 0, 0], 2 * slope


def _nan(like: tf.Tensor) -> tf.Tensor:
    return tf.constant(float("nan"), like.dtype)
