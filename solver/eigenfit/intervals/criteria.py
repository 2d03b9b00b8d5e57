"""By how much chi-square may rise within an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from eigenfit.fits.fit import Fit
from eigenfit.reports.record import Question
from eigenfit.results import Result


class Criterion(NamedTuple):
    """How rises of the loss are judged.

    Attributes:
        name: "chi-square" if all data have standard deviations, else "F".
        variance: Variance of data of weight 1.
        freedom: Degrees of freedom from which it was estimated.
    """

    name: str
    variance: float
    freedom: int

    def limit(self, level: float, number: int = 1) -> float:
        """Returns the rise, over the variance, that holds a share of all cases.

        Args:
            level: The share, between 0 and 1.
            number: Number of parameters that are held together.
        """
        if self.name == "chi-square":
            return float(stats.chi2.ppf(level, number))
        return number * float(stats.f.ppf(level, number, self.freedom))


def refuse_robust(question: Question, name: str = "fit") -> None:
    """Refuses losses that are not those of Gaussian errors.

    Args:
        question: What was asked of the fit.
        name: How the caller knows the fit.

    Raises:
        ValueError: If an observation has a robust loss.
    """
    if not question.robust:
        return
    k = question.robust[0]
    target = question.target_names[question.parts[k].start]
    raise ValueError(
        f"`{name}` has the robust loss {question.losses[k]!r} in observation {k} "
        f"({question.kinds[k]}, from {target!r} on): likelihood ratios, AIC and "
        f"posteriors are those of Gaussian errors. Use the errors of `uncertainty`, or "
        f"fit again with the linear loss and without the outliers."
    )


def criterion_of(fit: Fit) -> Criterion:
    """Chooses the criterion for a fit, one member.

    Raises:
        ValueError: If the fit is not at a minimum, a loss is robust, shapes are scaled
            by their largest component, or it has no degree of freedom to estimate
            the scatter from, or only some data have standard deviations.
    """
    asked = fit.question
    refuse_robust(asked)
    found = fit.uncertainty()
    result = Result(int(fit.result))
    if not result.is_success:
        raise ValueError(
            f"The fit ended `{result.name}`, not at a minimum. {result.text}"
        )
    if not fit.record().is_smallest:
        raise ValueError(
            "The fit ended at the `tolerance` that was given, not at its minimum. Fit "
            "again without it."
        )
    for observation in fit.known().problem.observations:
        if getattr(observation, "normalisation", "") == "max":
            raise ValueError(
                f"{observation!r} is scaled by a measured component, whose error moves "
                f"all others: the loss is not chi-square. Give the shapes "
                f'`normalisation="unit"`, or use `uncertainty`, which knows of it.'
            )
    if asked.is_measured:
        return Criterion("chi-square", 1.0, int(found.degrees_of_freedom))
    if asked.has_sigma.any() or asked.num_priors:
        raise ValueError(
            "Some data (or priors) have standard deviations and others none: there is "
            "no common criterion. Give `sigma` to all observations, or to none."
        )
    freedom, variance = int(found.degrees_of_freedom), float(found.reduced_chi_square)
    if freedom < 1 or not variance > 0:
        raise ValueError(
            "There are no more data than unknowns, so that nothing tells their "
            "standard deviation. Give `sigma` to the observations."
        )
    return Criterion("F", variance, freedom)


def single_errors(fit: Fit) -> np.ndarray:
    """Computes errors that unknowns would have if all others were fixed: `[p]`.

    For data of weight 1 with unit variance; 1 where the loss does not depend on one.
    """
    problem = fit.known().problem
    J = np.asarray(problem.jacobian(fit.parameters, fit.targets))
    lengths = np.linalg.norm(J, axis=0)
    return 1 / np.where(lengths > 0, lengths, 1.0)


def check_levels(levels: Sequence[float]) -> np.ndarray:
    """Checks shares of cases: between 0 and 1, at least one.

    Raises:
        ValueError: If one is not.
    """
    shares = np.atleast_1d(np.asarray(levels, float))
    if shares.ndim != 1 or not shares.size or not ((shares > 0) & (shares < 1)).all():
        raise ValueError(
            f"`levels` must lie between 0 and 1, such as (.68, .95), got {levels!r}."
        )
    return shares
