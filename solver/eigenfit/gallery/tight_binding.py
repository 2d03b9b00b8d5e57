"""Tight-binding bands of zinc-blende crystals: sp3s* of Vogl, Hjalmarson and Dow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eigenfit.gallery.entry import GalleryProblem, level_names, observed, parameters
from eigenfit.gallery.entry import printed as read
from eigenfit.observations import Levels
from eigenfit.problem.blocks import Block
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.structures import Bloch

_SOURCE = (
    "P. Vogl, H. P. Hjalmarson, J. D. Dow, J. Phys. Chem. Solids 44 (1983) 365-378; "
    "table in github.com/rpmuller/TightBinding/TB.py"
)

KPOINTS = {"G": (0.0, 0.0, 0.0), "X": (1.0, 0.0, 0.0), "L": (0.5, 0.5, 0.5)}
"""Points of the Brillouin zone, in units of 2 pi / a."""

NAMES = (
    *("Esa", "Epa", "Esc", "Epc", "Es*a", "Es*c"),
    *("Vss", "Vxx", "Vxy", "Vsapc", "Vscpa", "Vs*apc", "Vpas*c"),
)
"""On-site energies and couplings of neighbours, eV."""

GAAS = (
    "-8.3431 1.0414 -2.6569 3.6686 8.5914 6.7386 "
    "-6.4513 1.9546 5.0779 4.4800 5.7839 4.8422 4.8077"
)
"""Published parameters of GaAs, eV."""

GAAS_LEVELS = {
    "G": "-12.55 0 0 0 1.55 4.71 4.71 4.71 6.7386 8.5914",
    "X": "-9.96553 -7.49582 -2.89006 -2.89006 2.02999 2.38 7.60006 7.60006 10.23892 "
    "11.85243",
    "L": "-10.82417 -6.98618 -1.39861 -1.39861 1.69024 3.81233 6.10861 6.10861 9.30041 "
    "12.04737",
}
"""Published levels of GaAs, eV."""

SILICON_NAMES = ("Es", "Ep", "Es*", "Vss", "Vxx", "Vxy", "Vsp", "Vs*p")
"""On-site energies and couplings if both atoms are alike, eV."""

SILICON = "-4.2 1.715 6.685 -8.3 1.715 4.575 5.7292 5.3749"
"""Published parameters of Si, eV."""

SILICON_LEVELS = {
    "G": "-12.5 0 0 0 3.43 3.43 3.43 4.1 6.685 6.685",
    "X": "-8.27372 -8.27372 -2.86 -2.86 1.63003 1.63003 6.29 6.29 10.84369 10.84369",
    "L": "-10.08106 -7.07901 -1.43 -1.43 2.49572 2.50983 4.86 4.86 9.21579 11.33873",
}
"""Published levels of Si, eV."""

_LENGTHS = (np.sqrt(3) / 2, 1.0)  # from L to G and from G to X, in units of 2 pi / a

# Index in SILICON_NAMES of each of NAMES.
_ALIKE = (0, 1, 0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 7)

_S, _X, _S2 = 0, 1, 4  # indices of s, of x (followed by y and z) and of s* on an atom
_NEIGHBOURS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])


def sp3s_vectors() -> np.ndarray:
    """Lists the vectors of the on-site and neighbour terms, in units of a: `[5, 3]`."""
    return np.concatenate([np.zeros([1, 3]), _NEIGHBOURS / 4])


def sp3s_basis() -> np.ndarray:
    """Builds the terms that `NAMES` multiply: `[13, 5, 10, 10]`.

    The basis is s, x, y, z, s* of the anion, then of the cation. A term from the anion
    to a cation at d is a quarter, as in the published sums over four neighbours:
    `g0 = sum_d e^(ik.d) / 4`, and `g1..g3` with the signs of the components of d.
    """
    basis = np.zeros([13, 5, 10, 10])
    for k, places in enumerate(([0], [1, 2, 3], [5], [6, 7, 8], [4], [9])):
        basis[k, 0, places, places] = 1
    for neighbour, signs in enumerate(_NEIGHBOURS, start=1):
        Vss, Vxx, Vxy, Vsapc, Vscpa, Vs2apc, Vpas2c = basis[6:, neighbour, :5, 5:]
        Vss[_S, _S] = 1
        for i in range(3):
            x = _X + i
            Vxx[x, x] = 1
            Vsapc[_S, x] = signs[i]
            Vscpa[x, _S] = -signs[i]
            Vs2apc[_S2, x] = signs[i]
            Vpas2c[x, _S2] = -signs[i]
            for j in {0, 1, 2} - {i}:
                Vxy[x, _X + j] = signs[i] * signs[j]
    basis[6:] /= 4
    return basis


def silicon_basis() -> np.ndarray:
    """Sums the terms of `sp3s_basis` that share a parameter: `[8, 5, 10, 10]`."""
    basis = np.zeros([8, 5, 10, 10])
    np.add.at(basis, np.array(_ALIKE), sp3s_basis())
    return basis


def bloch(basis: np.ndarray, kpoint: Sequence[float]) -> Bloch:
    """Builds H(k) for a point of the Brillouin zone in units of 2 pi / a."""
    return Bloch(sp3s_vectors(), basis, 2 * np.pi * np.asarray(kpoint))


def hamiltonian(basis: np.ndarray, r: Any, kpoint: Sequence[float]) -> np.ndarray:
    """Computes H(k) for given parameters `[p]` with NumPy: `[10, 10]`, complex."""
    terms = np.tensordot(r, basis, 1)
    phases = np.exp(2j * np.pi * (sp3s_vectors() @ np.asarray(kpoint)))
    half = np.tensordot(phases[1:], terms[1:], 1)
    return terms[0] + half + half.conj().T


def band_lines(
    basis: np.ndarray, r: Any, number: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    """Computes bands from L by G to X.

    Args:
        basis: As from `sp3s_basis`, `[p, 5, 10, 10]`.
        r: Parameters, `[p]`.
        number: Points on each of the two ways.

    Returns:
        Distances from L, `[k]`, and levels, `[k, 10]`.
    """
    share = np.linspace(0, 1, number)[:, np.newaxis]
    L, G, X = (np.array(KPOINTS[name]) for name in "LGX")
    kpoints = np.concatenate([L + share * (G - L), G + share * (X - G)])
    ways = [_LENGTHS[0] * share, _LENGTHS[0] + _LENGTHS[1] * share]
    levels = [np.linalg.eigvalsh(hamiltonian(basis, r, k)) for k in kpoints]
    return np.concatenate(ways)[:, 0], np.array(levels)


def gaas() -> GalleryProblem:
    """Builds T10: 13 parameters of GaAs from 30 levels at G, X and L."""
    return _bands(
        name="gaas-bands",
        title="Tight-binding bands of GaAs at G, X and L",
        names=NAMES,
        basis=sp3s_basis(),
        printed_answer=GAAS,
        printed_levels=GAAS_LEVELS,
    )


def silicon() -> GalleryProblem:
    """Builds T10 for Si: 8 parameters from 30 levels, most of them multiple."""
    return _bands(
        name="si-bands",
        title="Tight-binding bands of Si at G, X and L",
        names=SILICON_NAMES,
        basis=silicon_basis(),
        printed_answer=SILICON,
        printed_levels=SILICON_LEVELS,
    )


def _bands(
    *,
    name: str,
    title: str,
    names: Sequence[str],
    basis: np.ndarray,
    printed_answer: str,
    printed_levels: dict[str, str],
) -> GalleryProblem:
    answer, half = read(printed_answer)
    levels, _ = read(" ".join(printed_levels.values()))
    # The printed levels are rounded; those of the published parameters can be met.
    targets = np.concatenate(
        [
            np.linalg.eigvalsh(hamiltonian(basis, answer, kpoint))
            for kpoint in KPOINTS.values()
        ]
    )
    starts = np.random.default_rng(0).uniform(0.95, 1.05, size=len(answer))
    energies = [k for k, label in enumerate(names) if label.startswith("E")]
    couplings = [k for k, label in enumerate(names) if label.startswith("V")]
    labels = [f"{point} {level}" for point in KPOINTS for level in level_names(10)]
    return GalleryProblem(
        name=name,
        title=title,
        source=_SOURCE,
        problem=Problem(
            [
                Block(bloch(basis, k), [Levels(unit="eV")], label=label)
                for label, k in KPOINTS.items()
            ],
            parameters=Parameters(names),
        ),
        targets=targets,
        initial=answer * starts,
        answer=answer,
        levels=levels,
        published=(
            *(
                parameters(
                    [f"{names[k]} (eV)" for k in chosen],
                    answer[chosen],
                    half[chosen],
                    indices=chosen,
                    # The phase of an orbital is a convention, so signs of V are, too.
                    signs=signs,
                )
                for chosen, signs in ((energies, True), (couplings, False))
            ),
            observed([f"{label} (eV)" for label in labels], levels, 5e-6),
        ),
        tolerance=1e-20,
        start_note="Each published parameter times a uniform random number from 0.95 "
        "to 1.05, seed 0.",
        shown=lambda record: {
            "quantity": "energy / eV",
            "labels": [label.replace("G", "Γ") for label in KPOINTS],
            "places": [_LENGTHS[0], sum(_LENGTHS), 0.0],
            "lines": band_lines(basis, record.parameters),
        },
    )
