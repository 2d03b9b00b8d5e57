"""A finished fit as plain arrays and text: all that reports and files need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eigenfit.analysis.uncertainty import Uncertainty
from eigenfit.observations.robust import outlying, robust
from eigenfit.reports.phrases import (
    Agreement,
    degrees_of_freedom,
    no_chi_square,
    outliers_text,
)
from eigenfit.results import SUCCESSES, Result


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked of a fit.

    Attributes:
        title: One line for readers; may be empty.
        problem: The problem in a line.
        method: Name of the method.
        dtype: Dtype of the parameters, `float64` or `float32`.
        start: How starts were drawn; empty if they were given.
        tolerance: When a fit has converged, in words.
        tolerance_given: Whether the caller gave that tolerance.
        names: Names of the p unknowns.
        all_names: Names of all P parameters, fixed and tied ones included.
        notes: What constrains each of these; may be empty.
        target_names: Names of the m values that are compared with targets.
        parts: Targets of each observation.
        weights: `[m]`, of the squared deviations.
        has_sigma: `[m]` bool, whether a weight is `1 / sigma^2`.
        matrix: For each matrix what is decomposed, if it is not the structure's own
            matrix, such as ` L^-1 K L^-H, where M = L L^H`; else empty.
        labels: One for each matrix.
        orders: Order of each matrix.
        positions: `[m]`, the level of each target if levels of one matrix are all
            that is observed; else None.
        num_data: Number of data that can disagree with the model.
        num_priors: Number of priors.
        comparable: Whether all data without standard deviations are numbers of one
            kind, so that they have a scatter in common.
        kinds: What each observation compares: "levels", "frequencies", "relative" (to
            a level), "differences", "means", "shapes", "MAC" or "other".
        places: `[m, 3]` int: block, level and component of each target, -1 where it
            belongs to none or to several.
        losses: Name of the loss of each observation, "linear" for squares.
        loss_scales: Scale of each loss.
        priors: Each prior, so that those of two fits can be compared.
        influence: `[P]`, root of the mean squared change of levels by a unit of each
            parameter; None if a structure is not linear.
        blends: Targets, by their index, that are means of levels not told apart.
        units: Unit of the targets of each observation; empty where none was given.
    """

    title: str
    problem: str
    method: str
    dtype: str
    start: str
    tolerance: str
    tolerance_given: bool
    names: tuple[str, ...]
    all_names: tuple[str, ...]
    notes: tuple[str, ...]
    target_names: tuple[str, ...]
    parts: tuple[slice, ...]
    weights: np.ndarray
    has_sigma: np.ndarray
    matrix: tuple[str, ...]
    labels: tuple[str, ...]
    orders: tuple[int, ...]
    positions: np.ndarray | None
    num_data: int
    num_priors: int
    comparable: bool
    kinds: tuple[str, ...]
    places: np.ndarray
    losses: tuple[str, ...]
    loss_scales: tuple[float, ...]
    priors: tuple[str, ...] = ()
    blends: tuple[int, ...] = ()
    units: tuple[str, ...] = ()
    influence: np.ndarray | None = None

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviations of the targets, `[m]`; NaN where none was given."""
        return np.where(self.has_sigma, self.weights**-0.5, np.nan)

    @property
    def unit(self) -> str:
        """The unit of all targets; empty if they have several, or none."""
        return self.units[0] if len(set(self.units)) == 1 else ""

    @property
    def target_units(self) -> list[str]:
        """Unit of each target, `[m]`."""
        units = self.units or ("",) * len(self.parts)
        pairs = zip(units, self.parts, strict=True)
        return [unit for unit, part in pairs for _ in range(part.start, part.stop)]

    @property
    def digits(self) -> int:
        """Digits with which observed values are written."""
        return 7 if self.dtype == "float32" else 10

    @property
    def tells_of_parameters(self) -> bool:
        """Whether parameters have names, constraints or errors worth a table."""
        names = tuple(f"r{k}" for k in range(len(self.all_names)))
        told = self.all_names != names or any(self.notes) or self.is_measured
        return told or len(self.weights) > len(self.names)

    @property
    def is_weighted(self) -> bool:
        """Whether some datum has a weight other than 1, or a standard deviation."""
        return bool((self.weights != 1).any() or self.has_sigma.any())

    @property
    def is_measured(self) -> bool:
        """Whether all data have standard deviations."""
        return bool(self.has_sigma.all())

    @property
    def robust(self) -> list[int]:
        """Observations whose loss is not linear, by their index."""
        return [k for k, loss in enumerate(self.losses) if loss != "linear"]

    @property
    def outlying(self) -> np.ndarray:
        """Difference beyond which a datum is an outlier, `[m]`; infinite for none."""
        limits = self.weights**-0.5
        losses = map(robust, self.losses, self.loss_scales)
        for part, loss in zip(self.parts, losses, strict=True):
            limits[part] *= outlying(self.has_sigma[part], loss)
        return limits


@dataclass(frozen=True, eq=False)
class Record:
    """What was asked of one fit, and what it found."""

    question: Question
    initial: np.ndarray  # [P], fixed and tied parameters included
    targets: np.ndarray  # [m]
    parameters: np.ndarray  # [P]
    values: np.ndarray  # [m] observed values, compared with the targets
    eigenvalues: np.ndarray  # [N] block after block
    matrices: tuple[np.ndarray, ...]  # [n, n] each
    loss: float
    num_steps: int
    result: Result
    uncertainty: Uncertainty | None  # None for many unknowns, or without an answer
    family: int = 0  # dimension of the continuum the answer belongs to; 0 for none
    seconds: float | None = None
    modes: tuple[np.ndarray, ...] = ()  # [n, n] each, in columns, if they matter

    @property
    def levels(self) -> tuple[np.ndarray, ...]:
        """Levels of each matrix, `[n]`."""
        ends = np.cumsum(self.question.orders)[:-1]
        return tuple(np.split(self.eigenvalues, ends))

    @property
    def differences(self) -> np.ndarray:
        """Calculated less target, `[m]`, in the unit of the targets."""
        return self.values - self.targets

    @property
    def deviations(self) -> np.ndarray:
        """The differences in standard deviations, `[m]`; NaN without them."""
        return self.differences / self.question.sigma

    @property
    def outliers(self) -> np.ndarray:
        """Which data are outliers, `[m]` bool; see `Question.outlying`."""
        with np.errstate(invalid="ignore"):
            return np.abs(self.differences) > self.question.outlying

    @property
    def flags(self) -> list[str]:
        """What is particular about each datum: "blend", "outlier", both or neither."""
        result = []
        for k, far in enumerate(self.outliers):
            words = ["blend"] * (k in self.question.blends) + ["outlier"] * bool(far)
            result.append(", ".join(words))
        return result

    @property
    def outlier_names(self) -> list[str]:
        """Names of the values whose data are outliers."""
        pairs = zip(self.question.target_names, self.outliers, strict=True)
        return [name for name, far in pairs if far]

    @property
    def is_exact(self) -> bool:
        """Whether data without errors are met, so that nothing tells of errors."""
        asked = self.question
        known = asked.has_sigma.any() or asked.num_priors
        return self.result == Result.converged and not known

    @property
    def errors(self) -> np.ndarray:
        """Standard errors of all parameters, `[P]`; NaN where nothing tells of them."""
        if self.uncertainty is None:
            return np.full(len(self.parameters), np.nan)
        errors = self.uncertainty.all_standard_errors
        return (
            np.where(np.isfinite(errors), np.nan, errors) if self.is_exact else errors
        )

    @property
    def is_rounding(self) -> np.ndarray:
        """Which parameters change no level by more than rounding does, `[P]`."""
        influence = self.question.influence
        if influence is None or not self.eigenvalues.size:
            return np.zeros(len(self.parameters), bool)
        eps = 2.0 ** (-23 if self.question.dtype == "float32" else -52)
        most = 4 * eps * np.abs(self.eigenvalues).max()
        return np.abs(self.parameters) * influence <= most

    @property
    def undetermined(self) -> list[str]:
        """Combinations of unknowns that the data do not determine."""
        return [] if self.uncertainty is None else self.uncertainty.undetermined()

    @property
    def is_smallest(self) -> bool:
        """Whether the loss is as small as it can be, up to rounding."""
        met_on_demand = (
            self.result == Result.converged and self.question.tolerance_given
        )
        return self.result.is_success and not met_on_demand

    @property
    def agreement(self) -> Agreement | None:
        """Chi-square; None unless all data have `sigma` and the loss is smallest.

        None with a robust loss, too.
        """
        found, asked = self.uncertainty, self.question
        if found is None or not asked.is_measured or not self.is_smallest:
            return None
        if asked.robust:
            return None
        return Agreement(float(found.chi_square), int(found.degrees_of_freedom))

    @property
    def fitted(self) -> str:
        """How well the data were met, in words; empty if that is not known."""
        asked = self.question
        if asked.robust and np.isfinite(self.loss):
            return outliers_text(self.outlier_names, len(self.targets))
        return self.agreement.text if self.agreement else self.scatter

    @property
    def note(self) -> str:
        """Why there is no chi-square if a loss is robust; else empty."""
        losses = self.question.losses
        return no_chi_square([losses[k] for k in self.question.robust])

    @property
    def scatter(self) -> str:
        """How far data without standard deviations lie from a minimum, in words."""
        found, asked = self.uncertainty, self.question
        if found is None or asked.is_measured or asked.num_priors or asked.robust:
            return ""
        if self.is_exact and not asked.tolerance_given and found.degrees_of_freedom > 0:
            return "all data are met: there is no scatter to take errors from"
        size = float(found.scatter)
        if self.result != Result.minimum or not np.isfinite(size):
            return ""
        if not asked.comparable:
            return ""  # Numbers of different quantities have no scatter in common.
        own = ~asked.has_sigma
        unit = "" if (asked.weights[own] == 1).all() else " of weight 1"
        if not own.all():
            return f"scatter of data without sigma{unit} {size:.3g}"
        freedom = degrees_of_freedom(int(found.degrees_of_freedom))
        return f"scatter of data{unit} {size:.3g}, from {freedom}"

    @property
    def criteria(self) -> tuple[float, float]:
        """Akaike's and the Bayesian information criterion.

        `deviance + 2 k` and `deviance + k ln N` for k determined unknowns and N data.
        The deviance is chi-square where all data have standard deviations, else
        `N ln(chi_square / N)`, which takes them from the scatter. NaN if the loss is
        not smallest or a robust one, nothing scatters, or only some data have standard
        deviations.
        """
        found, asked = self.uncertainty, self.question
        if found is None or not self.is_smallest or asked.robust:
            return np.nan, np.nan
        number, rank = asked.num_data, int(found.rank)
        deviance = float(found.chi_square)
        if not asked.is_measured:
            # Other deviations than a scatter in common have no likelihood.
            alike = asked.comparable and not (asked.has_sigma.any() or asked.num_priors)
            if self.result != Result.minimum or deviance <= 0 or not alike:
                return np.nan, np.nan
            deviance = number * np.log(deviance / number)
        return deviance + 2 * rank, deviance + rank * np.log(number)


def best_of(loss: np.ndarray, result: np.ndarray) -> int:
    """Returns the index of the smallest loss; NaN counts as the largest.

    Among losses that agree to six digits, that of a success comes first.

    Args:
        loss: `[s]`.
        result: `[s]` int, a Result each.

    Example:
        >>> best_of(np.array([2.0, 1.0, 1.0 + 1e-9]), np.array([6, 3, 6]))
        2
    """
    loss = np.where(np.isnan(loss), np.inf, loss)
    proper = np.isin(result, SUCCESSES) & (loss <= loss.min() * (1 + 1e-6))
    return int(np.lexsort([loss, ~proper])[0])
