"""Samples of the posterior distribution of the unknowns; needs emcee."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from eigenfit.fits.fit import Fit
from eigenfit.fitting.solver import Solver
from eigenfit.intervals.criteria import Criterion, criterion_of, single_errors
from eigenfit.intervals.profile import check_single
from eigenfit.intervals.shown import Shown
from eigenfit.reports.sections import Section, table

_WALKERS = 64
"""Least number of walkers: one compiled call judges half of them."""

_SPREAD = 0.3
"""Spread of the walkers at the start, in linear standard errors."""


@dataclass(frozen=True, eq=False)
class Posterior(Shown):
    """Draws from the posterior, and how far they can be trusted."""

    names: tuple[str, ...]  # p
    samples: np.ndarray  # [draws, p]
    log_probability: np.ndarray  # [draws] up to a constant
    acceptance: float  # share of moves that were accepted
    correlation_time: np.ndarray  # [p] in moves of a walker; NaN if it is too long

    def quantiles(self, *shares: float) -> dict[str, np.ndarray]:
        """Returns quantiles of each unknown.

        Args:
            *shares: Between 0 and 1; (.16, .5, .84) by default.
        """
        found = np.quantile(self.samples, shares or (0.16, 0.5, 0.84), axis=0)
        return dict(zip(self.names, found.T, strict=True))

    def section(self) -> Section:
        """Lists medians, the central 68 %, and how many draws count as independent."""
        columns = ["parameter", "median", "below", "above", "independent"]
        rows = []
        for name, (low, middle, high) in self.quantiles().items():
            draws = len(self.samples) / self.correlation_time[self.names.index(name)]
            spread = [f"{low - middle:+.3g}", f"{high - middle:+.3g}"]
            count = "unknown" if np.isnan(draws) else f"{draws:.0f}"
            rows.append([name, f"{middle:.8g}", *spread, count])
        return table(f"Posterior, {len(self.samples)} draws", columns, rows)


def posterior(
    fit: Fit,
    draws: int = 20000,
    *,
    burn_in: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Posterior:
    """Samples what the data and priors say of the unknowns, beyond the minimum.

    The density is `exp(-loss / 2)` inside the bounds where all data have standard
    deviations, priors of the problem included; where none has, that of Student with the
    scatter integrated out, `loss^(-N / 2)`. An ensemble of walkers moves by affine
    stretches (J. Goodman & J. Weare, Comm. App. Math. Comp. Sci. 5 (2010) 65) with
    `emcee`; each compiled call computes the loss of half of them.

    Args:
        fit: A successful fit, one member, not loaded from a file.
        draws: Number of draws, rounded up to whole moves of all walkers.
        burn_in: Moves of each walker that are dropped first; by default a quarter of
            those kept, at least 100.
        seed: Seed of the walkers.
        progress: Whether to show a bar.

    Raises:
        ImportError: If emcee is not installed.
        ValueError: As `profile`; or if the data leave a combination undetermined, or a
            number is not positive.

    Example:
        >>> import eigenfit as ef
        >>> problem = ef.Problem(ef.Affine([np.eye(3)]), ef.Levels(sigma=0.3))
        >>> fit = ef.Solver(problem).fit([1.0], [0.9, 1.0, 1.1])
        >>> ef.posterior(fit, 1280).samples.shape
        (1280, 1)
    """
    try:
        import emcee
    except ImportError as error:
        raise ImportError(
            'Sampling needs emcee. Install it with: pip install "eigenfit[mcmc]"'
        ) from error
    check_single(fit)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise ValueError(f"`draws` must be a positive integer, got {draws!r}.")
    criterion, found = criterion_of(fit), fit.uncertainty()
    if int(found.num_undetermined):
        raise ValueError(
            f"The data do not determine {'; '.join(found.undetermined())}: the "
            f"posterior has no end there. Give a prior to them, or fix one."
        )
    number = len(fit.question.names)
    walkers = max(_WALKERS, 2 * number + 2)
    moves = -(-draws // walkers)
    dropped = max(100, moves // 4) if burn_in is None else int(burn_in)
    rng = np.random.default_rng(seed)
    sampler = emcee.EnsembleSampler(
        walkers, number, density_of(fit, criterion), vectorize=True
    )
    sampler.random_state = np.random.RandomState(seed).get_state()
    state = sampler.run_mcmc(_first(fit, walkers, rng), dropped, progress=progress)
    sampler.reset()
    sampler.run_mcmc(state, moves, progress=progress)
    times = sampler.get_autocorr_time(quiet=True, tol=0)
    return Posterior(
        names=fit.question.names,
        samples=np.asarray(sampler.get_chain(flat=True))[:draws],
        log_probability=np.asarray(sampler.get_log_prob(flat=True))[:draws],
        acceptance=float(sampler.acceptance_fraction.mean()),
        correlation_time=np.asarray(times),
    )


def _first(fit: Fit, walkers: int, rng: np.random.Generator) -> np.ndarray:
    """Draws where walkers begin, around the fit and inside the bounds: `[w, p]`."""
    found, best = fit.uncertainty(), np.asarray(fit.parameters)
    values, vectors = np.linalg.eigh(found.correlation)
    root = vectors * np.sqrt(np.maximum(values, 0))
    errors = np.nan_to_num(found.standard_errors)
    held = errors == 0  # on a bound: the column says how far the data let it go
    errors = np.where(held, single_errors(fit), errors)
    around = rng.normal(size=[walkers, len(best)])
    moved = np.where(held, around, around @ root.T) * errors * _SPREAD
    bounds = fit.known().problem.bounds
    if bounds is None:
        return best + moved
    low, high = bounds
    # What would leave the bounds goes the other way, and no farther than they allow.
    start = np.where(
        (best + moved < low) | (best + moved > high), best - moved, best + moved
    )
    inner = np.nextafter(low, np.inf), np.nextafter(high, -np.inf)
    return np.clip(start, *inner)


def density_of(fit: Fit, criterion: Criterion) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the logarithm of the density, `[w]` for parameters `[w, p]`."""
    asked = fit.known()
    problem = asked.problem
    loss = Solver(problem, asked.method, compile="graph").programs.loss.variant("graph")
    low, high = problem.bounds or (-np.inf, np.inf)
    dtype = problem.parameter_dtype
    targets = fit.targets

    def density(parameters: np.ndarray) -> np.ndarray:
        inside = ((parameters >= low) & (parameters <= high)).all(axis=-1)
        r = np.clip(parameters, low, high)
        t = np.broadcast_to(targets, (len(r), len(targets)))
        S = loss(tf.constant(r, dtype), tf.constant(t, dtype)).numpy()
        log = -S / 2
        if criterion.name == "F":
            log = -problem.num_data / 2 * np.log(S)
        return np.where(inside & np.isfinite(log), log, -np.inf)

    return density
