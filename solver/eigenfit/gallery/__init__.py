"""Published inverse eigenvalue problems with data, starts and published answers.

Nothing is built before `load` is called.

Example:
    >>> from eigenfit import gallery
    >>> entry = gallery.load("identity")
    >>> entry.title
    'The identity matrix from its eigenvalues'
    >>> entry.targets
    array([1., 1., 1.])
"""

from eigenfit.gallery.entry import Comparison, GalleryProblem, Published, Row
from eigenfit.gallery.registry import aliases, canonical, load, names

__all__ = [
    "Comparison",
    "GalleryProblem",
    "Published",
    "Row",
    "aliases",
    "canonical",
    "load",
    "names",
]
