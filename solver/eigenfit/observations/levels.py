"""Levels themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from eigenfit.observations.base import (
    AbstractObservation,
    Common,
    check_count,
    integers,
    position,
)
from eigenfit.observations.spectrum import Spectrum
from eigenfit.tensors.types import TensorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Levels(AbstractObservation):
    """All levels of a spectrum, or chosen ones.

    Targets are given in the order of `indices` and must ascend with the level, since
    level i is by definition the i-th smallest eigenvalue.

    Args:
        indices: Observed levels, 0 being the lowest; negative ones count from the top.
            All levels by default.
        weights: Weights of the squared deviations, one for each target or one for all;
            positive. 1 by default.
        sigma: Standard deviations of the targets instead: `weight = 1 / sigma^2`.
        name: Name of the `tf.Module`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: If an index is not an integer or appears twice, a weight is not
            positive and finite, or their numbers differ.

    Example:
        >>> Levels([0, -1]).num_targets(order=5)
        2
    """

    is_linear = True

    def __init__(
        self,
        indices: Sequence[int] | None = None,
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        self.indices = None if indices is None else integers("indices", indices)
        given = None if self.indices is None else len(self.indices)
        if self.weights is not None and self.weights.ndim and given is not None:
            check_count(self.weights, given)

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [f"level {k}" for k in self.positions(order)]

    def __repr__(self) -> str:
        return self._repr(None if self.indices is None else list(self.indices))

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        return self._check_weights(len(self.positions(order)))

    def positions(self, order: int) -> np.ndarray:
        """Resolves `indices` for matrices of an order: `[m]`, each in 0..order-1.

        Raises:
            ValueError: If an index lies outside, or two name the same level.
        """
        if self.indices is None:
            return np.arange(order)
        positions = np.array([position("indices", k, order) for k in self.indices])
        if len(np.unique(positions)) != len(positions):
            raise ValueError(
                f"`indices` {list(self.indices)} names a level twice for order "
                f"{order}. Give each level once; use `weights` to count it more."
            )
        return positions

    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Returns whether targets ascend with their levels; see the base class."""
        ascending = self._by_level(targets, order)
        return tf.reduce_all(ascending[..., 1:] >= ascending[..., :-1], axis=-1)

    def check_targets(self, targets: np.ndarray, order: int) -> None:
        """Rejects finite targets that do not ascend; names the first member."""
        check_ascending(targets, self.positions(order))

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Selects levels; see the base class."""
        del modes, targets
        if self.indices is None:
            return eigenvalues
        return tf.gather(eigenvalues, self.positions(eigenvalues.shape[-1]), axis=-1)

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Returns the rounding of the observed levels; see the base class."""
        return self.measure(errors, None, targets)

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Selects rows; see the base class."""
        del targets
        J = spectrum.level_jacobian
        if self.indices is None:
            return J
        return tf.gather(J, self.positions(J.shape[-2]), axis=-2)

    def residual(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the weighted residual `[..., m]` from levels and targets."""
        if self.indices is not None:
            order = eigenvalues.shape[-1]
            eigenvalues = tf.gather(eigenvalues, self.positions(order), axis=-1)
        return self.weighted(eigenvalues - targets)

    def slope(self, residual: tf.Tensor, order: int) -> tf.Tensor:
        """Computes `2 weight_i (lambda_i - t_i)`, zero for levels not observed."""
        return self._scatter(2 * self.weighted(residual), order)

    def jacobian(self, levels: tf.Tensor) -> tf.Tensor:
        """Turns derivatives of the levels `[..., n, p]` into those of the residual."""
        if self.indices is not None:
            levels = tf.gather(levels, self.positions(levels.shape[-2]), axis=-2)
        if self.weights is None:
            return levels
        return levels * self._root(levels.dtype)[..., tf.newaxis]

    def spread(
        self, targets: tf.Tensor, order: int
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Extends targets and weights to all levels, `[..., n]` each.

        Levels that are not observed get target 0 and weight 0. The weights are None
        when every level counts the same.
        """
        if self.indices is None and self.weights is None:
            return targets, None
        weights = self.weighted(self.weighted(tf.ones_like(targets)))
        return self._scatter(targets, order), self._scatter(weights, order)

    def nearest_spectrum(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Finds the ascending spectrum that meets the targets, nearest to a given one.

        Levels that are not observed stay where they are, or move to the next observed
        target if they would pass it.

        Args:
            eigenvalues: `[..., n]`, ascending.
            targets: `[..., m]`, ascending with their levels.

        Returns:
            `[..., n]`, ascending.
        """
        if self.indices is None:
            return targets
        order = eigenvalues.shape[-1]
        observed = np.isin(np.arange(order), self.positions(order))
        infinity = tf.fill(tf.shape(targets[..., :1]), _infinity(targets.dtype))
        # Rank of the observed level at or below each level (0: none), and of the next.
        below = np.cumsum(observed)
        ascending = self._by_level(targets, order)
        floor = tf.gather(tf.concat([-infinity, ascending], -1), below, axis=-1)
        ceiling = tf.gather(
            tf.concat([ascending, infinity], -1),
            np.where(observed, below - 1, below),
            axis=-1,
        )
        return tf.clip_by_value(eigenvalues, floor, ceiling)

    def _by_level(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        if self.indices is None:
            return targets
        return tf.gather(targets, np.argsort(self.positions(order)), axis=-1)

    def _scatter(self, values: tf.Tensor, order: int) -> tf.Tensor:
        # [..., m] -> [..., n], zero where a level is not observed.
        if self.indices is None:
            return values
        positions = self.positions(order)
        index = np.full(order, len(positions))
        index[positions] = np.arange(len(positions))
        padded = tf.concat([values, tf.zeros_like(values[..., :1])], axis=-1)
        return tf.gather(padded, index, axis=-1)


def _infinity(dtype: tf.DType) -> tf.Tensor:
    return tf.constant(float("inf"), dtype)


def check_ascending(targets: np.ndarray, positions: np.ndarray) -> None:
    """Rejects finite targets that do not ascend with their levels.

    Args:
        targets: `[..., m]`.
        positions: `[m]`, the level of each target.

    Raises:
        ValueError: Showing the first such member.
    """
    steps = np.diff(targets[..., np.argsort(positions)], axis=-1)
    if not (steps < 0).any():
        return
    bad = (steps < 0).any(axis=-1) & np.isfinite(targets).all(axis=-1)
    if not bad.any():
        return
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f" of member {index}" if index else ""
    shown = repr(targets[index].tolist())
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    raise ValueError(
        f"`targets`{where} must ascend with their levels, since level i is the i-th "
        f"smallest eigenvalue; got {shown}. Sort them (and `weights` with them)."
    )
