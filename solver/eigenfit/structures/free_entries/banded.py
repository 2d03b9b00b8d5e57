"""Real symmetric band matrices: Jacobi matrices, chains, finite differences."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.structures.free_entries.packed import AbstractPacked
from eigenfit.tensors.checks import positive_int
from eigenfit.tensors.types import DTypeLike


class Banded(AbstractPacked):
    """Real symmetric matrices with a parameter for each entry of a band.

    Args:
        order: Order n of the matrix.
        bandwidth: Number of subdiagonals, less than n; 0 for diagonal matrices.
        dtype: float32 or float64.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If the bandwidth does not fit the order.

    Example:
        >>> r = tf.constant([2.0, 2.0, 2.0, -1.0, -1.0], tf.float64)
        >>> Banded(3, bandwidth=1).assemble(r).numpy()
        array([[ 2., -1.,  0.],
               [-1.,  2., -1.],
               [ 0., -1.,  2.]])
    """

    def __init__(
        self,
        order: int,
        bandwidth: int,
        dtype: DTypeLike = tf.float64,
        name: str | None = None,
    ) -> None:
        order = positive_int("order", order)
        if (
            isinstance(bandwidth, bool)
            or not isinstance(bandwidth, int)
            or not 0 <= bandwidth < order
        ):
            raise ValueError(
                f"`bandwidth` must be an integer from 0 to {order - 1}, one less than "
                f"`order`, got {bandwidth!r}."
            )
        super().__init__(order, bandwidth, dtype, name)

    def __repr__(self) -> str:
        return (
            f"Banded(order={self.order}, bandwidth={self.bandwidth}, "
            f"dtype={self.dtype.name})"
        )


class Tridiagonal(AbstractPacked):
    """Real symmetric tridiagonal (Jacobi) matrices; `p = 2 n - 1`.

    The n diagonal entries come first, then the n - 1 beside them.

    Example:
        >>> r = tf.constant([1.0, 2.0, 3.0], tf.float64)
        >>> Tridiagonal(2).assemble(r).numpy()
        array([[1., 3.],
               [3., 2.]])
    """

    def __init__(
        self, order: int, dtype: DTypeLike = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(order, min(positive_int("order", order) - 1, 1), dtype, name)

    def __repr__(self) -> str:
        return f"Tridiagonal(order={self.order}, dtype={self.dtype.name})"
