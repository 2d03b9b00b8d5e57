"""All real symmetric matrices, packed by diagonals outwards."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.structures.base import AbstractFullStructure
from eigenfit.structures.free_entries.packed import AbstractPacked
from eigenfit.tensors.checks import positive_int
from eigenfit.tensors.types import DTypeLike


class Symmetric(AbstractPacked, AbstractFullStructure):
    """Every real symmetric matrix of an order; `p = n (n + 1) / 2` parameters.

    The diagonal comes first, then each subdiagonal, outwards to the corner.

    Example:
        >>> r = tf.constant([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], tf.float64)
        >>> Symmetric(3).assemble(r).numpy()
        array([[0., 3., 5.],
               [3., 1., 4.],
               [5., 4., 2.]])
    """

    def __init__(
        self, order: int, dtype: DTypeLike = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(order, positive_int("order", order) - 1, dtype, name)

    def __repr__(self) -> str:
        return f"Symmetric(order={self.order}, dtype={self.dtype.name})"

    def disassemble(self, A: tf.Tensor) -> tf.Tensor:
        """Reads the lower triangle of `A`."""
        return self._entries(A)
