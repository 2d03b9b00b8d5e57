"""`[structure]` made of another one, or of a lattice; and the union of all kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import array_of, complex_array_of
from eigenfit_serving.problem_file.checks.arrays import check_hermitian, transposed_hint
from eigenfit_serving.problem_file.structures.graphs import (
    AssemblySection,
    LaplacianSection,
)
from eigenfit_serving.problem_file.structures.lattices import equal_or_opposite, is_zero
from eigenfit_serving.problem_file.structures.simple import (
    AbstractStructureSection,
    AdditiveSection,
    AffineSection,
    BandedSection,
    HermitianSection,
    SymmetricSection,
    ToeplitzSection,
    TridiagonalSection,
)

if TYPE_CHECKING:
    import eigenfit as ef


class BlochSection(AbstractStructureSection):
    """`[structure]` of a lattice at a wave vector: `sum_R H_R e^{ik.R}`.

    The hopping to -R is the conjugate of that to R and is added automatically.
    """

    kind: Literal["bloch"]
    vectors: Annotated[np.ndarray, array_of(2)]
    basis: Annotated[np.ndarray, complex_array_of(4)]
    kpoint: Annotated[np.ndarray, array_of(1)]
    offset: Annotated[np.ndarray, complex_array_of(3)] | None = None

    @model_validator(mode="after")
    def _check(self) -> BlochSection:
        number, dimension = self.vectors.shape
        if len(self.kpoint) != dimension:
            hint = transposed_hint(self.vectors.shape, (None, len(self.kpoint)))
            hint = hint.replace("It looks", "vectors look")
            raise BadValue(
                f"has {len(self.kpoint)} numbers, a row of vectors has {dimension}. "
                f"Give as many: k.R is an angle in radians.{hint}",
                ".kpoint",
            )
        pair = equal_or_opposite(self.vectors)
        if pair:
            raise BadValue(
                f"is equal or opposite to vectors[{pair[0]}]. Give one of each pair; "
                f"the conjugate is added.",
                f".vectors[{pair[1]}]",
                self.vectors[pair[1]].tolist(),
            )
        n = self.order
        self._check_shape("basis", (self.num_parameters, number, n, n))
        if self.offset is not None:
            self._check_shape("offset", (number, n, n))
        for i in np.flatnonzero(is_zero(self.vectors)):
            for k, matrices in enumerate(self.basis):
                check_hermitian(matrices[i], f".basis[{k}][{i}]")
            if self.offset is not None:
                check_hermitian(self.offset[i], f".offset[{i}]")
        return self

    def _check_shape(self, name: str, wanted: tuple[int, ...]) -> None:
        shape = getattr(self, name).shape
        if shape != wanted:
            raise BadValue(
                f"has shape {list(shape)}, it must be {list(wanted)}: a square matrix "
                f"for each of the {len(self.vectors)} vectors.",
                f".{name}",
            )

    @property
    def is_complex(self) -> bool:
        """True: a Bloch matrix is complex."""
        return True

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.basis.shape[-1]

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.basis.shape[0]

    def build(self, dtype: str) -> ef.Bloch:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Bloch(
            self.vectors,
            self.basis,
            self.kpoint,
            offset=self.offset,
            dtype=self.dtype(dtype),
        )


class GeneralizedSection(AbstractStructureSection):
    """`[structure]` of `K(r) x = lambda M x`: a table `stiffness`, and `mass`.

    `mass` is the diagonal of M, the matrix, or a table of a structure M(r).
    """

    kind: Literal["generalized"]
    stiffness: StructureSection
    mass: Mass

    @model_validator(mode="after")
    def _check(self) -> GeneralizedSection:
        n, stiffness = self.order, self.stiffness
        if isinstance(self.mass, AbstractStructureSection):
            for name in ("order", "num_parameters", "is_complex"):
                mine, its = getattr(self.mass, name), getattr(stiffness, name)
                if mine != its:
                    what = name.replace("num_", "number of ").replace("is_", "being ")
                    raise BadValue(
                        f"must have the {what} of stiffness, {_word(its)}, but has "
                        f'{_word(mine)}. Use kind = "reparametrized" where it depends '
                        f"on fewer parameters, and complex numbers in both or none.",
                        ".mass",
                    )
            return self
        mass = self.mass
        if mass.shape not in ((n,), (n, n)):
            raise BadValue(
                f"has shape {list(mass.shape)}, stiffness has order {n}. Give {n} "
                f"masses, or a matrix of {n} rows and columns.",
                ".mass",
            )
        if np.iscomplexobj(mass) and not stiffness.is_complex:
            raise BadValue(
                "is complex, stiffness is not. Give complex numbers in both.", ".mass"
            )
        if mass.ndim == 1:
            for i in np.flatnonzero(~((np.real(mass) > 0) & (np.imag(mass) == 0)))[:1]:
                raise BadValue(
                    "must be above 0: a mass cannot vanish. Remove degrees of freedom "
                    "without mass from stiffness and mass.",
                    f".mass[{i}]",
                    mass[i].item(),
                )
            return self
        check_hermitian(mass, ".mass")
        least = np.linalg.eigvalsh(mass)[0]
        if least <= n * np.finfo(float).eps * np.abs(mass).max():
            raise BadValue(
                f"must be positive definite; its smallest eigenvalue is {least:.3g}. "
                f"Remove degrees of freedom without mass from stiffness and mass.",
                ".mass",
            )
        return self

    @property
    def mass_varies(self) -> bool:
        """Whether M depends on the parameters."""
        return isinstance(self.mass, AbstractStructureSection)

    @property
    def is_complex(self) -> bool:
        """Whether the stiffness is complex."""
        return self.stiffness.is_complex

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.stiffness.order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.stiffness.num_parameters

    def build(self, dtype: str) -> ef.Generalized:
        """Makes the structure."""
        import eigenfit as ef

        mass = self.mass
        if isinstance(mass, AbstractStructureSection):
            return ef.Generalized(self.stiffness.build(dtype), mass.build(dtype))
        return ef.Generalized(self.stiffness.build(dtype), mass)


class ReparametrizedSection(AbstractStructureSection):
    """`[structure]` of another one, whose parameters are `offset + matrix @ r`."""

    kind: Literal["reparametrized"]
    structure: StructureSection
    matrix: Annotated[np.ndarray, array_of(2)]
    offset: Annotated[np.ndarray, array_of(1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> ReparametrizedSection:
        q = self.structure.num_parameters
        for name in ("matrix", "offset"):
            array = getattr(self, name)
            if array is not None and len(array) != q:
                raise BadValue(
                    f"has {len(array)} rows, the structure has {q} parameters. Give "
                    f"a row for each.{transposed_hint(array.shape, (q, None))}",
                    f".{name}",
                )
        return self

    @property
    def is_complex(self) -> bool:
        """Whether the inner structure is complex."""
        return self.structure.is_complex

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.structure.order

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.matrix.shape[1]

    def build(self, dtype: str) -> ef.Reparametrized:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Reparametrized(self.structure.build(dtype), self.matrix, self.offset)


StructureSection = Annotated[
    SymmetricSection
    | AffineSection
    | HermitianSection
    | AdditiveSection
    | TridiagonalSection
    | BandedSection
    | ToeplitzSection
    | LaplacianSection
    | AssemblySection
    | GeneralizedSection
    | BlochSection
    | ReparametrizedSection,
    Field(discriminator="kind"),
]


def _mass_form(value: Any) -> str:
    return "table" if isinstance(value, dict) and "kind" in value else "array"


Mass = Annotated[
    Annotated[np.ndarray, complex_array_of(1, 2), Tag("array")]
    | Annotated[StructureSection, Tag("table")],
    Discriminator(_mass_form),
]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


GeneralizedSection.model_rebuild()
ReparametrizedSection.model_rebuild()
