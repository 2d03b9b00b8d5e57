"""Observations: what is measured of a spectrum."""

from eigenfit.observations.base import AbstractObservation
from eigenfit.observations.combinations import (
    AbstractCombination,
    ClusterMeans,
    Differences,
    RelativeTo,
)
from eigenfit.observations.frequencies import Frequencies
from eigenfit.observations.levels import Levels
from eigenfit.observations.mac import MAC, mac
from eigenfit.observations.robust import Robust
from eigenfit.observations.shapes import ModeShapes
from eigenfit.observations.shift import FreeShift
from eigenfit.observations.spectrum import Spectrum

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
    "Robust",
    "Spectrum",
    "mac",
]
