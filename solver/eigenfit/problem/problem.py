"""A structure and the observation of its spectrum: residual, loss, derivatives."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import (
    decompose,
    eigvalsh,
    epsilon,
    from_spectrum,
    loewner,
    rotate,
    rounding_width,
    spectral_loss,
    unrotate,
)
from eigenfit.observations import AbstractObservation, Levels, Spectrum
from eigenfit.problem.blocks import Block
from eigenfit.problem.evaluations import Evaluation, Point, answer_at
from eigenfit.problem.lengths import matrices_at
from eigenfit.problem.parameters import Parameters
from eigenfit.problem.priors import PriorRows
from eigenfit.problem.unknowns import Unknowns
from eigenfit.structures import AbstractStructure, Reparametrized

__all__ = ["Evaluation", "Point", "Problem", "answer_at"]


_MOST_NUMBERS = 2**16
"""Most numbers in the matrices dA/dr_k for their norms to be computed in a fit."""


class Problem(Unknowns):
    """Asks for parameters that put the observed levels of a matrix at their targets.

    Targets are arguments of every function, never part of the problem. The functions
    take `parameters [..., p]`, the unknowns, and `targets [..., m]`, both of
    `parameter_dtype` and with the same batch dimensions.

    This class handles one matrix whose levels are observed; several matrices that
    share their parameters, other observations or priors make it a `JointProblem`.

    Args:
        structure: The structure of the matrix, or a list of `Block`s.
        observation: What is compared with the targets; all levels by default. Only
            for a single structure.
        parameters: Names, bounds, ties and the like; all free by default.
        observations: Joint observations of the levels of several blocks, or several
            observations of a single structure.
        name: Name of the `tf.Module`.

    Attributes:
        num_targets: Number m of targets.
        is_plain: Whether it is of one matrix whose levels are observed.
        labels: One for each block.
        block_ties: `[P, p]`, the parameters of the blocks by the unknowns; None if they
            are the same. A single structure has its ties built in.
        prior: What is known of the unknowns beforehand, or None.
        has_modes: Whether mode shapes are observed.
        unit: `[...]`, in which residuals are measured; None for 1. See `in_unit`.
        member_weights: `[b, m]`, of the squared deviations; () where those of the
            observations hold. See `with_weights`.

    Raises:
        TypeError: If `structure` or `observation` has the wrong type.
        ValueError: If an observation does not fit the order of its structure, or
            `parameters` does not fit their number.

    Example:
        >>> from eigenfit.structures import Symmetric
        >>> problem = Problem(Symmetric(2))
        >>> problem.loss(tf.constant([3.0, 1.0, 0.0], tf.float64), [1.0, 1.0]).numpy()
        np.float64(4.0)
    """

    is_plain = True
    has_modes = False
    labels: tuple[str, ...] = ("",)
    prior: PriorRows | None = None
    block_ties: np.ndarray | None = None
    unit: tf.Tensor | None = None
    member_weights: tf.Tensor | tuple[()] = ()
    _units: tuple[tf.Tensor, ...]  # the unit, with 0, 1 and 2 more dimensions

    def __new__(
        cls,
        structure: Any = None,
        observation: Any = None,
        *,
        parameters: Parameters | None = None,
        observations: Any = None,
        name: str | None = None,
    ) -> Problem:
        """Chooses the class, as `pathlib.Path` does."""
        from eigenfit.problem.joint import JointProblem

        if isinstance(structure, AbstractStructure):
            observation, observations = _single(observation, observations)
        plain = (
            isinstance(structure, AbstractStructure)
            and (observation is None or isinstance(observation, Levels))
            and observations is None
            and not getattr(parameters, "prior", None)
        )
        other = isinstance(structure, (list, tuple, AbstractStructure))
        if cls is Problem and other and not plain:
            return super().__new__(JointProblem)
        return super().__new__(cls)

    def __init__(
        self,
        structure: AbstractStructure | Sequence[Any],
        observation: AbstractObservation | None = None,
        *,
        parameters: Parameters | None = None,
        observations: Sequence[AbstractObservation] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        observation, _ = _single(observation, observations)
        if not isinstance(structure, AbstractStructure):
            raise TypeError(
                f"`structure` must be a structure such as Symmetric(3), or a list of "
                f"Blocks, got {structure!r}."
            )
        if observation is None:
            observation = Levels()
        assert isinstance(observation, Levels)
        resolved = self._resolve(parameters, structure.num_parameters)
        if resolved.matrix is not None:
            structure = Reparametrized(structure, resolved.matrix, resolved.offset)
        self.structure = structure
        self.observation = observation
        self.num_targets = observation.num_targets(structure.order)

    def __repr__(self) -> str:
        return f"Problem({self.structure!r}, {self.observation!r})"

    @property
    def order(self) -> int:
        """Order n of the matrix, or of the largest one if there are several."""
        return self.structure.order

    @property
    def num_levels(self) -> int:
        """Total number of levels of all matrices."""
        return self.structure.order

    @property
    def has_sigma(self) -> bool:
        """Whether all targets have standard deviations."""
        return self.observation.has_sigma

    @property
    def observations(self) -> tuple[AbstractObservation, ...]:
        """The o observations, in the order of their targets."""
        return (self.observation,)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The matrices, each with its observations."""
        return (Block(self.structure, self.observation),)

    @property
    def terms(self) -> tuple[tuple[str | None, AbstractObservation, slice], ...]:
        """Label of the block (None: joint), observation and targets of each."""
        return (("", self.observation, slice(0, self.num_targets)),)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Slice of the targets that belongs to each observation."""
        return (slice(0, self.num_targets),)

    @property
    def num_data(self) -> int:
        """Number of data that can disagree with a model.

        Targets and priors, less the targets that a normalisation makes trivial and the
        free shifts that are fitted as well.
        """
        return self.num_targets

    @property
    def num_priors(self) -> int:
        """Number q of priors."""
        return 0

    @property
    def is_least_squares(self) -> bool:
        """Whether data need not be met exactly.

        That is so if there are more data than unknowns, some have standard deviations,
        or there are priors: a fit then looks for a minimum of the loss.
        """
        return self.has_errors or self.num_data > self.num_parameters

    @property
    def has_errors(self) -> bool:
        """Whether some target has a standard deviation, or there are priors."""
        return self.observation.has_sigma

    @property
    def parameter_dtype(self) -> tf.DType:
        """The real dtype of parameters, targets, eigenvalues and loss."""
        return self.structure.parameter_dtype

    def with_weights(self, weights: tf.Tensor) -> Problem:
        """Returns this problem with weights for each member of a batch.

        They replace the weights and standard deviations of the observations.

        Args:
            weights: `[b, m]`, weights of the squared deviations, positive; functions
                of the problem then take batches of b members.
        """
        own = copy.copy(self)
        own.member_weights = weights
        own.observation = self.observation.with_weights(weights)
        return own

    def in_unit(self, unit: tf.Tensor, weights: tf.Tensor | tuple[()] = ()) -> Problem:
        """Returns this problem with residuals measured in a unit.

        Residuals and their derivatives are divided by it, losses by its square, so
        that squares neither underflow nor overflow, whatever the unit of the levels.

        Args:
            unit: `[...]`, positive, one for each member.
            weights: `[b, m]`, weights of these members; () if they have none of their
                own.
        """
        same = isinstance(weights, tuple)
        scaled = copy.copy(self) if same else self.with_weights(weights)
        scaled.unit = unit
        wide = unit[..., tf.newaxis]
        scaled._units = (unit, wide, wide[..., tf.newaxis])
        return scaled

    def in_own_unit(self, x: tf.Tensor, power: int = 1) -> tf.Tensor:
        """Divides a tensor `[..., *]` by the unit to a power, which may be negative."""
        if self.unit is None:
            return x
        unit = tf.cast(self._units[x.shape.rank - self.unit.shape.rank], x.dtype)
        for _ in range(abs(power)):  # A square may leave the range of the dtype.
            x = x / unit if power > 0 else x * unit
        return x

    def natural_size(
        self, parameters: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes the natural size of residuals, by which they count as small.

        With u the largest magnitude of the targets of an observation, or of the values
        that the norm of the matrix allows if all are 0, a residual has the natural size
        `root_i u`, where `root_i` is the root of its weight.

        Args:
            parameters: `[..., p]`, where the matrix is evaluated.
            targets: `[..., m]`.

        Returns:
            A unit for residuals, `[...]`: the largest size, or what the matrix allows
            if that is larger (by up to 1e92, 1e11 in single precision), 1 if it is 0
            or not finite; and the norm of all sizes, in this unit.
        """
        norms = self._norms(parameters)
        size = self._sizes(norms, targets)
        allowed = self._sizes(norms, tf.zeros_like(targets))
        largest = tf.reduce_max(tf.maximum(size, allowed), axis=-1)
        # Squares of residuals far below the targets must not underflow either, however
        # large the matrix is at the start.
        own = tf.reduce_max(size, axis=-1) * size.dtype.max**0.3
        largest = tf.where(own > 0, tf.minimum(largest, own), largest)
        usable = (largest > 0) & tf.math.is_finite(largest)
        unit = tf.where(usable, largest, tf.ones_like(largest))
        # A power of two, so that dividing by it rounds nothing.
        exponent = tf.round(tf.math.log(unit) / math.log(2))
        unit = tf.pow(tf.constant(2, unit.dtype), exponent)
        return unit, tf.norm(size / unit[..., tf.newaxis], axis=-1)

    def sizes_of_parts(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the natural size of each observation's residual: `[..., o]`.

        As `natural_size`, in the unit of residuals, but for each observation alone,
        since one in other units must not hide that another is missed. Targets that
        are all 0 have no size: the machine epsilon times what the matrix allows is
        used, which is far below what can be met by chance.

        Args:
            parameters: `[..., p]`, where the matrix is evaluated.
            targets: `[..., m]`.
        """
        least = [epsilon(targets.dtype) * x for x in self._norms(parameters)]
        size = self._sizes(least, targets)
        return self.norms_of_parts(self.in_own_unit(size))

    def norms_of_parts(self, x: tf.Tensor) -> tf.Tensor:
        """Computes the norm of each observation's part of `[..., m + q]`: `[..., o]`.

        Priors have no part.
        """
        if len(self.parts) == 1:
            return tf.norm(x[..., self.parts[0]], axis=-1, keepdims=True)
        largest = tf.stack(
            [tf.reduce_max(tf.abs(x[..., part]), axis=-1) for part in self.parts], -1
        )
        # Squares of what is small compared with another observation may underflow.
        unit = tf.where(largest > 0, largest, tf.ones_like(largest))
        norms = [
            tf.norm(x[..., part] / unit[..., k : k + 1], axis=-1)
            for k, part in enumerate(self.parts)
        ]
        return unit * tf.stack(norms, axis=-1)

    def _norms(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        # Norm of the matrix of each block, [..., 1].
        return [matrix_norm(self.structure.assemble(parameters))]

    def _sizes(self, norms: list[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        # Natural size of each value; from `norms` if all targets are 0.
        size = self.observation.natural_size(targets, norms[0])
        return self.observation.weighted(tf.zeros_like(targets) + size)

    def ordered(self, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have targets `[..., m]` in a valid order: `[...]`."""
        return self.observation.ordered(targets, self.order)

    def check_targets(self, targets: np.ndarray) -> None:
        """Rejects targets `[..., m]` that no spectrum can have."""
        self.observation.check_targets(targets, self.order)

    def squared_norms(self) -> np.ndarray | None:
        """Returns the squared parameter scales `[p]` if they are constant, or None."""
        if self.observation.weights is not None:
            return None  # With weights the Jacobian's columns are scaled differently.
        return self.structure.squared_norms()

    def most_squared(self, parameters: tf.Tensor) -> tf.Tensor | None:
        """Bounds the squared column norms of the Jacobian, roughly: `[..., p]`.

        The bound is `|dA/dr_k|^2` at the parameters times the largest weight; None if
        these matrices take too much memory.

        Args:
            parameters: `[..., p]`.
        """
        squares = derivative_norms(self.structure, parameters)
        if squares is None:
            return None
        if isinstance(self.member_weights, tuple):
            return self.in_own_unit(squares * float(self.roots().max()) ** 2, 2)
        most = tf.reduce_max(self.member_weights, axis=-1, keepdims=True)
        return self.in_own_unit(squares * most, 2)

    def matrix(self, parameters: tf.Tensor) -> Any:
        """Builds the matrix `[..., n, n]`; a tuple of them for several blocks."""
        return self.structure.assemble(parameters)

    def split(self, eigenvalues: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Splits levels `[..., N]` by block: `[..., n]` each."""
        return (eigenvalues,)

    def values(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the values to compare with targets, in their unit: `[..., m]`."""
        point = self.evaluate(parameters, targets)
        return self.observation.measure(point.eigenvalues, None, targets)

    def roots(self) -> np.ndarray:
        """Returns the square roots of the weights of all targets, `[m]`."""
        return self.observation.roots(self.order)

    def at_kink(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have coinciding levels that should differ: `[...]`."""
        if self.order == 1:
            return tf.zeros_like(point.loss, tf.bool)
        w = point.eigenvalues
        close = w[..., 1:] - w[..., :-1] <= rounding_width(w)[..., tf.newaxis]
        t, weights = self.observation.spread(targets, self.order)
        differ = t[..., 1:] != t[..., :-1]
        if weights is not None:
            differ |= weights[..., 1:] != weights[..., :-1]
        return tf.reduce_any(close & differ, axis=-1)

    def level_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivatives of all levels, `[..., N, p]`."""
        return self.structure.level_jacobian(point.parameters, point.eigenvectors)

    def of_blocks(self, parameters: tf.Tensor) -> tf.Tensor:
        """Gives the parameters of the blocks, `[..., P]`, for unknowns `[..., p]`."""
        return parameters

    def eigenvectors_of(self, block: int, point: Any) -> tf.Tensor:
        """Gives the eigenvectors of a block, `[..., n, n]` in columns."""
        del block
        return point.eigenvectors

    def modes(self, parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Computes the mode shapes of each matrix, `[..., n, n]` in columns."""
        r = tf.convert_to_tensor(parameters, self.parameter_dtype)
        V = decompose(self.structure.assemble(r))[1]
        return (self.structure.modes(r, V),)

    def rounding(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Returns the norm of a residual that rounding of the levels may hide: `[...]`.

        A level is known to `2 eps max |lambda|` of its matrix; each observation turns
        that into an error of its values.

        Args:
            eigenvalues: `[..., N]`, all levels.
            targets: `[..., m]`.
        """
        errors = self._rounding(eigenvalues, targets)
        return tf.norm(self.in_own_unit(errors), axis=-1)

    def rounding_at(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns each value's rounding from backward errors at a point: `[..., m]`.

        This is far less than `rounding` where the observed levels are far below the
        largest.

        Args:
            point: Result of `evaluate` for the same targets.
            targets: `[..., m]`.
        """
        r = self.of_blocks(point.parameters)
        errors = [
            Spectrum(structure, r, w, V, w).backward_errors
            for structure, w, V in matrices_at(self, point)
        ]
        errors = self.value_errors(
            point.eigenvalues, 2 * tf.concat(errors, axis=-1), targets
        )
        return self.in_own_unit(errors)

    def value_errors(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Bounds the effect of level errors on the weighted residual: `[..., m]`.

        Args:
            eigenvalues: `[..., N]`, all levels.
            errors: `[..., N]`, their largest errors, far below the gaps.
            targets: `[..., m]`.
        """
        return self.observation.weighted(
            self.observation.rounding(eigenvalues, errors, targets)
        )

    def _rounding(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        # Rounding of the weighted residual, [..., m].
        errors = [level_errors(w) for w in self.split(eigenvalues)]
        return self.value_errors(eigenvalues, tf.concat(errors, axis=-1), targets)

    def pull_matrix(
        self, parameters: tf.Tensor, G: tf.Tensor | Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Applies the adjoint of the derivative of `matrix`: `[..., p]`."""
        return self.structure.pullback(parameters, G)

    def weighted(self, residual: tf.Tensor) -> tf.Tensor:
        """Returns the targets' part of a residual, `[..., m]`, times weight roots."""
        return self.observation.weighted(residual)

    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes `sum_i weight_i (t_i - lambda_i)^2`, `[...]`.

        Gradient tapes differentiate it twice, by parameters and targets, also where
        eigenvalues coincide; see `eigenfit.spectral_loss`.
        """
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets, weights = self.observation.spread(
            tf.convert_to_tensor(targets, self.parameter_dtype), self.order
        )
        return spectral_loss(self.structure.assemble(parameters), targets, weights)

    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes all levels `[..., n]`, ascending; differentiable twice."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        return eigvalsh(self.structure.assemble(parameters))

    def residual(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes `sqrt(weight_i) (lambda_i - t_i)`, `[..., m]`."""
        return self.evaluate(parameters, targets).residual

    def gradient(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`."""
        return self.gradient_at(self.evaluate(parameters, targets))

    def jacobian(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the Jacobian of the residual, `[..., m, p]`."""
        return self.jacobian_at(self.evaluate(parameters, targets))

    def hessian(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the Hessian of the loss, `[..., p, p]`.

        `H_kl = sum_ij L_ij Re((V^H A_k V)_ij conj(V^H A_l V)_ij) + <G, d2A/dr_k dr_l>`
        with the gradient G of the loss by the matrix and
        `L_ij = (g_i - g_j) / (lambda_i - lambda_j)`, which for equal weights is
        `2 - 2 (t_i - t_j) / (lambda_i - lambda_j)` (Lewis & Sendov, SIAM J. Matrix
        Anal. Appl. 23 (2001)): exact where eigenvalues coincide. NaN for a member at a
        kink, where targets or weights differ inside a cluster (its width is that of
        `eigenfit.eigvalsh` by default).

        Raises:
            ValueError: If mode shapes are observed, whose second derivatives are not
                computed.
        """
        return self.hessian_at(self.evaluate(parameters, targets), targets)

    def hessian_vector_product(
        self, parameters: tf.Tensor, targets: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Computes the product of the Hessian with a vector `[..., p]`: `[..., p]`.

        It costs a few matrix products, whatever the number of parameters. NaN where
        the Hessian is NaN.
        """
        point = self.evaluate(parameters, targets)
        return self.hessian_vector_product_at(point, targets, vector)

    def evaluate(self, parameters: tf.Tensor, targets: tf.Tensor) -> Evaluation:
        """Decomposes A(r) and compares its levels with the targets."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        w, V = decompose(self.structure.assemble(parameters))
        return self.compare(parameters, w, V, targets)

    def compare(
        self,
        parameters: tf.Tensor,
        eigenvalues: tf.Tensor,
        eigenvectors: tf.Tensor,
        targets: tf.Tensor,
    ) -> Evaluation:
        """Compares a known decomposition of A(r) with the targets."""
        residual = self.observation.residual(eigenvalues, targets)
        residual = self.in_own_unit(residual)
        loss = tf.reduce_sum(tf.square(residual), axis=-1)
        return Evaluation(parameters, eigenvalues, eigenvectors, residual, loss)

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`, without a decomposition."""
        gradient = self.structure.pullback(point.parameters, self._gradient(point))
        return self.in_own_unit(gradient)

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the Jacobian, `[..., m, p]`, without a decomposition."""
        return self.in_own_unit(
            self.observation.jacobian(self.level_jacobian_at(point))
        )

    def target_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivative of the residual by the targets, `[..., m, m]`."""
        ones = tf.ones_like(point.residual[..., : self.num_targets])
        roots = tf.constant(self.roots(), ones.dtype)
        return self.in_own_unit(tf.linalg.diag(-roots * ones))

    def loewner_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the matrix L of `hessian`, `[..., n, n]`, without a decomposition.

        Args:
            point: Result of `evaluate` for the same targets.
            targets: `[..., m]`.
            positive: Returns `max(L, 0)`, which makes the first term of the Hessian
                positive semidefinite and stays finite at a kink: 0 for targets
                further apart than their levels.
        """
        targets, weights = self.observation.spread(
            tf.convert_to_tensor(targets, self.parameter_dtype), self.order
        )
        if weights is None:
            weights = tf.ones_like(targets)
        w = point.eigenvalues
        return loewner(w, targets, weights, rounding_width(w), positive)

    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the Hessian, `[..., p, p]`, without a decomposition.

        Args:
            point: Result of `evaluate` for the same targets.
            targets: `[..., m]`.
            positive: As for `loewner_at`.
        """
        L = self.loewner_at(point, targets, positive)
        D = self.structure.rotated_derivatives(point.parameters, point.eigenvectors)
        shape = tf.concat([tf.shape(D)[:-2], [self.order**2]], axis=0)
        # Re(X conj(Y)) summed: the real inner product of real and imaginary parts.
        parts = [tf.math.real(D), tf.math.imag(D)] if D.dtype.is_complex else [D]
        rows = tf.concat([tf.reshape(x, shape) for x in parts], axis=-1)
        weighted = tf.concat(
            [tf.reshape(x * L[..., tf.newaxis, :, :], shape) for x in parts], axis=-1
        )
        H = self.in_own_unit(tf.linalg.matmul(weighted, rows, transpose_b=True), 2)
        if self.structure.is_linear:
            return H
        C = self.structure.curvature(point.parameters, self._gradient(point))
        return H + self.in_own_unit(C)

    def hessian_at_solution(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Computes the Hessian where the gradient vanishes: `[..., p, p]`."""
        return self.hessian_at(point, targets)

    def hessian_vector_product_at(
        self,
        point: Evaluation,
        targets: tf.Tensor,
        vector: tf.Tensor,
        positive: bool = False,
    ) -> tf.Tensor:
        """Computes the product of `hessian_at` with a vector `[..., p]`: `[..., p]`."""
        vector = tf.convert_to_tensor(vector, self.parameter_dtype)
        r, V = point.parameters, point.eigenvectors
        L = self.loewner_at(point, targets, positive)
        change = rotate(V, self.structure.pushforward(r, vector))
        G = unrotate(V, tf.cast(L, change.dtype) * change)
        product = self.in_own_unit(self.structure.pullback(r, G), 2)
        if self.structure.is_linear:
            return product
        more = self.structure.curvature_product(r, self._gradient(point), vector)
        return product + self.in_own_unit(more)

    def _gradient(self, point: Evaluation) -> tf.Tensor:
        # Gradient of the loss by the matrix, times the unit: [..., n, n].
        slope = self.observation.slope(point.residual, self.order)
        return from_spectrum(point.eigenvectors, slope)


def level_errors(eigenvalues: tf.Tensor) -> tf.Tensor:
    """Returns the rounding of the levels `[..., n]` of one matrix: `2 eps max |w|`."""
    largest = tf.reduce_max(tf.abs(eigenvalues), axis=-1, keepdims=True)
    return tf.zeros_like(eigenvalues) + 2 * epsilon(eigenvalues.dtype) * largest


def matrix_norm(A: tf.Tensor) -> tf.Tensor:
    """Bounds the levels of matrices `[..., n, n]`: the largest row sum, `[..., 1]`."""
    sums = tf.reduce_sum(tf.abs(A), axis=-1)
    return tf.reduce_max(sums, axis=-1, keepdims=True)


def _single(observation: Any, observations: Any) -> tuple[Any, Any]:
    # A single observation of a structure may be given in a list.
    listed = isinstance(observations, (list, tuple)) and len(observations) == 1
    if observation is None and listed:
        return observations[0], None
    return observation, observations


def derivative_norms(
    structure: AbstractStructure, parameters: tf.Tensor
) -> tf.Tensor | None:
    """Computes `|dA/dr_k|^2` (Frobenius), `[..., p]`; None if that takes much memory.

    Args:
        structure: Structure of the matrix.
        parameters: `[..., p]`.
    """
    known = structure.squared_norms()
    if known is not None:
        return tf.zeros_like(parameters) + tf.constant(known, parameters.dtype)
    p = structure.num_parameters
    if p * structure.order**2 > _MOST_NUMBERS:
        return None
    shape = tf.concat([tf.shape(parameters), [p]], axis=0)
    copies = tf.broadcast_to(parameters[..., tf.newaxis, :], shape)
    directions = tf.broadcast_to(tf.eye(p, dtype=parameters.dtype), shape)
    D = structure.pushforward(copies, directions)
    return tf.reduce_sum(tf.square(tf.abs(D)), axis=[-2, -1])
