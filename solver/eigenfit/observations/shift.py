"""A free common shift of what is observed."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.observations.base import AbstractObservation, over
from eigenfit.observations.best_shift import best_shift
from eigenfit.observations.spectrum import Spectrum


class FreeShift(AbstractObservation):
    """Another observation, up to a constant added to all of its values.

    For energies whose zero is unknown. The best shift is added to the values; it costs
    one degree of freedom and no parameter. It is the weighted mean of `target - value`,
    or with a robust loss what minimises that loss.

    Args:
        observation: The observation whose values are shifted; its weights and its loss
            are used.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If `observation` is not an observation.
        ValueError: When applied to a matrix, if one of its targets sets a scale, as the
            largest of each shape does in `ModeShapes` scaled by `"max"`.

    Example:
        >>> from eigenfit.observations.levels import Levels
        >>> w, t = tf.constant([1.0, 2.0, 4.0]), tf.constant([11.0, 12.0, 14.0])
        >>> FreeShift(Levels()).measure(w, None, t).numpy().tolist()
        [11.0, 12.0, 14.0]
    """

    def __init__(
        self, observation: AbstractObservation, name: str | None = None
    ) -> None:
        if not isinstance(observation, AbstractObservation):
            raise TypeError(
                f"`observation` must be an observation such as Levels(), got "
                f"{observation!r}."
            )
        super().__init__(observation.weights, name=name)
        self.has_sigma, self.robust = observation.has_sigma, observation.robust
        self.labels, self.unit = observation.labels, observation.unit
        self.observation = observation
        self.uses_modes = observation.uses_modes
        self.is_linear = observation.is_linear and observation.robust is None
        self.follows_targets = True
        self.num_free = max(observation.num_free, 1)

    def __repr__(self) -> str:
        return f"FreeShift({self.observation!r})"

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [f"{name} + shift" for name in self.observation.names(order)]

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        if self.observation.follows_targets and self.observation.uses_modes:
            raise ValueError(
                f"{self!r} has targets that set a scale, which the shift would change: "
                f'give the shapes `normalisation="unit"` or "mass".'
            )
        return self.observation.num_targets(order)

    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Returns the answer of the shifted observation; see the base class."""
        return self.observation.ordered(targets, order)

    def check_targets(self, targets: np.ndarray, order: int) -> None:
        """Applies the checks of the shifted observation."""
        self.observation.check_targets(targets, order)

    def located(self, places: dict[str, tuple[int, int]]) -> FreeShift:
        """Locates the shifted observation; see the base class."""
        return FreeShift(self.observation.located(places))

    def natural_size(self, targets: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Returns the size of the targets without their mean; see the base class."""
        return self.observation.natural_size(targets - self._mean(targets), norm)

    def steepness(self, eigenvalues: tf.Tensor) -> tf.Tensor:
        """Returns that of the shifted observation; see the base class."""
        return self.observation.steepness(eigenvalues)

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Adds the rounding of the shift; see the base class."""
        own = self.observation.rounding(eigenvalues, errors, targets)
        return own + self._mean(own + epsilon(own.dtype) * tf.abs(targets))

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes values with the best shift added; see the base class."""
        values = self.observation.measure(eigenvalues, modes, targets)
        if self.robust is not None:
            return values + self._robust_shift(targets - values)[0]
        return values + self._mean(targets - values)

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Takes the mean out of each column; see the base class."""
        J = self.observation.differentiate(spectrum, targets)
        if self.robust is not None:
            w = spectrum.eigenvalues
            share = self._share(w, spectrum.modes if self.uses_modes else None, targets)
            return J - tf.linalg.matmul(share, J)
        J = tf.linalg.matrix_transpose(J)
        return tf.linalg.matrix_transpose(J - self._mean(J))

    def differentiate_by_targets(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Moves all values with the best shift; see the base class."""
        own = self.observation.differentiate_by_targets(eigenvalues, modes, targets)
        shape = tf.concat([tf.shape(targets), tf.shape(targets)[-1:]], axis=0)
        identity = tf.eye(targets.shape[-1], dtype=targets.dtype)
        if own is None:
            own = tf.zeros(shape, targets.dtype)
        if self.robust is not None:
            share = self._share(eigenvalues, modes, targets)
            return own + tf.linalg.matmul(share, identity - own)
        # Each column: the change of the values, plus the mean of what is still missed.
        missing = tf.linalg.matrix_transpose(identity - own)
        return own + tf.linalg.matrix_transpose(self._mean(missing))

    def _robust_shift(self, deviations: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The best shift [..., 1] and its derivatives by the deviations, [..., m].
        assert self.robust is not None
        roots = tf.ones_like(deviations)
        if tf.is_tensor(self.weights):
            roots *= over(tf.sqrt(self.weights), deviations.shape.rank)
        else:
            roots = self.weighted(roots)
        return best_shift(deviations, roots, self.robust)

    def _share(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        # The same derivatives at a point, [..., 1, m].
        values = self.observation.measure(eigenvalues, modes, targets)
        return self._robust_shift(targets - values)[1][..., tf.newaxis, :]

    def _mean(self, values: tf.Tensor) -> Any:
        # The weighted mean over the last dimension, which is kept.
        if self.weights is None:
            return tf.reduce_mean(values, axis=-1, keepdims=True)
        if tf.is_tensor(self.weights):
            share = over(self.weights, values.shape.rank)
            total = tf.reduce_sum(share, axis=-1, keepdims=True)
            return tf.reduce_sum(values * share / total, axis=-1, keepdims=True)
        share = np.broadcast_to(self.weights, [values.shape[-1]])
        share = tf.constant(share / share.sum(), values.dtype)
        return tf.reduce_sum(values * share, axis=-1, keepdims=True)
