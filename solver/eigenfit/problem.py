"""A structure and what is observed of its spectrum: residual, loss, derivatives."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import (
    cluster_width,
    decompose,
    eigvalsh,
    from_spectrum,
    loewner,
    rotate,
    spectral_loss,
    unrotate,
)
from eigenfit.observations import Levels
from eigenfit.structures import AbstractStructure


class Point(NamedTuple):
    """What is known of one point: the answer of a fit that ends there."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    loss: tf.Tensor  # [...]


class Evaluation(NamedTuple):
    """A problem at one point: all that one eigendecomposition tells."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    eigenvectors: tf.Tensor  # [..., n, n], in columns
    residual: tf.Tensor  # [..., m], weighted
    loss: tf.Tensor  # [...], sum of squares of the residual


def answer_at(point: Evaluation | Point) -> Point:
    """Leaves out what only further steps need."""
    return Point(point.parameters, point.eigenvalues, point.loss)


class Problem(tf.Module):
    """Asks for parameters whose matrix has the observed levels at their targets.

    Targets are arguments of every function, never part of the problem. Arguments of
    the functions are `parameters [..., p]` and `targets [..., m]` of
    `parameter_dtype`, with the same batch dimensions.

    Args:
        structure: What may vary.
        observation: What is compared with the targets; all levels by default.
        name: Of the module.

    Raises:
        TypeError: If `structure` or `observation` is something else.
        ValueError: If the observation does not fit the order of the structure.

    Example:
        >>> from eigenfit.structures import Symmetric
        >>> problem = Problem(Symmetric(2))
        >>> problem.loss(tf.constant([3.0, 1.0, 0.0], tf.float64), [1.0, 1.0]).numpy()
        np.float64(4.0)
    """

    def __init__(
        self,
        structure: AbstractStructure,
        observation: Levels | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(structure, AbstractStructure):
            raise TypeError(
                f"`structure` must be a structure such as Symmetric(3), got "
                f"{structure!r}."
            )
        if observation is None:
            observation = Levels()
        if not isinstance(observation, Levels):
            raise TypeError(
                f"`observation` must be an observation such as Levels(), got "
                f"{observation!r}."
            )
        self.structure = structure
        self.observation = observation
        self.num_targets = observation.num_targets(structure.order)

    def __repr__(self) -> str:
        return f"Problem({self.structure!r}, {self.observation!r})"

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.structure.order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.structure.num_parameters

    @property
    def parameter_dtype(self) -> tf.DType:
        """The real dtype of parameters, targets, eigenvalues and loss."""
        return self.structure.parameter_dtype

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
        """
        return self.hessian_at(self.evaluate(parameters, targets), targets)

    def hessian_vector_product(
        self, parameters: tf.Tensor, targets: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Computes the product of the Hessian with a vector `[..., p]`: `[..., p]`.

        The cost is that of a few matrix products, whatever the number of parameters.
        NaN where the Hessian is.
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
        loss = tf.reduce_sum(tf.square(residual), axis=-1)
        return Evaluation(parameters, eigenvalues, eigenvectors, residual, loss)

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`, without a decomposition."""
        return self.structure.pullback(point.parameters, self._gradient(point))

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the Jacobian, `[..., m, p]`, without a decomposition."""
        levels = self.structure.level_jacobian(point.parameters, point.eigenvectors)
        return self.observation.jacobian(levels)

    def loewner_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the matrix L of `hessian`, `[..., n, n]`, without a decomposition.

        Args:
            point: What `evaluate` gave for the same targets.
            targets: `[..., m]`.
            positive: Gives `max(L, 0)`, which makes the first term of the Hessian
                positive semidefinite, and stays finite at a kink: 0 for targets
                further apart than their levels.
        """
        targets, weights = self.observation.spread(
            tf.convert_to_tensor(targets, self.parameter_dtype), self.order
        )
        if weights is None:
            weights = tf.ones_like(targets)
        w = point.eigenvalues
        return loewner(w, targets, weights, cluster_width(w), positive)

    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the Hessian, `[..., p, p]`, without a decomposition.

        Args:
            point: What `evaluate` gave for the same targets.
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
        H = tf.linalg.matmul(weighted, rows, transpose_b=True)
        if self.structure.is_linear:
            return H
        return H + self.structure.curvature(point.parameters, self._gradient(point))

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
        product = self.structure.pullback(r, G)
        if self.structure.is_linear:
            return product
        return product + self.structure.curvature_product(
            r, self._gradient(point), vector
        )

    def _gradient(self, point: Evaluation) -> tf.Tensor:
        # Of the loss by the matrix, [..., n, n].
        slope = self.observation.slope(point.residual, self.order)
        return from_spectrum(point.eigenvectors, slope)
