"""The interface of a structure, and its derivation by automatic differentiation."""

from __future__ import annotations

import abc

import numpy as np
import tensorflow as tf

from eigenfit.structures.level_forms import level_forms, quadratic, rotated
from eigenfit.tensors.checks import float_dtype, positive_int
from eigenfit.tensors.types import DTypeLike

_LARGE = 64
"""Order from which forward differentiation is used if there are few parameters."""


class AbstractStructure(tf.Module, abc.ABC):
    """A differentiable map from `p` real parameters to Hermitian matrices of order n.

    Every function takes leading batch dimensions. A structure of your own needs only
    `assemble`; everything else is derived from it here by automatic differentiation,
    and a structure with a faster formula may override it. If r enters linearly, derive
    from `AbstractLinearStructure` instead: its derivatives need no tape.

    Attributes:
        order: Order n of the matrix, at least 1.
        num_parameters: Number p of parameters, at least 1.
        dtype: Dtype of the matrix: float32, float64, complex64 or complex128.

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
        dtype: DTypeLike = tf.float64,
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

    @property
    def is_linear(self) -> bool:
        """Whether `dA/dr_k` is the same for every r."""
        return False

    def squared_norms(self) -> np.ndarray | None:
        """Returns `|dA/dr_k|^2` (Frobenius), `[p]`, or None if it depends on r.

        It bounds the squared norm of column k of the level Jacobian whatever the
        eigenvectors are, which makes it a good scale for parameter k.
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
        if self.order >= _LARGE and 4 * self.num_parameters <= self.order:
            # p dense matrices have fewer numbers than a copy of A for each level.
            return level_forms(self.pushforward(*self._each_direction(parameters)), V)
        # One copy of r for each level: members of a batch are independent, so a single
        # backward pass gives all k gradients, without p dense matrices.
        rows = tf.linalg.matrix_transpose(V)
        outer = rows[..., :, tf.newaxis] * tf.math.conj(rows)[..., tf.newaxis, :]
        shape = tf.concat([tf.shape(rows)[:-1], [self.num_parameters]], axis=0)
        copies = tf.broadcast_to(parameters[..., tf.newaxis, :], shape)
        return self.pullback(copies, outer)

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Applies the derivative: `sum_k vector_k dA/dr_k`.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            vector: `[..., p]`, a direction.

        Returns:
            `[..., n, n]` of `dtype`, Hermitian.
        """
        # The pullback is linear in G: its own pullback is the derivative.
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(parameters)
                A = self.assemble(parameters)
            G = tf.ones_like(A)
            outer.watch(G)
            gradient = inner.gradient(
                A,
                parameters,
                output_gradients=G,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            change = tf.reduce_sum(gradient * vector)
        return outer.gradient(
            change, G, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `V^H (dA/dr_k) V` for every k.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            V: `[..., n, k]`, eigenvectors of A(r) in columns.

        Returns:
            `[..., p, k, k]` of `dtype`, Hermitian.
        """
        copies, directions = self._each_direction(parameters)
        return rotated(self.pushforward(copies, directions), V)

    def modes(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Turns eigenvectors of A(r) into mode shapes, `[..., n, k]`; here the same.

        Args:
            parameters: `[..., p]`.
            V: `[..., n, k]`, eigenvectors of A(r) in columns.
        """
        del parameters
        return V

    def mode_derivatives(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Computes the coefficients of the derivatives of mode shapes.

        `dx_i/dr_k = sum_{j != i} x_j N_kji / (lambda_i - lambda_j) + x_i c_ik`.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            eigenvalues: `[..., n]`, those of A(r).
            X: `[..., n, n]`, mode shapes in columns.

        Returns:
            N `[..., p, n, n]` and c `[..., n, p]`; c is None if it is zero.
        """
        del eigenvalues
        return self.rotated_derivatives(parameters, X), None

    def magnitudes(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tf.Tensor:
        """Computes `|x_i|^H |A| |x_i|`, `[..., n]`: the size of the terms of a level.

        Args:
            parameters: `[..., p]`.
            eigenvalues: `[..., n]`, those of A(r).
            X: `[..., n, n]`, mode shapes in columns.
        """
        del eigenvalues
        return quadratic(tf.abs(self.assemble(parameters)), X)

    def curvature_product(
        self, parameters: tf.Tensor, G: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Computes `sum_l <d2A/dr_k dr_l, G> vector_l` for every k.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            G: `[..., n, n]`, a gradient by the matrix.
            vector: `[..., p]`, a direction.

        Returns:
            `[..., p]`; zero for a linear structure.
        """
        with tf.GradientTape() as outer:
            outer.watch(parameters)
            with tf.GradientTape() as inner:
                inner.watch(parameters)
                A = self.assemble(parameters)
            gradient = inner.gradient(
                A,
                parameters,
                output_gradients=G,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            change = tf.reduce_sum(gradient * vector)
        product = outer.gradient(
            change, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return tf.convert_to_tensor(product)

    def curvature(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `<d2A/dr_k dr_l, G>` for every k and l.

        Args:
            parameters: `[..., p]`, where the derivative is taken.
            G: `[..., n, n]`, a gradient by the matrix.

        Returns:
            `[..., p, p]`, symmetric; zero for a linear structure.
        """
        copies, directions = self._each_direction(parameters)
        shape = tf.concat([tf.shape(copies)[:-1], tf.shape(G)[-2:]], axis=0)
        G = tf.broadcast_to(G[..., tf.newaxis, :, :], shape)
        return self.curvature_product(copies, G, directions)

    def _each_direction(self, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A copy of r for each unit vector, `[..., p, p]` both: a batch of p tangents.
        shape = tf.concat([tf.shape(parameters), [self.num_parameters]], axis=0)
        copies = tf.broadcast_to(parameters[..., tf.newaxis, :], shape)
        identity = tf.eye(self.num_parameters, dtype=parameters.dtype)
        return copies, tf.broadcast_to(identity, shape)


class AbstractLinearStructure(AbstractStructure):
    """A structure `A(r) = A_0 + sum_k r_k A_k` whose derivatives `A_k` are constant."""

    @property
    def is_linear(self) -> bool:
        """Always true."""
        return True

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Computes `A(vector) - A(0)`; see the base class."""
        del parameters
        return self.assemble(vector) - self.assemble(tf.zeros_like(vector))

    def curvature_product(
        self, parameters: tf.Tensor, G: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Returns zero."""
        del G, vector
        return tf.zeros_like(parameters)

    def curvature(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Returns zero."""
        del G
        shape = tf.concat([tf.shape(parameters), [self.num_parameters]], axis=0)
        return tf.zeros(shape, parameters.dtype)


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


def as_entries(parameters: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Converts real numbers to entries of a matrix.

    Like `tf.cast`, but its gradient does not warn of a dropped imaginary part.
    """
    if dtype.is_complex:
        return tf.complex(parameters, tf.zeros_like(parameters))
    return parameters
