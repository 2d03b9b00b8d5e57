"""Weighted graph Laplacians."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure
from eigenfit.structures.matrices import as_array
from eigenfit.tensors.types import DTypeLike, TensorLike


class Laplacian(AbstractLinearStructure):
    """`A(r) = sum_k r_k (e_a - e_b)(e_a - e_b)^T` over the edges (a, b) of a graph.

    It is also the stiffness matrix of masses joined by springs, without walls.

    Args:
        edges: `[p, 2]` integers, the ends of each edge, 0..n-1.
        order: Number n of vertices; by default one more than the largest end.
        dtype: float32 or float64.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If an edge is a loop, appears twice or ends outside the graph.

    Example:
        >>> triangle = Laplacian([(0, 1), (1, 2), (0, 2)])
        >>> triangle.assemble(tf.constant([1.0, 2.0, 3.0], tf.float64)).numpy()
        array([[ 4., -1., -3.],
               [-1.,  3., -2.],
               [-3., -2.,  5.]])
    """

    def __init__(
        self,
        edges: TensorLike,
        order: int | None = None,
        dtype: DTypeLike = tf.float64,
        name: str | None = None,
    ) -> None:
        ends = as_array("edges", edges)
        if ends.ndim != 2 or ends.shape[1] != 2 or ends.dtype.kind not in "iu":
            turned = ends.ndim == 2 and ends.shape[0] == 2 != ends.shape[1]
            raise ValueError(
                f"`edges` must be a list of pairs of integers, got shape "
                f"{list(ends.shape)} of {ends.dtype}."
                f"{' It looks transposed: take edges.T.' * turned}"
            )
        if order is None:
            order = int(ends.max(initial=0)) + 1
        super().__init__(order, len(ends), dtype, name)
        if self.dtype.is_complex:
            raise TypeError(
                f"`dtype` must be float32 or float64, got {self.dtype.name}."
            )
        seen = set()
        for a, b in ends.tolist():
            if not 0 <= min(a, b) <= max(a, b) < self.order:
                from_one = bool(max(a, b) == self.order and ends.min() == 1)
                raise ValueError(
                    f"`edges` has ({a}, {b}), but the vertices are 0..{self.order - 1}."
                    f"{' Are they counted from 1?' * from_one}"
                )
            if a == b:
                raise ValueError(f"`edges` has the loop ({a}, {b}). Leave it out.")
            if frozenset((a, b)) in seen:
                raise ValueError(f"`edges` has ({a}, {b}) twice. Give each edge once.")
            seen.add(frozenset((a, b)))
        self._a, self._b = ends[:, 0], ends[:, 1]
        # The index one past the last edge stands for no edge.
        self._index = np.full([self.order, self.order], len(ends))
        self._index[self._a, self._b] = np.arange(len(ends))
        self._index[self._b, self._a] = np.arange(len(ends))

    def __repr__(self) -> str:
        return (
            f"Laplacian(order={self.order}, edges={self.num_parameters}, "
            f"dtype={self.dtype.name})"
        )

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        zero = tf.zeros_like(parameters[..., :1])
        padded = tf.concat([parameters, zero], axis=-1)
        adjacency = tf.gather(padded, self._index, axis=-1)
        degrees = tf.reduce_sum(adjacency, axis=-1)
        return (
            tf.eye(self.order, dtype=self.dtype) * degrees[..., tf.newaxis] - adjacency
        )

    def squared_norms(self) -> np.ndarray:
        """Returns 4 for each edge."""
        return np.full(self.num_parameters, 4.0)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `G_aa + G_bb - G_ab - G_ba`."""
        del parameters
        n = self.order
        flat = tf.reshape(G, tf.concat([tf.shape(G)[:-2], [n * n]], axis=0))
        a, b = self._a, self._b
        aa, bb, ab, ba = (
            tf.gather(flat, place, axis=-1)
            for place in (a * n + a, b * n + b, a * n + b, b * n + a)
        )
        return aa + bb - ab - ba

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `(v_a - v_b)^2`."""
        del parameters
        rows = tf.linalg.matrix_transpose(V)
        difference = tf.gather(rows, self._a, axis=-1) - tf.gather(
            rows, self._b, axis=-1
        )
        return difference**2

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `(v_ai - v_bi) (v_aj - v_bj)`."""
        del parameters
        difference = tf.gather(V, self._a, axis=-2) - tf.gather(V, self._b, axis=-2)
        return difference[..., :, tf.newaxis] * difference[..., tf.newaxis, :]
