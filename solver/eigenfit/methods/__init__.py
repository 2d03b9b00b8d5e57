"""How one step is made: init, step, terminate; never a loop."""

from eigenfit.methods.adam import Adam
from eigenfit.methods.alternating import Alternating
from eigenfit.methods.auto import choose_method
from eigenfit.methods.base import AbstractMethod, AbstractState
from eigenfit.methods.levenberg_marquardt import LevenbergMarquardt
from eigenfit.methods.projection import IsospectralProjection

__all__ = [
    "AbstractMethod",
    "AbstractState",
    "Adam",
    "Alternating",
    "IsospectralProjection",
    "LevenbergMarquardt",
    "choose_method",
]
