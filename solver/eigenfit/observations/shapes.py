"""Mode shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import tensorflow as tf

from eigenfit.eigen.clusters import check_tolerances
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

Normalisation = Literal["max", "unit", "mass"]


class AbstractShapes(AbstractObservation):
    """Observes the components of some modes.

    Args:
        levels: Levels of the modes, 0 being the lowest.
        components: Rows of the matrix that were measured; all by default.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        degenerate_atol: See `Spectrum.mode_jacobian`.
        degenerate_rtol: See `Spectrum.mode_jacobian`.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.
    """

    uses_modes = True

    def __init__(
        self,
        levels: Sequence[int],
        components: Sequence[int] | None = None,
        weights: Any = None,
        sigma: Any = None,
        name: str | None = None,
        degenerate_atol: float = 0.0,
        degenerate_rtol: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(weights, sigma, name, **common)
        self.degenerate_atol, self.degenerate_rtol = check_tolerances(
            degenerate_atol, degenerate_rtol
        )
        self.levels = integers("levels", levels)
        self.components = (
            None if components is None else integers("components", components)
        )

    def places(self, order: int) -> tuple[np.ndarray, np.ndarray]:
        """Resolves levels `[k]` and components `[c]` for matrices of an order."""
        levels = [position("levels", k, order) for k in self.levels]
        rows = range(order) if self.components is None else self.components
        rows = [position("components", k, order) for k in rows]
        for name, found in (("levels", levels), ("components", rows)):
            if len(set(found)) < len(found):
                raise ValueError(f"`{name}` names {found} for order {order}: repeated.")
        return np.array(levels), np.array(rows)

    def natural_size(self, targets: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
        """Returns the largest target component; 1 if all are 0, whatever the norm."""
        return super().natural_size(targets, tf.ones_like(norm))

    def rounding(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Bounds the rounding by error / gap of the level, times the natural size."""
        w = eigenvalues
        gaps = w[..., 1:] - w[..., :-1]
        far = tf.zeros_like(w[..., :1]) + w.dtype.max
        below, above = tf.concat([far, gaps], -1), tf.concat([gaps, far], -1)
        gap = tf.minimum(below, above)
        turn = tf.minimum(tf.where(gap > errors, errors / gap, 1), 1)
        levels, _ = self.places(w.shape[-1])
        turn = tf.gather(turn, levels, axis=-1)
        number = targets.shape[-1] // len(levels)
        size = self.natural_size(targets, tf.zeros_like(w[..., :1]))
        return tf.repeat(turn, number, axis=-1) * size

    def _chosen(self, modes: tf.Tensor) -> tf.Tensor:
        # [..., k, c]
        levels, rows = self.places(modes.shape[-1])
        return tf.linalg.matrix_transpose(
            tf.gather(tf.gather(modes, rows, axis=-2), levels, axis=-1)
        )

    def _chosen_jacobian(self, spectrum: Spectrum) -> tf.Tensor:
        # [..., k, c, p]
        levels, rows = self.places(spectrum.eigenvalues.shape[-1])
        width = self.degenerate_atol, self.degenerate_rtol
        return tf.gather(spectrum.mode_jacobian(levels, *width), rows, axis=-2)


