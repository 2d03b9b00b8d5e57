"""A structure and what is observed of its spectrum: residual, loss, derivatives."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import decompose, eigvalsh, from_spectrum, spectral_loss
from eigenfit.observations import Levels
from eigenfit.structures import AbstractStructure


class Evaluation(NamedTuple):
    """A problem at one point: all that one eigendecomposition tells."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    eigenvectors: tf.Tensor  # [..., n, n], in columns
    residual: tf.Tensor  # [..., m], weighted
    loss: tf.Tensor  # [...], sum of squares of the residual


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

    def evaluate(self, parameters: tf.Tensor, targets: tf.Tensor) -> Evaluation:
        """Decomposes A(r) and compares its levels with the targets."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        w, V = decompose(self.structure.assemble(parameters))
        residual = self.observation.residual(w, targets)
        loss = tf.reduce_sum(residual**2, axis=-1)
        return Evaluation(parameters, w, V, residual, loss)

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`, without a decomposition."""
        slope = self.observation.slope(point.residual, self.order)
        G = from_spectrum(point.eigenvectors, slope)
        return self.structure.pullback(point.parameters, G)

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the Jacobian, `[..., m, p]`, without a decomposition."""
        levels = self.structure.level_jacobian(point.parameters, point.eigenvectors)
        return self.observation.jacobian(levels)
