"""The interface of an observation."""

from __future__ import annotations

import abc
import copy
import operator
from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.observations.robust import LossName, Robust, outlying, robust
from eigenfit.observations.spectrum import Spectrum
from eigenfit.tensors.types import TensorLike


class Common(TypedDict, total=False):
    """Options of all observations; see `AbstractObservation`."""

    loss: LossName
    loss_scale: float
    labels: Sequence[str] | None
    unit: str


class AbstractObservation(tf.Module, abc.ABC):
    """Turns the spectrum of a matrix into m numbers to compare with m targets.

    The residual is weighted, `sqrt(weight_i) (value_i - t_i)`, so that the loss is
    its sum of squares; a robust `loss` makes it the signed root of that loss.

    Args:
        weights: Weights of the squared deviations, one for each target or one for all;
            positive. 1 by default.
        sigma: Standard deviations of the targets instead: `weight = 1 / sigma^2`.
        name: Name of the `tf.Module`.
        loss: "linear" for squares, or "soft_l1", "huber" or "cauchy", which a few wrong
            targets do not dominate; see `Robust`.
        loss_scale: The scale C of such a loss: of the residual above, so in standard
            deviations if `sigma` is given.
        labels: What reports and pictures call the values, one for each target, such
            as assignments of lines.
        unit: Unit of the targets, such as "MHz", for reports and pictures.

    Attributes:
        weights: Weights as an array; None if all are 1. See `with_weights`.
        has_sigma: Whether the weights come from standard deviations.
        robust: The loss; None if it is linear.

    Raises:
        TypeError: If `loss_scale` is not a number.
        ValueError: If weights or standard deviations are not positive and finite, or
            both are given; `loss` or `loss_scale` is not as above; or `labels` are not
            different texts or `unit` is no text.
    """

    uses_modes: bool = False
    """Whether mode shapes matter, not only levels."""

    is_linear: bool = False
    """Whether its values are linear combinations of levels."""

    follows_targets: bool = False
    """Whether values depend on targets, as with a scale that is taken from one."""

    num_free: int = 0
    """Number of degrees of freedom of the targets that the observation uses up."""

    def __init__(
        self,
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        *,
        loss: LossName = "linear",
        loss_scale: float = 1.0,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name=name)
        self.labels = None if labels is None else _texts(labels)
        if not isinstance(unit, str):
            raise ValueError(f'`unit` must be a text such as "MHz", got {unit!r}.')
        self.unit = unit
        self.robust: Robust | None = robust(loss, loss_scale)
        if weights is not None and sigma is not None:
            raise ValueError("Give either `weights` or `sigma`, not both.")
        self.has_sigma = sigma is not None
        if sigma is not None:
            weights = _weights_of(_positive("sigma", sigma))
        self.weights = None if weights is None else _positive("weights", weights)

    @abc.abstractmethod
    def num_targets(self, order: int) -> int:
        """Number m of targets for matrices of this order.

        Raises:
            ValueError: If the observation does not fit this order.
        """

    @abc.abstractmethod
    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes the values to compare with targets, `[..., m]`, differentiable.

        Args:
            eigenvalues: `[..., n]`.
            modes: `[..., n, n]`, in columns; None unless `uses_modes`.
            targets: `[..., m]`; they fix the signs and scales of mode shapes.
        """

    @abc.abstractmethod
    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Computes the derivatives of `measure` by the parameters: `[..., m, p]`."""

    def names(self, order: int) -> list[str]:
        """Names the value that is compared with each target, for reports: `[m]`."""
        return [f"value {k}" for k in range(self.num_targets(order))]

    def labelled(self, order: int, where: str = "") -> list[str]:
        """Names the value of each target: by its label if there are any, `[m]`.

        Args:
            order: Order of the matrix.
            where: Stands before names that are not labels.

        Raises:
            ValueError: If the number of labels is not that of the targets.
        """
        names = self.names(order)
        if self.labels is None:
            return [where + name for name in names]
        if len(self.labels) != len(names):
            raise ValueError(
                f"`labels` has {len(self.labels)} texts for {len(names)} targets. Give "
                f"one for each."
            )
        return list(self.labels)

    def num_trivial(self, order: int) -> int:
        """Number of targets that are met whatever the parameters are."""
        del order
        return 0

    def natural_size(self, targets: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Returns the natural size of values: the largest magnitude of the targets.

        Args:
            targets: `[..., m]`.
            norm: `[..., 1]`, norm of the matrix, used if all targets are 0.

        Returns:
            `[..., 1]`.
        """
        largest = tf.reduce_max(tf.abs(targets), axis=-1, keepdims=True)
        return tf.where(largest > 0, largest, norm)

    def steepness(self, eigenvalues: tf.Tensor) -> tf.Tensor:
        """Returns the largest derivative of a value by a level; 0 if it is unknown.

        Args:
            eigenvalues: `[..., n]`.

        Returns:
            `[..., 1]`, or `[1]` if it is the same for all members.
        """
        return tf.constant([float(self.is_linear)], eigenvalues.dtype)

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Bounds what rounding of the levels does to the values: `[..., m]`.

        Args:
            eigenvalues: `[..., n]`.
            errors: `[..., n]`, the rounding of each level.
            targets: `[..., m]`.
        """
        norm = tf.reduce_max(tf.abs(eigenvalues), axis=-1, keepdims=True)
        size = self.natural_size(targets, norm)
        return tf.zeros_like(targets) + 2 * epsilon(targets.dtype) * size

    def differentiate_by_targets(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor | None:
        """Computes the derivatives of `measure` by the targets: `[..., m, m]`.

        None where it does not depend on them.
        """
        del eigenvalues, modes, targets
        return None

    def ordered(self, targets: tf.Tensor, order: int) -> tf.Tensor:
        """Returns which members have targets `[..., m]` in a valid order: `[...]`."""
        del order
        return tf.ones(tf.shape(targets)[:-1], tf.bool)

    def check_targets(self, targets: np.ndarray, order: int) -> None:
        """Rejects targets `[..., m]` that no spectrum can have."""

    def located(self, places: dict[str, tuple[int, int]]) -> AbstractObservation:
        """Returns the same observation of all blocks' levels, one block after another.

        Args:
            places: First level and number of levels of each block, by label.

        Raises:
            ValueError: If the observation applies to a single matrix only.
        """
        raise ValueError(
            f"{self!r} observes one matrix: give it to its Block. Differences of "
            f"(label, level) pairs may join blocks."
        )

    def weighted(self, values: tf.Tensor) -> tf.Tensor:
        """Multiplies by the square roots of the weights: `[..., m]`."""
        return values if self.weights is None else values * self._root(values.dtype)

    @property
    def outlying(self) -> float:
        """Weighted deviation beyond which a datum is an outlier; infinite for none."""
        return float(outlying(self.has_sigma, self.robust))

    def with_weights(self, weights: tf.Tensor) -> AbstractObservation:
        """Returns the same observation with weights `[b, m]` for each member."""
        own = copy.copy(self)
        own.weights, own.has_sigma = weights, False
        return own

    def with_loss(self, loss: Robust | None) -> AbstractObservation:
        """Returns the same observation with another loss; None for squares."""
        own = copy.copy(self)
        own.robust = loss
        return own

    def roots(self, order: int) -> np.ndarray:
        """Returns the square roots of weights that all members share, `[m]`."""
        weights = 1.0 if self.weights is None else self.weights
        return np.sqrt(np.broadcast_to(weights, [self.num_targets(order)]))

    def _root(self, dtype: tf.DType) -> tf.Tensor:
        if tf.is_tensor(self.weights):
            return tf.sqrt(self.weights)
        return tf.constant(np.sqrt(np.asarray(self.weights)), dtype)

    def _check_weights(self, number: int) -> int:
        if self.weights is not None and self.weights.ndim == 1:
            check_count(self.weights, number)
        return number

    def _repr(self, *arguments: Any) -> str:
        shown = [repr(x) for x in arguments if x is not None]
        if tf.is_tensor(self.weights):
            shown.append("weights of each member")
        elif self.weights is not None:
            shown.append(f"weights={self.weights.tolist()}")
        if self.robust is not None:
            shown.append(f"loss={self.robust.name!r}, loss_scale={self.robust.scale}")
        if self.unit:
            shown.append(f"unit={self.unit!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def over(x: tf.Tensor, rank: int) -> tf.Tensor:
    """Inserts dimensions before the last of `[b, m]` up to a rank: `[b, ..., m]`."""
    for _ in range(rank - x.shape.rank):
        x = tf.expand_dims(x, -2)
    return x


def _texts(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not all(isinstance(x, str) and x for x in labels):
        raise ValueError(f"`labels` must be a list of texts, got {labels!r}.")
    for k, label in enumerate(labels):
        if label in labels[:k]:
            raise ValueError(f"`labels` has {label!r} twice: number them.")
    return tuple(labels)


def integers(name: str, values: Any) -> tuple[int, ...]:
    """Checks a list of at least one integer."""
    try:
        result = tuple(operator.index(k) for k in values)
    except TypeError:
        result = ()
    if not result:
        raise ValueError(
            f"`{name}` must be a list of at least one integer, got {values!r}."
        )
    return result


def position(name: str, k: int, order: int) -> int:
    """Resolves the index of a level, negative ones from the top."""
    if not -order <= k < order:
        raise ValueError(
            f"`{name}` contains {k}, but a matrix of order {order} has levels "
            f"0..{order - 1} (or -{order}..-1 from the top)."
        )
    return k % order


def check_count(weights: np.ndarray, number: int) -> None:
    """Checks the number of weights."""
    if len(weights) != number:
        raise ValueError(
            f"`weights` has {len(weights)} numbers for {number} observed levels. Give "
            f"one for each, or a single one for all."
        )


def _weights_of(sigma: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        weights = 1 / sigma**2
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"`sigma` must lie between 1e-154 and 1e154, since its square is needed; "
            f"got {sigma.min():.3g} to {sigma.max():.3g}. Give matrices, targets and "
            f"sigma in a larger or smaller unit."
        )
    return weights


def _positive(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.full([], np.nan)
    if array.ndim > 1 or not array.size or not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(
            f"`{name}` must be one or a list of positive finite numbers, got "
            f"{values!r}. To leave a level out, leave it out of `indices`."
        )
    return array
