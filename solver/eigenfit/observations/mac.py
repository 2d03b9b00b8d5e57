"""How far mode shapes agree with given ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from eigenfit.observations.base import Common
from eigenfit.observations.shapes import AbstractShapes
from eigenfit.observations.spectrum import Spectrum
from eigenfit.tensors.types import TensorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack


class MAC(AbstractShapes):
    """Modal assurance criterion of modes with given shapes, 1 for a perfect match.

    `(x^T s)^2 / ((x^T x) (s^T s))` over the measured components (R. J. Allemang,
    Sound and Vibration 37 (2003) 14-23). Near a match its deviation from 1 is of
    second order, so that a fit to it converges slowly and resolves shapes only to the
    root of its tolerance; `ModeShapes` carries the same information in first order.

    Args:
        levels: Levels of the modes, 0 being the lowest.
        shapes: `[k, c]`, real, a row for each level.
        components: Rows of the matrix that were measured; all by default.
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
        ValueError: If a shape has no length or their number differs from that of
            the levels.

    Example:
        >>> MAC([0], shapes=[[1.0, 2.0, 3.0]]).num_targets(order=3)
        1
    """

    def __init__(
        self,
        levels: Sequence[int],
        shapes: TensorLike,
        components: Sequence[int] | None = None,
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
        self.shapes = _shapes("shapes", shapes)
        if np.iscomplexobj(self.shapes):
            raise ValueError("`shapes` must be real, like the modes they go with.")
        if len(self.shapes) != len(self.levels):
            raise ValueError(
                f"`shapes` has {len(self.shapes)} rows for {len(self.levels)} levels."
            )

    def names(self, order: int) -> list[str]:
        """Names the values; see the base class."""
        return [f"MAC of mode {level}" for level in self.places(order)[0]]

    def __repr__(self) -> str:
        components = None if self.components is None else list(self.components)
        return self._repr(list(self.levels), components)

    def num_trivial(self, order: int) -> int:
        """Number of targets that are always met: all if one component was measured."""
        levels, rows = self.places(order)
        return len(levels) if len(rows) == 1 else 0

    def num_targets(self, order: int) -> int:
        """Number m of targets; see the base class."""
        levels, rows = self.places(order)
        if self.shapes.shape[1] != len(rows):
            raise ValueError(
                f"`shapes` has {self.shapes.shape[1]} columns for {len(rows)} measured "
                f"components."
            )
        return self._check_weights(len(levels))

    def measure(
        self, eigenvalues: tf.Tensor, modes: tf.Tensor | None, targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes the criterion; see the base class."""
        assert modes is not None
        X = self._chosen(modes)
        S = self._unit(X.dtype)
        overlap = tf.reduce_sum(X * S, axis=-1)
        return overlap**2 / tf.reduce_sum(X**2, axis=-1)

    def differentiate(self, spectrum: Spectrum, targets: tf.Tensor) -> tf.Tensor:
        """Differentiates the criterion; see the base class."""
        X, dX = self._chosen(spectrum.modes), self._chosen_jacobian(spectrum)
        S = self._unit(X.dtype)
        quotient = tf.reduce_sum(X * S, axis=-1) / tf.reduce_sum(X**2, axis=-1)
        quotient = quotient[..., tf.newaxis]
        gradient = 2 * quotient * (S - quotient * X)
        return tf.reduce_sum(gradient[..., tf.newaxis] * dX, axis=-2)

    def _unit(self, dtype: tf.DType) -> tf.Tensor:
        return tf.constant(
            self.shapes / np.linalg.norm(self.shapes, axis=1, keepdims=True), dtype
        )


def mac(X: TensorLike, Y: TensorLike) -> np.ndarray:
    """Computes the modal assurance criterion of every pair of two sets of shapes.

    Args:
        X: `[k, c]`, a shape in each row; real or complex.
        Y: `[l, c]`, likewise.

    Returns:
        `[k, l]`, between 0 and 1.

    Raises:
        ValueError: If a shape has no length, or their lengths differ.

    Example:
        >>> mac([[1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).round(3)
        array([[1. , 0. , 0.5]])
    """
    X, Y = _shapes("X", X), _shapes("Y", Y)
    if X.shape[1] != Y.shape[1]:
        raise ValueError(
            f"`X` and `Y` must have as many components, got {X.shape[1]} and "
            f"{Y.shape[1]}."
        )
    squares = np.sum(np.abs(X) ** 2, axis=1)[:, None] * np.sum(np.abs(Y) ** 2, axis=1)
    return np.abs(X.conj() @ Y.T) ** 2 / squares


def _shapes(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iufc" or array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"`{name}` must be a full table of numbers, a row a shape.")
    if not (np.isfinite(array).all() and array.any(axis=1).all()):
        raise ValueError(f"`{name}` has a row that is zero or not finite.")
    return array
