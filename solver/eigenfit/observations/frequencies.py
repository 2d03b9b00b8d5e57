"""Frequencies of vibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.observations.base import (
    AbstractObservation,
    Common,
)
from eigenfit.observations.levels import Levels
from eigenfit.observations.spectrum import Spectrum
from eigenfit.tensors.types import TensorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Frequencies(AbstractObservation):
    """Frequencies `f = sqrt(lambda) / 2 pi` of levels that are squared angular ones.

    They are in hertz if K and M are in newtons, metres and kilograms. Their derivative
    is `dlambda / (8 pi^2 f)`. A negative level has no frequency: it is NaN, which the
    methods step back from. At a level of zero, a rigid-body mode, the frequency has no
    derivative: leave it out.

    Args:
        indices: Observed levels, 0 being the lowest; all by default.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: As `Levels`.

    Example:
        >>> level = tf.constant([(2 * math.pi * 5.0) ** 2], tf.float64)
        >>> Frequencies().measure(level, None, level).numpy()
        array([5.])
    """

    def __init__(
        self,
        indices: Sequence[int] | None = None,
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        self._levels = Levels(indices)

    @property
    def indices(self) -> tuple[int, ...] | None:
        """Observed levels; None for all."""
        return self._levels.indices

    def __repr__(self) -> str:
        return self._repr(None if self.indices is None else list(self.indices))

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [f"frequency {k}" for k in self._levels.positions(order)]

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        return self._check_weights(self._levels.num_targets(order))

    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Returns whether targets ascend and none is negative; see the base class."""
        return self._levels.ordered(targets, order) & tf.reduce_all(
            targets >= 0, axis=-1
        )

    def check_targets(self, targets: np.ndarray, order: int) -> None:
        """Rejects negative targets and those that do not ascend."""
        self._levels.check_targets(targets, order)
        if (targets < 0).any():
            raise ValueError(
                f"`targets` of Frequencies must not be negative, got "
                f"{targets[targets < 0].flat[0]}."
            )

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes frequencies; see the base class."""
        levels = self._levels.measure(eigenvalues, modes, targets)
        return tf.sqrt(levels) / (2 * math.pi)

    def natural_size(self, targets: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Returns the largest frequency; see the base class."""
        return super().natural_size(targets, tf.sqrt(norm) / (2 * math.pi))

    def steepness(self, eigenvalues: tf.Tensor) -> tf.Tensor:
        """Returns `1 / (8 pi^2 f)` of the lowest frequency; see the base class."""
        levels = self._levels.measure(eigenvalues, None, eigenvalues)
        largest = tf.reduce_max(tf.abs(eigenvalues), axis=-1, keepdims=True)
        known = levels > epsilon(levels.dtype) * largest
        roots = tf.sqrt(tf.where(known, levels, levels.dtype.max))
        return 1 / (4 * math.pi * tf.reduce_min(roots, axis=-1, keepdims=True))

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Bounds `sqrt(lambda + error) - sqrt(lambda)`; see the base class."""
        errors = self._levels.measure(errors, None, targets)
        levels = self._levels.measure(eigenvalues, None, targets)
        roots = tf.sqrt(tf.maximum(levels, errors))
        return errors / (2 * math.pi * tf.where(roots > 0, roots, 1))

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Computes `dlambda / (8 pi^2 f)`; see the base class."""
        f = self.measure(spectrum.eigenvalues, None, targets)
        J = self._levels.differentiate(spectrum, targets)
        return J / (8 * math.pi**2 * f)[..., tf.newaxis]
