"""The names of the gallery's entries and the function that builds each."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from eigenfit.gallery import (
    classic,
    crystal_field,
    frames,
    jacobi,
    rotational,
    tight_binding,
)
from eigenfit.gallery.entry import GalleryProblem

_BUILDERS: dict[str, Callable[[], GalleryProblem]] = {
    "identity": classic.identity,
    "fno-additive": classic.fno_additive,
    "fno-multiple": classic.fno_multiple,
    "fno-multiple-5": classic.fno_multiple_5,
    "toeplitz-4": partial(classic.toeplitz, 4),
    "toeplitz-6": partial(classic.toeplitz, 6),
    "toeplitz-8": partial(classic.toeplitz, 8),
    "toeplitz-10": partial(classic.toeplitz, 10),
    "complete-graph": classic.complete_graph,
    "jacobi-two-spectra": jacobi.two_spectra,
    "clement": jacobi.clement,
    "rotational-h2coh+": rotational.h2coh,
    "shear-frame-18": frames.shear_frame,
    "shear-frame-18-modes": frames.shear_frame_modes,
    "lab-frame-4": frames.lab_frame,
    "gaas-bands": tight_binding.gaas,
    "si-bands": tight_binding.silicon,
    "cerium-crystal-field": crystal_field.cerium,
    "cerium-crystal-field-free": crystal_field.cerium_free,
}

# Numbers under which the problems are known in tests and benchmarks.
_ALIASES = {
    "T1": "fno-additive",
    "T2": "fno-multiple",
    "T2-5": "fno-multiple-5",
    "T3": "rotational-h2coh+",
    "T7": "shear-frame-18",
    "T7a": "shear-frame-18",
    "T7b": "shear-frame-18-modes",
    "T8": "lab-frame-4",
    "T10": "gaas-bands",
    "T10-Si": "si-bands",
    "T11": "toeplitz-8",
    "T12": "jacobi-two-spectra",
    "T13": "clement",
    "T14": "complete-graph",
    "T15": "cerium-crystal-field",
    "T15-free": "cerium-crystal-field-free",
    "T19": "identity",
}


def names() -> list[str]:
    """Lists the names of all entries.

    Example:
        >>> names()[:2]
        ['identity', 'fno-additive']
    """
    return list(_BUILDERS)


def aliases(name: str) -> list[str]:
    """Lists the short names that `load` also accepts for an entry.

    Example:
        >>> aliases("rotational-h2coh+")
        ['T3']
    """
    return [alias for alias, known in _ALIASES.items() if known == name]


def canonical(name: str) -> str:
    """Returns the full name of an entry from its name or a short one, in any case.

    Raises:
        ValueError: If there is no such entry; similar names are listed.

    Example:
        >>> canonical("t3")
        'rotational-h2coh+'
    """
    known = {key.lower(): key for key in _BUILDERS}
    known |= {alias.lower(): key for alias, key in _ALIASES.items()}
    wanted = str(name).strip().lower()
    if wanted in known:
        return known[wanted]
    close = [key for key in known if wanted and wanted in key]
    close += difflib.get_close_matches(wanted, known, n=4, cutoff=0.5)
    near = list(dict.fromkeys(known[key] for key in close))[:4]
    hint = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"Known are {', '.join(_BUILDERS)}."
    )
    raise ValueError(f"`name` = {str(name)[:48]!r} is not in the gallery. {hint}")


def load(name: str) -> GalleryProblem:
    """Builds an entry.

    Args:
        name: One of `names()` or a short name such as "T3"; case does not matter.

    Returns:
        The problem with its data.

    Raises:
        ValueError: If there is no such entry; similar names are listed.

    Example:
        >>> load("T19").name
        'identity'
    """
    return _BUILDERS[canonical(name)]()