class ModeShapes(AbstractShapes):
    """Measured components of mode shapes, of real matrices.

    Targets are the shapes one after another, each with its components in order. A
    mode is determined up to its sign and scale, which follow the target:

    - `"max"`: the component whose target is largest in magnitude equals it;
    - `"unit"`: the measured components have the Euclidean norm 1, as their targets
      should, which then carry a datum less each;
    - `"mass"`: the whole mode has `x^T M x = 1`.

    In the last two cases the sign is the one that agrees with the target. Derivatives
    are those of R. L. Nelson, AIAA Journal 14 (1976) 1201-1205, written with all modes;
    they are NaN for a level that coincides with another one to rounding.

    Args:
        levels: Levels of the modes, 0 being the lowest.
        components: Rows of the matrix that were measured; all by default.
        normalisation: `"max"`, `"unit"` or `"mass"`.
        weights: Weights of the squared deviations; 1 by default.
        sigma: Standard deviations of the targets, instead of weights.
        name: Name of the `tf.Module`.
        degenerate_atol: Two levels belong to one cluster, in which no mode has a
            derivative, when they differ by at most `degenerate_atol + degenerate_rtol *
            max(abs(lambda))`. 0 by default.
        degenerate_rtol: See `degenerate_atol`. By default the second term is replaced
            by what a vector can resolve: 8 times the backward errors of both levels
            (see `Spectrum.backward_errors`), a few eps ||A||, and less for levels that
            the stiff part of a matrix does not affect.
        **common: `loss`, `loss_scale`, `labels` and `unit`; see `AbstractObservation`.

    Raises:
        ValueError: If an index is not an integer, or `normalisation` is unknown.

    Example:
        >>> ModeShapes([0, 1], components=[0, 2, 5]).num_targets(order=6)
        6
    """

    def __init__(
        self,
        levels: Sequence[int],
        components: Sequence[int] | None = None,
        normalisation: Normalisation = "max",
        weights: TensorLike | None = None,
        sigma: TensorLike | None = None,
        name: str | None = None,
        *,
        degenerate_atol: float = 0.0,
        degenerate_rtol: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        width = degenerate_atol, degenerate_rtol
        super().__init__(
            levels,
            components,
            weights,
            sigma,
            name,
            *width,
            **common,
        )
        if normalisation not in get_args(Normalisation):
            raise ValueError(
                f'`normalisation` must be "max", "unit" or "mass", got '
                f"{normalisation!r}."
            )
        self.normalisation = normalisation
        self.follows_targets = normalisation == "max"

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        levels, rows = self.places(order)
        return [f"mode {level} at {row}" for level in levels for row in rows]

    def __repr__(self) -> str:
        components = None if self.components is None else list(self.components)
        return self._repr(list(self.levels), components, self.normalisation)

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        levels, rows = self.places(order)
        return self._check_weights(len(levels) * len(rows))

    def num_trivial(self, order: int) -> int:
        """Number of targets that carry nothing: one of each shape, but for "mass".

        For "max" it is the largest, which sets the scale; for "unit" the norm of the
        shape, which is 1 whatever the parameters are.
        """
        return 0 if self.normalisation == "mass" else len(self.places(order)[0])

    def check_targets(self, targets: np.ndarray, order: int) -> None:
        """Rejects shapes that are zero, which fix neither sign nor scale."""
        levels, rows = self.places(order)
        shapes = targets.reshape([*targets.shape[:-1], len(levels), len(rows)])
        zero = np.argwhere(~shapes.any(axis=-1))
        if len(zero):
            raise ValueError(
                f"`targets` of ModeShapes are all zero for level "
                f"{self.levels[int(zero[0][-1])]}. Give its shape, or leave it out of "
                f"`levels`."
            )

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Normalises the components; see the base class."""
        assert modes is not None
        X = self._chosen(modes)
        T = tf.reshape(targets, tf.shape(X))
        return tf.reshape(X * self._factor(X, T), tf.shape(targets))

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Differentiates the normalised components; see the base class."""
        X, dX = self._chosen(spectrum.modes), self._chosen_jacobian(spectrum)
        T = tf.reshape(targets, tf.shape(X))
        factor = self._factor(X, T)
        Y = X * factor
        dY = dX * factor[..., tf.newaxis]
        if self.normalisation == "max":
            place = _largest(T)
            value = tf.reduce_sum(tf.where(place, T, tf.zeros_like(T)), -1)
            change = tf.where(place[..., tf.newaxis], dY, tf.zeros_like(dY))
            relative = tf.reduce_sum(change, -2) / value[..., tf.newaxis]
            dY -= Y[..., tf.newaxis] * relative[..., tf.newaxis, :]
        elif self.normalisation == "unit":
            along = tf.reduce_sum(Y[..., tf.newaxis] * dY, axis=-2, keepdims=True)
            dY -= Y[..., tf.newaxis] * along
        shape = tf.concat([tf.shape(targets), tf.shape(dY)[-1:]], axis=0)
        return tf.reshape(dY, shape)

    def differentiate_by_targets(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor | None:
        """Returns the columns of each shape's largest target; see the base class."""
        del eigenvalues
        if self.normalisation != "max":
            return None
        assert modes is not None
        X = self._chosen(modes)
        place = _largest(tf.reshape(targets, tf.shape(X)))
        own = tf.where(place, X, tf.zeros_like(X))
        relative = X / tf.reduce_sum(own, axis=-1, keepdims=True)
        # [..., k, c, k, c], zero between shapes.
        column = relative[..., tf.newaxis] * tf.cast(place, X.dtype)[..., tf.newaxis, :]
        number = X.shape[-2]
        itself = tf.reshape(tf.eye(number, dtype=X.dtype), [number, 1, number, 1])
        spread = column[..., tf.newaxis, :] * itself
        shape = tf.concat([tf.shape(targets), tf.shape(targets)[-1:]], axis=0)
        return tf.reshape(spread, shape)

    def _factor(self, X: tf.Tensor, T: tf.Tensor) -> tf.Tensor:
        # [..., k, 1]
        if self.normalisation == "max":
            place = _largest(T)
            zero = tf.zeros_like(T)
            own = tf.reduce_sum(tf.where(place, X, zero), -1, keepdims=True)
            return tf.reduce_sum(tf.where(place, T, zero), -1, keepdims=True) / own
        overlap = tf.reduce_sum(X * T, axis=-1, keepdims=True)
        sign = tf.where(overlap < 0, -tf.ones_like(overlap), tf.ones_like(overlap))
        sign = tf.stop_gradient(sign)
        if self.normalisation == "mass":
            return sign
        return sign / tf.norm(X, axis=-1, keepdims=True)


def _largest(T: tf.Tensor) -> tf.Tensor:
    # Marks the first largest component of each target, [..., k, c] bool.
    return tf.one_hot(
        tf.argmax(tf.abs(T), axis=-1), T.shape[-1], True, False, dtype=tf.bool
    )
