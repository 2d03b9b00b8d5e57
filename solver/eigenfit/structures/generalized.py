"""The generalized problem `K(r) x = lambda M x`, as a structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import decompose, epsilon
from eigenfit.structures.base import AbstractStructure, as_entries
from eigenfit.structures.level_forms import quadratic
from eigenfit.structures.matrices import as_array, hermitian
from eigenfit.tensors.types import TensorLike


class Generalized(AbstractStructure):
    """Levels of the pencil `K(r) x = lambda M x` with a positive definite M.

    The matrix of this structure is `C = L^-1 K L^-H` with `M = L L^H`: its levels are
    those of the pencil, its eigenvectors V those of the pencil times `L^H`. `modes`
    returns `X = L^-H V`, normalised to `x^H M x = 1`. Derivatives of levels are
    `x^H (dK - lambda dM) x` (see `mode_derivatives` for those of x).

    Args:
        stiffness: The structure of K(r).
        mass: M, as its diagonal `[n]`, a matrix `[n, n]`, or a structure M(r) with the
            same parameters and dtype.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If `stiffness` is not a structure, or the dtype of M does not fit.
        ValueError: If a shape does not fit, or a constant M is not positive definite.
            Where M(r) is not, the member has NaN levels and a fit ends `nonfinite`.

    Example:
        Two masses of 2 kg on springs of 6 N/m; levels are squared angular frequencies:

        >>> from eigenfit.structures import Laplacian
        >>> chain = Generalized(Laplacian([(0, 1)]), mass=[2.0, 2.0])
        >>> C = chain.assemble(tf.constant([6.0], tf.float64))
        >>> tf.linalg.eigvalsh(C).numpy().round(12)
        array([0., 6.])
    """

    def __init__(
        self,
        stiffness: AbstractStructure,
        mass: TensorLike,
        name: str | None = None,
    ) -> None:
        if not isinstance(stiffness, AbstractStructure):
            raise TypeError(
                f"`stiffness` must be a structure such as Laplacian(edges), got "
                f"{stiffness!r}. For a constant K vary a parameter that scales it."
            )
        super().__init__(
            stiffness.order, stiffness.num_parameters, stiffness.dtype, name
        )
        self.stiffness = stiffness
        self.mass = mass if isinstance(mass, AbstractStructure) else None
        if self.mass is None:
            self._inverse = tf.constant(self._factor(mass), self.dtype)
            sizes = np.abs(as_array("mass", mass))
            self._sizes = np.diag(sizes) if sizes.ndim == 1 else sizes
        else:
            self._check_mass(self.mass)
        self._squared_norms = self._find_squared_norms()

    def __repr__(self) -> str:
        mass = "fixed" if self.mass is None else repr(self.mass)
        return f"Generalized({self.stiffness!r}, mass={mass})"

    @property
    def is_linear(self) -> bool:
        """Whether K is linear in r and M fixed."""
        return self.mass is None and self.stiffness.is_linear

    def squared_norms(self) -> np.ndarray | None:
        """Returns `|L^-1 K_k L^-H|^2` where that is constant; see the base class."""
        return self._squared_norms

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds C(r)."""
        K = self.stiffness.assemble(parameters)
        if self.mass is None:
            return self._reduced(K)
        return _between(_cholesky(self.mass.assemble(parameters)), K)

    def modes(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `X = L^-H V`; see the base class."""
        if self.mass is None:
            return self._physical(V)
        L = _cholesky(self.mass.assemble(parameters))
        return tf.linalg.triangular_solve(L, V, adjoint=True)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `<L^-1 K_k L^-H, G>` for every k; see the base class."""
        if self.mass is not None:
            return super().pullback(parameters, G)
        return self.stiffness.pullback(parameters, self._expanded(G))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `x_i^H (dK - lambda_i dM) x_i`, `[..., k, p]`."""
        X = self.modes(parameters, V)
        J = self.stiffness.level_jacobian(parameters, X)
        if self.mass is None:
            return J
        KX = tf.linalg.matmul(self.stiffness.assemble(parameters), X)
        w = tf.math.real(tf.reduce_sum(tf.math.conj(X) * KX, axis=-2))
        return J - w[..., tf.newaxis] * self.mass.level_jacobian(parameters, X)

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Computes `L^-1 dK L^-H - P C - C P^H`; see the base class.

        Here dK and dM are the derivatives of both matrices, and P, the lower triangle
        of `L^-1 dM L^-H` with half its diagonal, is `L^-1 dL`.
        """
        dK = self.stiffness.pushforward(parameters, vector)
        if self.mass is None:
            return self._reduced(dK)
        L = _cholesky(self.mass.assemble(parameters))
        S = _between(L, self.mass.pushforward(parameters, vector))
        lower = tf.linalg.band_part(S, -1, 0)
        P = lower - tf.linalg.band_part(S, 0, 0) / 2
        PC = tf.linalg.matmul(P, _between(L, self.stiffness.assemble(parameters)))
        return _between(L, dK) - PC - tf.linalg.adjoint(PC)

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `X^H K_k X` where M is fixed; see the base class."""
        if self.mass is not None:
            return super().rotated_derivatives(parameters, V)
        return self.stiffness.rotated_derivatives(parameters, self._physical(V))

    def mode_derivatives(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns `X^H (K_k - lambda_i M_k) X` and `-x_i^H M_k x_i / 2`."""
        D = self.stiffness.rotated_derivatives(parameters, X)
        if self.mass is None:
            return D, None
        M = self.mass.rotated_derivatives(parameters, X)
        w = as_entries(eigenvalues, self.dtype)[..., tf.newaxis, tf.newaxis, :]
        lengths = -tf.math.real(tf.linalg.diag_part(M)) / 2
        return D - M * w, tf.linalg.matrix_transpose(lengths)

    def magnitudes(
        self, parameters: tf.Tensor, eigenvalues: tf.Tensor, X: tf.Tensor
    ) -> tf.Tensor:
        """Computes `|x_i|^H (|K| + |lambda_i| |M|) |x_i|`; see the base class."""
        K = quadratic(tf.abs(self.stiffness.assemble(parameters)), X)
        if self.mass is None:
            M = tf.constant(self._sizes, K.dtype)
        else:
            M = tf.abs(self.mass.assemble(parameters))
        return K + tf.abs(eigenvalues) * quadratic(M, X)

    def curvature_product(
        self, parameters: tf.Tensor, G: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Computes the curvature of K against `L^-H G L^-1`; see the base class."""
        if self.mass is not None:
            return super().curvature_product(parameters, G, vector)
        return self.stiffness.curvature_product(parameters, self._expanded(G), vector)

    def curvature(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes the curvature of K against `L^-H G L^-1`; see the base class."""
        if self.mass is not None:
            return super().curvature(parameters, G)
        return self.stiffness.curvature(parameters, self._expanded(G))

    def _reduced(self, K: tf.Tensor) -> tf.Tensor:
        if self._inverse.shape.rank == 1:
            return K * self._squares()
        half = tf.linalg.matmul(self._inverse, K)
        C = tf.linalg.matmul(half, self._inverse, adjoint_b=True)
        return (C + tf.linalg.adjoint(C)) / 2

    def _expanded(self, G: tf.Tensor) -> tf.Tensor:
        if self._inverse.shape.rank == 1:
            return G * self._squares()
        half = tf.linalg.matmul(self._inverse, G, adjoint_a=True)
        return tf.linalg.matmul(half, self._inverse)

    def _squares(self) -> tf.Tensor:
        # 1 / sqrt(m_i m_j); the product comes first, to be Hermitian to the bit.
        return self._inverse[:, tf.newaxis] * self._inverse

    def _physical(self, V: tf.Tensor) -> tf.Tensor:
        if self._inverse.shape.rank == 1:
            return V * self._inverse[:, tf.newaxis]
        return tf.linalg.matmul(self._inverse, V, adjoint_a=True)

    def _factor(self, mass: Any) -> np.ndarray:
        # L^-1, or its diagonal where M is diagonal.
        mass, n = as_array("mass", mass), self.order
        if mass.shape not in ((n,), (n, n)):
            raise ValueError(
                f"`mass` must have shape [{n}] (a diagonal) or [{n}, {n}] like the "
                f"stiffness, got {list(mass.shape)}."
            )
        if mass.ndim == 2 and not np.any(mass - np.diag(np.diag(mass))):
            mass = np.diag(mass)
        if mass.ndim == 1:
            with np.errstate(over="ignore"):
                own = np.real(mass).astype(self.parameter_dtype.as_numpy_dtype)
            good = np.isfinite(own) & (own > 0) & (np.imag(mass) == 0)
            if not good.all():
                k = int(np.argmin(good))
                raise ValueError(
                    f"`mass` must be positive and finite, got {mass[k]} at {k}. A "
                    f"massless degree of freedom has to be condensed out of K first."
                )
            return 1 / np.sqrt(np.real(mass))
        if np.iscomplexobj(mass) and not self.dtype.is_complex:
            raise TypeError(
                f"`mass` is complex, the stiffness {self.dtype.name}. Give the "
                f"stiffness a complex dtype."
            )
        hermitian(self.dtype, mass=mass)  # names an entry that is not Hermitian
        w = np.linalg.eigvalsh(mass)
        if w[0] <= len(w) * np.finfo(np.float64).eps * w[-1]:
            raise ValueError(
                f"`mass` must be positive definite; its smallest eigenvalue is "
                f"{w[0]:.3g}, its largest {w[-1]:.3g}. Remove degrees of freedom "
                f"without mass."
            )
        return np.linalg.inv(np.linalg.cholesky((mass + mass.conj().T) / 2))

    def _check_mass(self, mass: AbstractStructure) -> None:
        own = (self.order, self.num_parameters, self.dtype)
        if (mass.order, mass.num_parameters, mass.dtype) != own:
            raise ValueError(
                f"`mass` must have the order {self.order}, {self.num_parameters} "
                f"parameters and dtype {self.dtype.name} of the stiffness, got "
                f"{mass!r}. Use Reparametrized where it depends on fewer."
            )

    def _find_squared_norms(self) -> np.ndarray | None:
        if not self.is_linear or self.stiffness.squared_norms() is None:
            return None
        zero = tf.zeros([self.num_parameters], self.parameter_dtype)
        unit = np.eye(self.num_parameters)
        norms = []
        for direction in unit:
            change = self.pushforward(zero, tf.constant(direction, zero.dtype))
            norms.append(np.sum(np.abs(change.numpy()) ** 2))
        return np.array(norms)


def _between(L: tf.Tensor, A: tf.Tensor) -> tf.Tensor:
    # `L^-1 A L^-H` of a Hermitian A.
    half = tf.linalg.triangular_solve(L, A)
    C = tf.linalg.triangular_solve(L, tf.linalg.adjoint(half))
    return (C + tf.linalg.adjoint(C)) / 2


def _cholesky(M: tf.Tensor) -> tf.Tensor:
    """Factors M; NaN for a member that is not positive definite.

    `tf.linalg.cholesky` raises for the whole batch if one member is not.
    """
    w, _ = decompose(tf.stop_gradient(M))
    definite = w[..., 0] > M.shape[-1] * epsilon(w.dtype) * w[..., -1]
    definite = definite[..., tf.newaxis, tf.newaxis]
    identity = tf.eye(M.shape[-1], dtype=M.dtype)
    L = tf.linalg.cholesky(tf.where(definite, M, identity))
    return tf.where(definite, L, tf.cast(float("nan"), M.dtype))
