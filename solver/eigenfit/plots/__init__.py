"""Pictures of fits; they need matplotlib (the extra `plots`).

`Fit.plot` chooses one of them; each is a function that takes a `Record` of one fit,
from `Fit.record`, or plain arrays. They change no global setting of matplotlib and open
no window.
"""

from eigenfit.plots.bands import plot_bands
from eigenfit.plots.choice import PICTURES, chosen, picture_of
from eigenfit.plots.convergence import plot_convergence
from eigenfit.plots.correlations import plot_correlations
from eigenfit.plots.differences import plot_differences
from eigenfit.plots.levels import plot_levels
from eigenfit.plots.modes import plot_modes
from eigenfit.plots.profiles import Curve, plot_contours, plot_profiles
from eigenfit.plots.sticks import plot_sticks

__all__ = [
    "PICTURES",
    "Curve",
    "chosen",
    "picture_of",
    "plot_bands",
    "plot_contours",
    "plot_convergence",
    "plot_correlations",
    "plot_differences",
    "plot_levels",
    "plot_modes",
    "plot_profiles",
    "plot_sticks",
]
