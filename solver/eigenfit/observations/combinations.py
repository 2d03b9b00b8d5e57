"""Differences, means and relative positions of levels."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from eigenfit.observations.base import (
    AbstractObservation,
    Common,
    integers,
    position,
)
from eigenfit.observations.spectrum import Spectrum
from eigenfit.tensors.types import TensorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AbstractCombination(AbstractObservation):
    """Linear combinations of levels."""

    is_linear = True

    @abc.abstractmethod
    def matrix(self, order: int) -> np.ndarray:
        """Returns the coefficients of the combinations, `[m, n]`.

        Raises:
            ValueError: If the observation does not fit this order.
        """

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        return self._check_weights(len(self.matrix(order)))

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Combines levels; see the base class."""
        del modes, targets
        C = tf.constant(self.matrix(eigenvalues.shape[-1]), eigenvalues.dtype)
        return tf.linalg.matvec(C, eigenvalues)

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Adds up the rounding of the levels; see the base class."""
        del targets
        C = np.abs(self.matrix(eigenvalues.shape[-1]))
        return tf.linalg.matvec(tf.constant(C, errors.dtype), errors)

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Combines the derivatives of levels; see the base class."""
        del targets
        J = spectrum.level_jacobian
        return tf.linalg.matmul(tf.constant(self.matrix(J.shape[-2]), J.dtype), J)


class Differences(AbstractCombination):
    """Differences `lambda_upper - lambda_lower`, such as lines of a spectrum.

    Args:
        pairs: `(upper, lower)` for each target: two levels of one matrix, 0 being the
            lowest, or two `(label, level)` pairs to compare blocks of a problem.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: If an item is not a pair, or names the same level twice.

    Example:
        >>> Differences([(1, 0), (2, 0)]).matrix(3)
        array([[-1.,  1.,  0.],
               [-1.,  0.,  1.]])
    """

    def __init__(
        self,
        pairs: Sequence[Any],
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        try:
            self.pairs = tuple((_end(upper), _end(lower)) for upper, lower in pairs)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`pairs` must be a list of (upper, lower) pairs of levels, or of "
                f"(label, level) pairs: {error}."
            ) from None
        if not self.pairs:
            raise ValueError("`pairs` must hold at least one (upper, lower) pair.")
        for pair in self.pairs:
            if pair[0] == pair[1]:
                raise ValueError(f"`pairs` holds {pair}, a level minus itself.")

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [f"{_shown(a, order)} - {_shown(b, order)}" for a, b in self.pairs]

    def __repr__(self) -> str:
        return self._repr(
            list(self.pairs) if len(self.pairs) < 9 else f"{len(self.pairs)} pairs"
        )

    def matrix(self, order: int) -> np.ndarray:
        """Returns a row with 1 and -1 for each pair, `[m, n]`."""
        C = np.zeros([len(self.pairs), order])
        for row, pair in zip(C, self.pairs, strict=True):
            for end, sign in zip(pair, (1.0, -1.0), strict=True):
                if not isinstance(end, int):
                    raise ValueError(
                        f"`pairs` names the block {end[0]!r}: give it to the Problem "
                        f"as `observations=[...]`, not to one Block."
                    )
                row[position("pairs", end, order)] += sign
            if not row.any():
                raise ValueError(
                    f"`pairs` holds {pair}, a level minus itself for order {order}."
                )
        return C

    def located(self, places: dict[str, tuple[int, int]]) -> Differences:
        """Resolves `(label, level)`; see the base class."""

        def place(end: Any) -> int:
            if isinstance(end, int):
                raise ValueError(
                    f"`pairs` holds the level {end} without a block. With several "
                    f"blocks write (label, {end})."
                )
            label, level = end
            if label not in places:
                raise ValueError(
                    f"`pairs` names the block {label!r}, but there are "
                    f"{', '.join(map(repr, places))}."
                )
            first, order = places[label]
            return first + position("pairs", level, order)

        pairs = [(place(upper), place(lower)) for upper, lower in self.pairs]
        result = Differences(pairs, self.weights)
        result.has_sigma, result.robust = self.has_sigma, self.robust
        result.labels, result.unit = self.labels, self.unit
        return result


class RelativeTo(AbstractCombination):
    """Levels measured from one of them: `lambda_i - lambda_level`.

    Args:
        level: Reference level, 0 being the lowest.
        indices: The levels measured from it; all others, ascending, by default.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: If an index is not an integer.

    Example:
        >>> RelativeTo(0).matrix(3)
        array([[-1.,  1.,  0.],
               [-1.,  0.,  1.]])
    """

    def __init__(
        self,
        level: int,
        indices: Sequence[int] | None = None,
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        self.level = integers("level", [level])[0]
        self.indices = None if indices is None else integers("indices", indices)

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        zero, others = self._positions(order)
        return [f"level {k} - level {zero}" for k in others]

    def __repr__(self) -> str:
        return self._repr(
            self.level, None if self.indices is None else list(self.indices)
        )

    def matrix(self, order: int) -> np.ndarray:
        """Returns a row with 1 and -1 for each level, `[m, n]`."""
        zero, places = self._positions(order)
        C = np.eye(order)[places]
        C[:, zero] = -1
        return C

    def _positions(self, order: int) -> tuple[int, list[int]]:
        zero = position("level", self.level, order)
        others = self.indices
        if others is None:
            others = [k for k in range(order) if k != zero]
        if not others:
            raise ValueError("A matrix of order 1 has no level besides `level`.")
        places = [position("indices", k, order) for k in others]
        if zero in places:
            raise ValueError(f"`indices` contains `level` {self.level} itself.")
        return zero, places


class ClusterMeans(AbstractCombination):
    """Means of levels that lie too close to be told apart.

    The mean of a cluster is a smooth function of the parameters also where its levels
    coincide.

    Args:
        clusters: Levels of each mean, 0 being the lowest.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: If a cluster is not a list of integers.

    Example:
        >>> ClusterMeans([[0, 1], [2]]).matrix(3)
        array([[0.5, 0.5, 0. ],
               [0. , 0. , 1. ]])
    """

    def __init__(
        self,
        clusters: Sequence[Sequence[int]],
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        try:
            self.clusters = tuple(integers("clusters", x) for x in clusters)
        except TypeError:
            self.clusters = ()
        if not self.clusters:
            raise ValueError(
                f"`clusters` must be a list of lists of levels, got {clusters!r}."
            )

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [
            f"mean of levels {', '.join(str(k % order) for k in cluster)}"
            for cluster in self.clusters
        ]

    def __repr__(self) -> str:
        return self._repr([list(x) for x in self.clusters])

    def matrix(self, order: int) -> np.ndarray:
        """Returns a row of equal weights for each cluster, `[m, n]`."""
        C = np.zeros([len(self.clusters), order])
        for row, cluster in zip(C, self.clusters, strict=True):
            places = {position("clusters", k, order) for k in cluster}
            if len(places) < len(cluster):
                raise ValueError(
                    f"`clusters` names a level twice in {list(cluster)} for order "
                    f"{order}."
                )
            row[list(places)] = 1 / len(places)
        return C


def _shown(end: Any, order: int) -> str:
    return f"level {end % order}" if isinstance(end, int) else f"{end[0]}:{end[1]}"


def _end(value: Any) -> Any:
    # A level, or (label, level).
    if isinstance(value, (tuple, list)):
        label, level = value
        return str(label), integers("pairs", [level])[0]
    return integers("pairs", [value])[0]
