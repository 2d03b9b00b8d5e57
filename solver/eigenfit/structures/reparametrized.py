"""A structure as a function of other parameters, by a linear map."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractStructure
from eigenfit.structures.matrices import real_array
from eigenfit.tensors.types import TensorLike


class Reparametrized(AbstractStructure):
    """`A(offset + matrix @ r)` for a structure `A(q)`.

    It ties parameters together, fixes some, or gives a structure that depends on few
    parameters the longer list that several matrices share.

    Args:
        structure: The structure A(q).
        matrix: `[q, p]`, real, maps r to q.
        offset: `[q]`, real, constant part of q; zero by default.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If `structure` is not a structure.
        ValueError: If a shape does not fit, or a number is not finite.

    Example:
        Both springs of a chain alike:

        >>> from eigenfit.structures import Tridiagonal
        >>> alike = Reparametrized(Tridiagonal(2), [[2.0], [1.0], [-1.0]])
        >>> alike.assemble(tf.constant([3.0], tf.float64)).numpy()
        array([[ 6., -3.],
               [-3.,  3.]])
    """

    def __init__(
        self,
        structure: AbstractStructure,
        matrix: TensorLike,
        offset: TensorLike | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(structure, AbstractStructure):
            raise TypeError(
                f"`structure` must be a structure such as Symmetric(3), got "
                f"{structure!r}."
            )
        matrix = real_array("matrix", matrix)
        q = structure.num_parameters
        if matrix.ndim != 2 or matrix.shape[0] != q or not matrix.shape[1]:
            turned = matrix.ndim == 2 and matrix.shape[1] == q != matrix.shape[0]
            raise ValueError(
                f"`matrix` must have shape [{q}, p], a row for each parameter of "
                f"{structure!r}, got {list(matrix.shape)}."
                f"{' It looks transposed: take matrix.T.' * turned}"
            )
        offset = np.zeros(q) if offset is None else real_array("offset", offset)
        if offset.shape != (q,):
            raise ValueError(
                f"`offset` must have shape [{q}], a number for each parameter of "
                f"{structure!r}, got {list(offset.shape)}."
            )
        super().__init__(structure.order, matrix.shape[1], structure.dtype, name)
        self.structure = structure
        self.matrix, self.offset = matrix, offset
        self._matrix = tf.constant(self.matrix, self.parameter_dtype)
        self._offset = tf.constant(self.offset, self.parameter_dtype)
        self._squared_norms = self._find_squared_norms()

    def __repr__(self) -> str:
        return (
            f"Reparametrized({self.structure!r}, num_parameters={self.num_parameters})"
        )

    @property
    def is_linear(self) -> bool:
        """Whether the structure is linear in q."""
        return self.structure.is_linear

    def inner(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes the parameters q of the structure, `[..., q]` from `[..., p]`."""
        return self._spread(parameters) + self._offset

    def squared_norms(self) -> np.ndarray | None:
        """Returns `|sum_j matrix_jk dA/dq_j|^2`; see the base class."""
        return self._squared_norms

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(offset + matrix @ r)."""
        return self.structure.assemble(self.inner(parameters))

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Applies the chain rule; see the base class."""
        return self._collect(self.structure.pullback(self.inner(parameters), G))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Applies the chain rule; see the base class."""
        return self._collect(self.structure.level_jacobian(self.inner(parameters), V))

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Applies the chain rule; see the base class."""
        return self.structure.pushforward(self.inner(parameters), self._spread(vector))

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Applies the chain rule; see the base class."""
        D = self.structure.rotated_derivatives(self.inner(parameters), V)
        return self._collect_first(D)

    def modes(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Returns the modes of the structure; see the base class."""
        return self.structure.modes(self.inner(parameters), V)

    def mode_derivatives(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Applies the chain rule; see the base class."""
        numerators, lengths = self.structure.mode_derivatives(
            self.inner(parameters), eigenvalues, X
        )
        numerators = self._collect_first(numerators)
        return numerators, None if lengths is None else self._collect(lengths)

    def magnitudes(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tf.Tensor:
        """Returns the magnitudes of the structure; see the base class."""
        return self.structure.magnitudes(self.inner(parameters), eigenvalues, X)

    def curvature_product(
        self, parameters: tf.Tensor, G: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Applies the chain rule; see the base class."""
        return self._collect(
            self.structure.curvature_product(
                self.inner(parameters), G, self._spread(vector)
            )
        )

    def curvature(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Applies the chain rule twice; see the base class."""
        C = self._collect(self.structure.curvature(self.inner(parameters), G))
        return tf.linalg.matrix_transpose(self._collect(tf.linalg.matrix_transpose(C)))

    def _spread(self, r: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(r, self._matrix, axes=[[-1], [1]])

    def _collect(self, q: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(q, self._matrix, axes=1)

    def _collect_first(self, D: tf.Tensor) -> tf.Tensor:
        # [..., q, k, l] -> [..., p, k, l]
        return tf.einsum("...qkl,qp->...pkl", D, tf.cast(self._matrix, D.dtype))

    def _find_squared_norms(self) -> np.ndarray | None:
        inner = self.structure.squared_norms()
        if inner is None:
            return None
        simple = (np.count_nonzero(self.matrix, axis=0) <= 1).all()
        if simple:
            return (self.matrix**2).T @ inner
        if not self.is_linear:
            return None
        zero = tf.zeros([self.structure.num_parameters], self.parameter_dtype)
        norms = []
        for column in tf.unstack(self._matrix, axis=1):
            change = self.structure.pushforward(zero, column)
            norms.append(np.sum(np.abs(change.numpy()) ** 2))
        return np.array(norms)
