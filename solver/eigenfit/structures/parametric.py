"""A user's own differentiable function as a structure."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from eigenfit.structures.base import AbstractStructure
from eigenfit.tensors.types import DTypeLike


class Parametric(AbstractStructure):
    """`A(r) = function(r)` for any function that TensorFlow can differentiate.

    The Hermitian part of the function is used, so that the gradient is right
    whichever triangle an eigensolver reads; a function that is clearly not Hermitian
    is rejected.

    Args:
        function: Maps `[..., p]` to `[..., n, n]` by TensorFlow operations, or with
            `batched=False` one `[p]` to one `[n, n]`.
        order: Order n of the matrix.
        num_parameters: Number p of parameters.
        dtype: Dtype of the matrix; `function` gets parameters of its real dtype.
        batched: Whether `function` takes leading batch dimensions. If not, it is
            mapped with `tf.vectorized_map`.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If the result of `function` has the wrong shape or dtype, or is not
            Hermitian.

    Example:
        >>> def rotor(r):
        ...     one = tf.eye(2, dtype=r.dtype)
        ...     return tf.exp(r)[..., tf.newaxis] * one
        >>> Parametric(rotor, order=2, num_parameters=1)
        Parametric(rotor, order=2, num_parameters=1, dtype=float64)
    """

    def __init__(
        self,
        function: Callable[[tf.Tensor], tf.Tensor],
        order: int,
        num_parameters: int,
        dtype: DTypeLike = tf.float64,
        batched: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(order, num_parameters, dtype, name)
        if not callable(function):
            raise TypeError(f"`function` must be callable, got {function!r}.")
        self._function = function
        self._batched = batched
        self._check()

    def __repr__(self) -> str:
        label = getattr(self._function, "__name__", repr(self._function))
        return (
            f"Parametric({label}, order={self.order}, "
            f"num_parameters={self.num_parameters}, dtype={self.dtype.name})"
        )

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds the Hermitian part of `function(parameters)`."""
        A = self._call(parameters)
        return (A + tf.linalg.adjoint(A)) / 2

    def _call(self, parameters: tf.Tensor) -> tf.Tensor:
        if self._batched:
            return self._function(parameters)
        flat = tf.reshape(parameters, [-1, self.num_parameters])
        A = tf.vectorized_map(self._function, flat)
        shape = tf.concat([tf.shape(parameters)[:-1], [self.order] * 2], axis=0)
        return tf.reshape(A, shape)

    def _check(self) -> None:
        # A function written for one vector would take the first members of a batch for
        # parameters: batch sizes other than p reveal that.
        batch = ([2, 3] if self.num_parameters > 3 else [4, 5]) if self._batched else []
        probe = tf.random.stateless_uniform(
            [*batch, self.num_parameters], [1, 2], 0.25, 0.75, self.parameter_dtype
        )
        A = self._function(probe)
        expected = [*batch, self.order, self.order]
        shape = getattr(A, "shape", None)
        if shape != expected:
            hint = (
                " It must take leading batch dimensions; if it is written for one "
                "vector, pass batched=False."
                if self._batched
                else ""
            )
            raise ValueError(
                f"`function` must return shape {expected} for parameters of shape "
                f"{probe.shape.as_list()}, got {shape}.{hint}"
            )
        if A.dtype != self.dtype:
            raise ValueError(
                f"`function` must return {self.dtype.name}, got {A.dtype.name}. Pass "
                f"`dtype` or cast inside the function."
            )
        gap = tf.abs(A - tf.linalg.adjoint(A))
        if tf.reduce_any(gap > 1e-4 * tf.reduce_max(tf.abs(A))):
            raise ValueError(
                "`function` must return a Hermitian matrix; its two triangles differ "
                f"by up to {tf.reduce_max(gap).numpy():.3g}. Return "
                "(A + tf.linalg.adjoint(A)) / 2 if its Hermitian part is meant."
            )
