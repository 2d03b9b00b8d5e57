"""Sparse assembly from element contributions, as in finite elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure
from eigenfit.structures.matrices import as_array, as_matrix, hermitian
from eigenfit.tensors.types import DTypeLike, TensorLike

_DENSE = 2**14
"""Most numbers in a map that is stored as a dense matrix."""


class Assembly(AbstractLinearStructure):
    """Adds `coefficient * r_parameter` at (row, column) for each contribution.

    A contribution off the diagonal is added at (column, row) as well: give it once.
    Several contributions may fall on one entry. The cost of every function is
    proportional to the number e of contributions, not to `p n^2` (unless that is so
    small that a dense product is faster).

    Args:
        rows: `[e]` integers, 0..n-1, row of each contribution.
        columns: `[e]` integers, 0..n-1, column of each contribution.
        parameters: `[e]` integers, 0..p-1, parameter of each contribution.
        coefficients: `[e]` real numbers, factor of the parameter.
        order: Order n of the matrix; by default one more than the largest index.
        num_parameters: Number p; by default one more than the largest in `parameters`.
        offset: `[n, n]`, constant part, real symmetric; zero by default.
        dtype: float32 or float64.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If lengths differ, an index is out of range, or a number is not
            finite.

    Example:
        A chain of two springs from a wall to two masses:

        >>> chain = Assembly(
        ...     rows=[0, 0, 1, 1], columns=[0, 0, 1, 0], parameters=[0, 1, 1, 1],
        ...     coefficients=[1.0, 1.0, 1.0, -1.0],
        ... )
        >>> chain.assemble(tf.constant([5.0, 2.0], tf.float64)).numpy()
        array([[ 7., -2.],
               [-2.,  2.]])
    """

    def __init__(
        self,
        rows: TensorLike,
        columns: TensorLike,
        parameters: TensorLike,
        coefficients: TensorLike,
        order: int | None = None,
        num_parameters: int | None = None,
        offset: TensorLike | None = None,
        dtype: DTypeLike = tf.float64,
        name: str | None = None,
    ) -> None:
        rows = _indices("rows", rows)
        columns = _indices("columns", columns, like=rows)
        which = _indices("parameters", parameters, like=rows)
        coefficients = as_array("coefficients", coefficients)
        if coefficients.shape != rows.shape or not np.isfinite(coefficients).all():
            raise ValueError(
                f"`coefficients` must be {len(rows)} finite numbers, one for each of "
                f"`rows`, got shape {list(coefficients.shape)}."
            )
        if np.iscomplexobj(coefficients):
            raise ValueError(
                "`coefficients` must be real. Use Affine for complex ones."
            )
        if order is None:
            order = int(max(rows.max(), columns.max())) + 1
        if num_parameters is None:
            num_parameters = int(which.max()) + 1
        super().__init__(order, num_parameters, dtype, name)
        if self.dtype.is_complex:
            raise TypeError(
                f"`dtype` must be float32 or float64, got {self.dtype.name}. Use "
                f"Affine for complex matrices."
            )
        for label, index, size in (
            ("rows", rows, self.order),
            ("columns", columns, self.order),
            ("parameters", which, self.num_parameters),
        ):
            if index.max() >= size:
                from_one = bool(index.max() == size and index.min() == 1)
                raise ValueError(
                    f"`{label}` must lie in 0..{size - 1}, got {index.max()}."
                    f"{' Are they counted from 1?' * from_one}"
                )
        self._rows, self._columns, self._which = rows, columns, which
        self._coefficients = coefficients.astype(float)
        # Weight of each contribution in a symmetric form.
        self._twice = self._coefficients * np.where(rows == columns, 1, 2)
        # Small maps use matrix products, which are faster than sums over segments.
        self._dense = self._owner = None
        if self.num_parameters * max(self.order**2, len(rows)) <= _DENSE:
            basis = np.zeros([self.num_parameters, self.order, self.order])
            np.add.at(basis, (which, rows, columns), self._coefficients)
            off = rows != columns
            np.add.at(
                basis, (which[off], columns[off], rows[off]), self._coefficients[off]
            )
            flat = basis.reshape(self.num_parameters, -1)
            self._dense = tf.constant(flat, self.dtype)
            owner = which[:, None] == np.arange(self.num_parameters)
            self._owner = tf.constant(owner.astype(float), self.dtype)
        self._offset = None
        if offset is not None:
            matrix = as_matrix("offset", offset)
            if len(matrix) != self.order:
                raise ValueError(
                    f"`offset` must have order {self.order}, got {len(matrix)}."
                )
            _, matrices = hermitian(self.dtype, offset=matrix)
            self._offset = tf.constant(matrices["offset"])

    def __repr__(self) -> str:
        return (
            f"Assembly(order={self.order}, num_parameters={self.num_parameters}, "
            f"contributions={len(self._rows)}, dtype={self.dtype.name})"
        )

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        A = self.pushforward(parameters, parameters)
        return A if self._offset is None else A + self._offset

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Adds the contributions, without the offset."""
        del parameters
        n = self.order
        shape = tf.concat([tf.shape(vector)[:-1], [n, n]], axis=0)
        if self._dense is not None:
            return tf.reshape(tf.tensordot(vector, self._dense, axes=1), shape)
        mirrored = np.flatnonzero(self._rows != self._columns)
        places = np.concatenate(
            [
                self._rows * n + self._columns,
                self._columns[mirrored] * n + self._rows[mirrored],
            ]
        )
        source = np.concatenate([np.arange(len(self._rows)), mirrored])
        values = tf.gather(vector, self._which, axis=-1)
        values *= tf.constant(self._coefficients, self.dtype)
        flat = _segment_sum(tf.gather(values, source, axis=-1), places, n * n)
        return tf.reshape(flat, shape)

    def squared_norms(self) -> np.ndarray:
        """Returns `|dA/dr_k|^2`; contributions to the same entry are added first."""
        entries = self._rows * self.order + self._columns
        swapped = self._columns * self.order + self._rows
        place = self._which * self.order**2 + np.minimum(entries, swapped)
        unique, group = np.unique(place, return_inverse=True)
        total = np.bincount(group, self._coefficients)
        row, column = np.divmod(unique % self.order**2, self.order)
        norms = total**2 * np.where(row == column, 1, 2)
        return np.bincount(unique // self.order**2, norms, self.num_parameters)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Sums `coefficient (G_ij + G_ji)`, and `coefficient G_ii` on the diagonal."""
        del parameters
        shape = tf.concat([tf.shape(G)[:-2], [self.order**2]], axis=0)
        flat = tf.reshape(G + tf.linalg.matrix_transpose(G), shape)
        entries = tf.gather(flat, self._rows * self.order + self._columns, axis=-1)
        return self._by_parameter(entries * tf.constant(self._twice / 2, self.dtype))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Sums `(2 - delta_ab) coefficient v_ai v_bi`."""
        del parameters
        products = tf.linalg.matrix_transpose(
            tf.gather(V, self._rows, axis=-2) * tf.gather(V, self._columns, axis=-2)
        )
        return self._by_parameter(products * tf.constant(self._twice, self.dtype))

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Sums `coefficient (v_ai v_bj + v_bi v_aj)`, half that if a = b."""
        del parameters
        rows = tf.linalg.matrix_transpose(V)
        a, b = (tf.gather(rows, k, axis=-1) for k in (self._rows, self._columns))
        a *= tf.constant(self._twice / 2, self.dtype)
        outer = a[..., :, tf.newaxis, :] * b[..., tf.newaxis, :, :]
        batch, k = tf.shape(V)[:-2], tf.shape(V)[-1]
        flat = tf.reshape(
            self._by_parameter(outer),
            tf.concat([batch, [k * k, self.num_parameters]], axis=0),
        )
        shape = tf.concat([batch, [self.num_parameters, k, k]], axis=0)
        half = tf.reshape(tf.linalg.matrix_transpose(flat), shape)
        return half + tf.linalg.matrix_transpose(half)

    def _by_parameter(self, values: tf.Tensor) -> tf.Tensor:
        if self._owner is not None:
            return tf.tensordot(values, self._owner, axes=1)
        return _segment_sum(values, self._which, self.num_parameters)


def _segment_sum(values: tf.Tensor, segments: np.ndarray, size: int) -> tf.Tensor:
    """Sums along the last axis: `[..., e]` to `[..., size]`."""
    batch = tf.shape(values)[:-1]
    flat = tf.reshape(values, tf.stack([tf.reduce_prod(batch), len(segments)]))
    sums = tf.math.unsorted_segment_sum(tf.transpose(flat), segments, size)
    return tf.reshape(tf.transpose(sums), tf.concat([batch, [size]], axis=0))


def _indices(name: str, value: Any, like: np.ndarray | None = None) -> np.ndarray:
    array = as_array(name, value)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
        raise ValueError(
            f"`{name}` must be a list of at least one integer, got shape "
            f"{list(array.shape)} of {array.dtype}."
        )
    if array.min() < 0:
        raise ValueError(f"`{name}` must not be negative, got {array.min()}.")
    if like is not None and len(array) != len(like):
        raise ValueError(
            f"`{name}` must be as long as `rows`, {len(like)}, got {len(array)}."
        )
    return array.astype(np.int64)
