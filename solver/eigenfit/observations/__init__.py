"""Observations: what is measured of a spectrum."""

from eigenfit.observations.base import (
    AbstractCombination,
    AbstractObservation,
    Spectrum,
)
from eigenfit.observations.combinations import ClusterMeans, Differences, RelativeTo
from eigenfit.observations.frequencies import Frequencies
from eigenfit.observations.levels import Levels
from eigenfit.observations.shapes import MAC, ModeShapes, mac
from eigenfit.observations.shift import FreeShift

__all__ = [
    "MAC",
    "AbstractCombination",
    "AbstractObservation",
    "ClusterMeans",
    "Differences",
    "FreeShift",
    "Frequencies",
    "Levels",
    "ModeShapes",
    "RelativeTo",
    "Spectrum",
    "mac",
]
