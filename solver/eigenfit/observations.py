"""What is measured of a spectrum."""

from __future__ import annotations

import abc
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class AbstractObservation(tf.Module, abc.ABC):
    """Turns eigenvalues into m numbers that are compared with m targets.

    The residual is weighted, `sqrt(weight_i) (lambda_i - t_i)`, so that the loss is
    its sum of squares.
    """

    @abc.abstractmethod
    def num_targets(self, order: int) -> int:
        """Number m of targets for matrices of this order.

        Raises:
            ValueError: If the observation does not fit this order.
        """

    @abc.abstractmethod
    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Says which members have targets `[..., m]` in a possible order: `[...]`."""

    @abc.abstractmethod
    def residual(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the weighted residual: `[..., m]` from `[..., n]`, `[..., m]`."""

    @abc.abstractmethod
    def slope(self, residual: tf.Tensor, order: int) -> tf.Tensor:
        """Computes the derivative of the loss by each level: `[..., n]`."""

    @abc.abstractmethod
    def jacobian(self, levels: tf.Tensor) -> tf.Tensor:
        """Turns derivatives of the levels `[..., n, p]` into those of the residual."""


class Levels(AbstractObservation):
    """All levels of a spectrum, or chosen ones.

    Targets are given in the order of `indices` and must ascend with the level, since
    level i is by definition the i-th smallest eigenvalue.

    Args:
        indices: Which levels, 0 being the lowest; negative ones count from the top.
            All of them by default.
        weights: Of the squared deviations, one for each target or one for all;
            positive. 1 by default.
        name: Of the module.

    Raises:
        ValueError: If an index is no integer or appears twice, or a weight is not
            positive and finite, or their numbers differ.

    Example:
        >>> Levels([0, -1]).num_targets(order=5)
        2
    """

    def __init__(
        self,
        indices: Sequence[int] | None = None,
        weights: Any = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.indices = None if indices is None else _indices(indices)
        self.weights = None if weights is None else _weights(weights)
        given = None if self.indices is None else len(self.indices)
        if self.weights is not None and self.weights.ndim and given is not None:
            _check_count(self.weights, given)

    def __repr__(self) -> str:
        indices = "" if self.indices is None else str(list(self.indices))
        weights = "" if self.weights is None else f"weights={self.weights.tolist()}"
        return f"Levels({', '.join(x for x in (indices, weights) if x)})"

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        number = len(self.positions(order))
        if self.weights is not None and self.weights.ndim:
            _check_count(self.weights, number)
        return number

    def positions(self, order: int) -> np.ndarray:
        """Resolves `indices` for matrices of an order: `[m]`, each in 0..order-1.

        Raises:
            ValueError: If an index lies outside, or two name the same level.
        """
        if self.indices is None:
            return np.arange(order)
        for k in self.indices:
            if not -order <= k < order:
                raise ValueError(
                    f"`indices` contains {k}, but a matrix of order {order} has levels "
                    f"0..{order - 1} (or -{order}..-1 from the top)."
                )
        positions = np.asarray(self.indices) % order
        if len(np.unique(positions)) != len(positions):
            raise ValueError(
                f"`indices` {list(self.indices)} names a level twice for order "
                f"{order}. Give each level once; use `weights` to count it more."
            )
        return positions

    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Says whether targets ascend with their levels; see the base class."""
        ascending = self._by_level(targets, order)
        return tf.reduce_all(ascending[..., 1:] >= ascending[..., :-1], axis=-1)

    def residual(self, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the weighted residual; see the base class."""
        if self.indices is not None:
            order = eigenvalues.shape[-1]
            eigenvalues = tf.gather(eigenvalues, self.positions(order), axis=-1)
        return self._scaled(eigenvalues - targets)

    def slope(self, residual: tf.Tensor, order: int) -> tf.Tensor:
        """Computes `2 weight_i (lambda_i - t_i)`, zero for levels not observed."""
        return self._scatter(2 * self._scaled(residual), order)

    def jacobian(self, levels: tf.Tensor) -> tf.Tensor:
        """Selects and weights rows; see the base class."""
        if self.indices is not None:
            levels = tf.gather(levels, self.positions(levels.shape[-2]), axis=-2)
        if self.weights is None:
            return levels
        return levels * self._root(levels.dtype)[..., tf.newaxis]

    def weighted(self, values: tf.Tensor) -> tf.Tensor:
        """Multiplies by the roots of the weights: `[..., m]`."""
        return self._scaled(values)

    def spread(
        self, targets: tf.Tensor, order: int
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Extends targets and weights to all levels, `[..., n]` each.

        Levels that are not observed get target 0 and weight 0. The weights are None
        when every level counts the same.
        """
        if self.indices is None and self.weights is None:
            return targets, None
        weights = self._scaled(self._scaled(tf.ones_like(targets)))
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

    def _root(self, dtype: tf.DType) -> tf.Tensor:
        return tf.constant(np.sqrt(np.asarray(self.weights)), dtype)

    def _scaled(self, values: tf.Tensor) -> tf.Tensor:
        return values if self.weights is None else values * self._root(values.dtype)


def _infinity(dtype: tf.DType) -> tf.Tensor:
    return tf.constant(float("inf"), dtype)


def _indices(indices: Any) -> tuple[int, ...]:
    try:
        result = tuple(operator.index(k) for k in indices)
    except TypeError:
        result = ()
    if not result:
        raise ValueError(
            f"`indices` must be a list of at least one integer, got {indices!r}. Leave "
            f"it out to observe all levels."
        )
    return result


def _weights(weights: Any) -> np.ndarray:
    try:
        array = np.asarray(weights, np.float64)
    except (TypeError, ValueError):
        array = np.full([], np.nan)
    if array.ndim > 1 or not array.size or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(
            f"`weights` must be one or a list of positive finite numbers, got "
            f"{weights!r}. To leave a level out, leave it out of `indices`."
        )
    return array


def _check_count(weights: np.ndarray, number: int) -> None:
    if len(weights) != number:
        raise ValueError(
            f"`weights` has {len(weights)} numbers for {number} observed levels. Give "
            f"one for each, or a single one for all."
        )
