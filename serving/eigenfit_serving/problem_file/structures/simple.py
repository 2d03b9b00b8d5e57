"""`[structure]` of a matrix whose entries depend on the parameters directly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from eigenfit_serving.errors import BadValue, check_all
from eigenfit_serving.problem_file.arrays import complex_array_of
from eigenfit_serving.problem_file.checks.arrays import check_hermitian, check_square
from eigenfit_serving.problem_file.section import Order, Section

if TYPE_CHECKING:
    import eigenfit as ef


class Sized(Protocol):
    """What is known of a structure without building it."""

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        ...

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        ...

    @property
    def is_complex(self) -> bool:
        """Whether the matrix is complex."""
        ...


class AbstractStructureSection(Section):
    """A structure; see `Sized`.

    Sections of structures have a `kind` as well, and `build(dtype)`, where dtype is
    "float32" or "float64".
    """

    @property
    def is_complex(self) -> bool:
        """Whether the matrix is complex, as it is if any array of the table is."""
        return any(np.iscomplexobj(array) for _, array in self.arrays(""))

    def dtype(self, real: str) -> str:
        """Returns the dtype of the matrix for a real dtype of the parameters."""
        complex_ = {"float32": "complex64", "float64": "complex128"}
        return complex_[real] if self.is_complex else real


class SymmetricSection(AbstractStructureSection):
    """`[structure]` of any symmetric matrix of an order."""

    kind: Literal["symmetric"]
    order: Order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.order * (self.order + 1) // 2

    def build(self, dtype: str) -> ef.Symmetric:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Symmetric(self.order, dtype=dtype)


class HermitianSection(AbstractStructureSection):
    """`[structure]` of any complex Hermitian matrix of an order."""

    kind: Literal["hermitian"]
    order: Order

    @property
    def is_complex(self) -> bool:
        """True: the matrix is complex."""
        return True

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.order**2

    def build(self, dtype: str) -> ef.Hermitian:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Hermitian(self.order, dtype=self.dtype(dtype))


class AffineSection(AbstractStructureSection):
    """`[structure]` of `offset + sum_k r_k basis_k`."""

    kind: Literal["affine"]
    basis: Annotated[np.ndarray, complex_array_of(3)]
    offset: Annotated[np.ndarray, complex_array_of(2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> AffineSection:
        check_square(self.basis, ".basis")
        if self.offset is not None and self.offset.shape != self.basis.shape[1:]:
            raise BadValue(
                f"has shape {list(self.offset.shape)}, the matrices of basis have "
                f"{list(self.basis.shape[1:])}. Give it the same.",
                ".offset",
            )
        matrices = {f".basis[{k}]": matrix for k, matrix in enumerate(self.basis)}
        if self.offset is not None:
            matrices[".offset"] = self.offset
        check_all(*(partial(check_hermitian, A, key) for key, A in matrices.items()))
        return self

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.basis.shape[1]

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.basis.shape[0]

    def build(self, dtype: str) -> ef.Affine:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Affine(self.basis, offset=self.offset, dtype=self.dtype(dtype))


class AdditiveSection(AbstractStructureSection):
    """`[structure]` of `offset + diag(r)`."""

    kind: Literal["additive"]
    offset: Annotated[np.ndarray, complex_array_of(2)]

    @model_validator(mode="after")
    def _check(self) -> AdditiveSection:
        check_square(self.offset, ".offset")
        check_hermitian(self.offset, ".offset")
        return self

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return len(self.offset)

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.order

    def build(self, dtype: str) -> ef.Additive:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Additive(self.offset, dtype=self.dtype(dtype))


class TridiagonalSection(AbstractStructureSection):
    """`[structure]` of a symmetric tridiagonal matrix: diagonal, then off-diagonal."""

    kind: Literal["tridiagonal"]
    order: Order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return 2 * self.order - 1

    def build(self, dtype: str) -> ef.Tridiagonal:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Tridiagonal(self.order, dtype=dtype)


class BandedSection(AbstractStructureSection):
    """`[structure]` of any symmetric band matrix, by diagonals from the main one."""

    kind: Literal["banded"]
    order: Order
    bandwidth: Annotated[
        int, Field(ge=0, description="an integer of at least 0, less than order")
    ]

    @model_validator(mode="after")
    def _check(self) -> BandedSection:
        if self.bandwidth >= self.order:
            raise BadValue(
                f"must be less than order, which is {self.order}.",
                ".bandwidth",
                self.bandwidth,
            )
        return self

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        k = self.bandwidth
        return (k + 1) * self.order - k * (k + 1) // 2

    def build(self, dtype: str) -> ef.Banded:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Banded(self.order, self.bandwidth, dtype=dtype)


class ToeplitzSection(AbstractStructureSection):
    """`[structure]` of any symmetric Toeplitz matrix: one parameter per diagonal."""

    kind: Literal["toeplitz"]
    order: Order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.order

    def build(self, dtype: str) -> ef.Toeplitz:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Toeplitz(self.order, dtype=dtype)
