"""The interface of a structure, and its derivation by automatic differentiation."""

from __future__ import annotations

import abc
import operator
from typing import Any

import numpy as np
import tensorflow as tf


class AbstractStructure(tf.Module, abc.ABC):
    """A differentiable map from `p` real parameters to Hermitian matrices of order n.

    Every function takes leading batch dimensions. A structure of your own needs
    `assemble`; `pullback` and `level_jacobian` are derived from it here by automatic
    differentiation, and a structure that knows a faster formula gives its own.

    Attributes:
        order: Order n of the matrix, at least 1.
        num_parameters: Number p of parameters, at least 1.
        dtype: Of the matrix: float32, float64, complex64 or complex128.

    Example:
        >>> class Scaled(AbstractStructure):
        ...     def assemble(self, parameters):
        ...         return parameters[..., tf.newaxis] * tf.eye(2, dtype=self.dtype)
        >>> Scaled(order=2, num_parameters=1).assemble(tf.constant([3.0], tf.float64))
        <tf.Tensor: shape=(2, 2), dtype=float64, numpy=
        array([[3., 0.],
               [0., 3.]])>
    """

    def __init__(
        self,
        order: int,
        num_parameters: int,
        dtype: Any = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.order = positive_int("order", order)
        self.num_parameters = positive_int("num_parameters", num_parameters)
        self.dtype = float_dtype(dtype)

    @property
    def parameter_dtype(self) -> tf.DType:
        """The real dtype of the parameters and eigenvalues."""
        return self.dtype.real_dtype

    @abc.abstractmethod
    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds the matrices A(r).

        Args:
            parameters: `[..., p]` of `parameter_dtype`.

        Returns:
            `[..., n, n]` of `dtype`, Hermitian.
        """

    def squared_norms(self) -> np.ndarray | None:
        """Gives `|dA/dr_k|^2` (Frobenius), `[p]`, or None if it depends on r.

        It bounds the squared norm of column k of the level Jacobian wherever the
        eigenvectors point, which makes it a good scale of parameter k.
        """
        return None

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Applies the adjoint of the derivative: `<dA/dr_k, G>` for every k.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            G: `[..., n, n]`, a gradient by the matrix.

        Returns:
            `[..., p]`, with `<X, G> = Re sum_ij conj(X_ij) G_ij`.
        """
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            A = self.assemble(parameters)
        gradient = tape.gradient(
            A,
            parameters,
            output_gradients=G,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return tf.convert_to_tensor(gradient)

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes the derivatives `v_i^H (dA/dr_k) v_i` of the levels.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            V: `[..., n, k]`, eigenvectors of A(r) in columns.

        Returns:
            `[..., k, p]`.
        """
        # One copy of r a level: members of a batch are independent, so that a single
        # backward pass gives all k gradients, without p dense matrices.
        rows = tf.linalg.matrix_transpose(V)
        outer = rows[..., :, tf.newaxis] * tf.math.conj(rows)[..., tf.newaxis, :]
        shape = tf.concat([tf.shape(rows)[:-1], [self.num_parameters]], axis=0)
        copies = tf.broadcast_to(parameters[..., tf.newaxis, :], shape)
        return self.pullback(copies, outer)


class AbstractFullStructure(AbstractStructure):
    """A structure that reaches every Hermitian matrix of its order and dtype."""

    @abc.abstractmethod
    def disassemble(self, A: tf.Tensor) -> tf.Tensor:
        """Finds the parameters of a Hermitian matrix; the inverse of `assemble`.

        Args:
            A: `[..., n, n]`, Hermitian.

        Returns:
            `[..., p]`.
        """


def positive_int(name: str, value: Any) -> int:
    """Checks an integer of at least 1 (bool is refused)."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1, got {value!r}.")
    return number


def float_dtype(dtype: Any) -> tf.DType:
    """Checks a dtype a matrix may have."""
    try:
        checked = tf.as_dtype(dtype)
    except TypeError:
        checked = None
    if checked not in (tf.float32, tf.float64, tf.complex64, tf.complex128):
        raise TypeError(
            f"`dtype` must be float32, float64, complex64 or complex128, got {dtype!r}."
        )
    return checked


def real_dtype(dtype: Any) -> tf.DType:
    """Checks a dtype a real symmetric matrix may have."""
    checked = float_dtype(dtype)
    if checked.is_complex:
        raise TypeError(
            f"`dtype` of a real symmetric matrix must be float32 or float64, got "
            f"{checked.name}."
        )
    return checked
