"""Methods by name, and the one that suits a problem."""

from __future__ import annotations

import difflib

from eigenfit.methods.adam import Adam
from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.bursts import Alternating
from eigenfit.methods.cluster_newton import ClusterNewton
from eigenfit.methods.gauss_newton import GaussNewton
from eigenfit.methods.lbfgs import LBFGS
from eigenfit.methods.levenberg_marquardt import LevenbergMarquardt
from eigenfit.methods.lift_and_project import LiftAndProject
from eigenfit.methods.loewner_newton import LoewnerNewton
from eigenfit.methods.newton import Newton
from eigenfit.methods.projection import IsospectralProjection
from eigenfit.problem.problem import Problem
from eigenfit.structures import AbstractFullStructure

METHODS: dict[str, type[AbstractMethod]] = {
    "adam": Adam,
    "alternating": Alternating,
    "cluster-newton": ClusterNewton,
    "gauss-newton": GaussNewton,
    "isospectral-projection": IsospectralProjection,
    "lbfgs": LBFGS,
    "levenberg-marquardt": LevenbergMarquardt,
    "lift-and-project": LiftAndProject,
    "loewner-newton": LoewnerNewton,
    "newton": Newton,
}
"""All names but "auto", which has no class of its own."""


def method_named(name: str) -> AbstractMethod:
    """Makes a method with its default options.

    Raises:
        ValueError: If there is no method of that name.

    Example:
        >>> type(method_named("levenberg-marquardt")).__name__
        'LevenbergMarquardt'
    """
    if name not in METHODS:
        known = ["auto", *METHODS]
        close = difflib.get_close_matches(str(name).lower().replace("_", "-"), known, 1)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise ValueError(
            f"`method` = {name!r} is not known.{hint} The names are "
            f"{', '.join(known)}; or give a method with options, such as "
            f"Adam(learning_rate=0.01)."
        )
    return METHODS[name]()


def name_of(method: AbstractMethod) -> str:
    """Returns the name of a method, or that of its class if it is not in `METHODS`.

    Example:
        >>> name_of(LBFGS(memory=3))
        'lbfgs'
    """
    kind = type(method)
    return next((name for name, own in METHODS.items() if own is kind), kind.__name__)


def choose_method(problem: Problem) -> AbstractMethod:
    """Picks the closed form if there is one, else by the number of parameters.

    Robust losses have no closed form. With at least as many parameters as data, priors
    included, the data can usually be met, and `Alternating` goes on until they are.
    With fewer the answer is usually a least-squares one: it descends first and ends
    when descents agree.

    Example:
        >>> from eigenfit.structures import Affine, Symmetric, Toeplitz
        >>> choose_method(Problem(Symmetric(3)))
        IsospectralProjection()
        >>> choose_method(Problem(Toeplitz(3)))
        Alternating(num_bursts=64)
        >>> choose_method(Problem(Affine([[[1.0, 0.0], [0.0, 2.0]]])))
        Alternating(num_bursts=32, descend_first=True, agreement=6)
    """
    full = isinstance(problem.structure, AbstractFullStructure)
    if problem.observation is not None and full and problem.bounds is None:
        return IsospectralProjection()
    if problem.num_parameters >= problem.num_data:
        return Alternating()
    return Alternating(num_bursts=32, descend_first=True, agreement=6)
