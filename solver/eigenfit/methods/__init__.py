"""Methods, which make one step at a time: init, step, terminate; never a loop."""

from eigenfit.methods.adam import Adam
from eigenfit.methods.base import AbstractMethod, AbstractState
from eigenfit.methods.bursts import Alternating
from eigenfit.methods.choice import METHODS, choose_method, method_named, name_of
from eigenfit.methods.cluster_newton import ClusterNewton
from eigenfit.methods.gauss_newton import GaussNewton
from eigenfit.methods.lbfgs import LBFGS
from eigenfit.methods.levenberg_marquardt import LevenbergMarquardt
from eigenfit.methods.lift_and_project import LiftAndProject
from eigenfit.methods.loewner_newton import LoewnerNewton
from eigenfit.methods.newton import Newton
from eigenfit.methods.projection import IsospectralProjection

__all__ = [
    "LBFGS",
    "METHODS",
    "AbstractMethod",
    "AbstractState",
    "Adam",
    "Alternating",
    "ClusterNewton",
    "GaussNewton",
    "IsospectralProjection",
    "LevenbergMarquardt",
    "LiftAndProject",
    "LoewnerNewton",
    "Newton",
    "choose_method",
    "method_named",
    "name_of",
]
