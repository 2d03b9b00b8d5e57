"""Which of several models of the same data to prefer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eigenfit.fits.fit import Fit
from eigenfit.intervals.criteria import refuse_robust
from eigenfit.intervals.shown import Shown
from eigenfit.reports.sections import Section, table


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """Models in the order of their AIC, the preferred one first."""

    names: tuple[str, ...]
    num_unknowns: np.ndarray  # [k] int, determined ones
    chi_square: np.ndarray  # [k]
    degrees_of_freedom: np.ndarray  # [k] int
    aic: np.ndarray  # [k]
    bic: np.ndarray  # [k]
    weights: np.ndarray  # [k] Akaike weights: relative likelihoods that sum to 1
    f_ratio: np.ndarray  # [k] against the next smaller model; NaN for the smallest
    probability: np.ndarray  # [k] of a larger ratio by chance; NaN likewise

    def section(self) -> Section:
        """Lists the models."""
        columns = ["", "unknowns", "chi-square", "freedom", "AIC", "BIC", "weight"]
        columns += ["F", "p"]
        rows = [
            [
                name,
                str(self.num_unknowns[k]),
                f"{self.chi_square[k]:.5g}",
                str(self.degrees_of_freedom[k]),
                f"{self.aic[k]:.2f}",
                f"{self.bic[k]:.2f}",
                f"{self.weights[k]:.3f}",
                _or_empty(self.f_ratio[k]),
                _or_empty(self.probability[k]),
            ]
            for k, name in enumerate(self.names)
        ]
        return table("Models", columns, rows)


def _or_empty(x: float) -> str:
    return "" if np.isnan(x) else f"{x:.3g}"


def compare(fits: Mapping[str, Fit], *, nested: bool = False) -> Comparison:
    """Compares fits of different models to the same data.

    Args:
        fits: Fits by the name of their model, one member each.
        nested: Whether each model contains all with fewer unknowns. Then each is tested
            against the next smaller one: where standard deviations are taken from the
            scatter, by the ratio F of the fall of chi-square for each further unknown
            to the reduced chi-square of the larger model; where they are known, by the
            chi-square distribution of that fall.

    Returns:
        The models, best AIC first.

    Raises:
        ValueError: If there are fewer than two, the data or their priors differ, one
            has a robust loss or is not at a least-squares minimum, or a larger one of
            nested models fits worse.

    Example:
        >>> import eigenfit as ef
        >>> targets, one = [0.9, 2.1, 2.9, 4.1], np.diag([1.0, 2.0, 3.0, 4.0])
        >>> def fit(basis):
        ...     problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=0.1))
        ...     return ef.Solver(problem).fit(np.ones(len(basis)), targets)
        >>> models = {"slope": fit([one]), "offset too": fit([one, np.eye(4)])}
        >>> ef.compare(models).names
        ('slope', 'offset too')
    """
    if len(fits) < 2:
        raise ValueError("`fits` must hold at least two fits, by name.")
    _check_same_data(fits)
    names = sorted(fits, key=lambda name: float(fits[name].aic))
    found = [fits[name].uncertainty() for name in names]
    rank = np.array([int(x.rank) for x in found])
    chi_square = np.array([float(x.chi_square) for x in found])
    freedom = np.array([int(x.degrees_of_freedom) for x in found])
    aic = np.array([float(fits[name].aic) for name in names])
    likely = np.exp((aic.min() - aic) / 2)
    ratio, probability = np.full([2, len(names)], np.nan)
    if nested:
        order = np.argsort(rank, kind="stable")
        for small, large in itertools.pairwise(order):
            if chi_square[large] > chi_square[small] * (1 + 1e-6):
                raise ValueError(
                    f"`fits[{names[large]!r}]` has more unknowns than "
                    f"`fits[{names[small]!r}]` and fits worse: it does not contain "
                    f"that model, or its minimum is not the lowest. Fit it from other "
                    f"starts, or compare with `nested=False`."
                )
            ratio[large], probability[large] = _tested(
                chi_square[[small, large]],
                freedom[[small, large]],
                fits[names[0]].question.is_measured,
            )
    return Comparison(
        names=tuple(names),
        num_unknowns=rank,
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        aic=aic,
        bic=np.array([float(fits[name].bic) for name in names]),
        weights=likely / likely.sum(),
        f_ratio=ratio,
        probability=probability,
    )


def _check_same_data(fits: Mapping[str, Fit]) -> None:
    first = next(iter(fits.values()))
    for name, fit in fits.items():
        if np.ndim(fit.loss):
            raise ValueError(f"`fits[{name!r}]` is a batch. Take one of its members.")
        refuse_robust(fit.question, f"fits[{name!r}]")
        same = (
            np.array_equal(fit.targets, first.targets)
            and np.array_equal(fit.question.weights, first.question.weights)
            and np.array_equal(fit.question.has_sigma, first.question.has_sigma)
            and fit.question.num_data == first.question.num_data
            and sorted(fit.question.priors) == sorted(first.question.priors)
        )
        if not same:
            raise ValueError(
                f"`fits[{name!r}]` has other targets, weights or priors than the "
                f"first: only models of the same data can be compared."
            )
        if not np.isfinite(fit.aic):
            raise ValueError(
                f"`fits[{name!r}]` is not at a least-squares minimum with scatter or "
                f"standard deviations, so that it has no AIC."
            )


def _tested(
    chi_square: np.ndarray, freedom: np.ndarray, measured: bool
) -> tuple[float, float]:
    fall, more = chi_square[0] - chi_square[1], int(freedom[0] - freedom[1])
    if more < 1:
        return np.nan, np.nan
    if measured:
        return fall / more, float(stats.chi2.sf(fall, more))
    ratio = fall / more / (chi_square[1] / freedom[1])
    return ratio, float(stats.f.sf(ratio, more, freedom[1]))
