"""Observations: which numbers of a spectrum have targets, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import numpy as np
from pydantic import Field, model_validator

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import array_of, list_of_integers
from eigenfit_serving.problem_file.checks.arrays import from_one_hint
from eigenfit_serving.problem_file.section import Section
from eigenfit_serving.problem_file.structures.simple import Sized

if TYPE_CHECKING:
    import eigenfit as ef

Integers = Annotated[list[int], list_of_integers()]


class Counting(TypedDict):
    """Arguments that all observations have."""

    weights: np.ndarray | None
    sigma: np.ndarray | None
    loss: Literal["linear", "soft_l1", "huber", "cauchy"]
    loss_scale: float
    labels: list[str] | None
    unit: str


class AbstractObservationSection(Section):
    """An observation of one matrix.

    Sections of observations have `kind`, `names(order)` and `build()`. What can only be
    checked together with the matrix is checked in `check` and `check_targets`.
    """

    targets: Annotated[np.ndarray, array_of(1)] | None = None
    weights: Annotated[np.ndarray, array_of(0, 1)] | None = None
    sigma: Annotated[np.ndarray, array_of(0, 1)] | None = None
    loss: Annotated[
        Literal["linear", "soft_l1", "huber", "cauchy"],
        Field(description='"linear", "soft_l1", "huber" or "cauchy"'),
    ] = "linear"
    loss_scale: Annotated[
        float, Field(gt=0, description="a number above 0, in sigmas if there are any")
    ] = 1.0
    labels: Annotated[
        list[str] | None,
        Field(description="a list of texts, what reports call the values"),
    ] = None
    unit: Annotated[str, Field(description='the unit of the targets, e.g. "MHz"')] = ""

    @model_validator(mode="after")
    def _check_weights(self) -> Any:
        for name in ("weights", "sigma"):
            values = getattr(self, name)
            if values is not None and not (values > 0).all():
                raise BadValue(
                    "must be positive. To leave a target out, leave it out of the "
                    "observation.",
                    f".{name}",
                    values.tolist(),
                )
        if self.weights is not None and self.sigma is not None:
            raise BadValue(
                "is given and weights too, but weights are 1 / sigma^2. Remove one.",
                ".sigma",
            )
        for k, label in enumerate(self.labels or []):
            if not label or label in (self.labels or [])[:k]:
                raise BadValue("must be texts, each once.", f".labels[{k}]", label)
        return self

    @property
    def counting(self) -> Counting:
        """How deviations count, as arguments of the observation."""
        return {
            "weights": self.weights,
            "sigma": self.sigma,
            "loss": self.loss,
            "loss_scale": self.loss_scale,
            "labels": self.labels,
            "unit": self.unit,
        }

    def labelled(self, order: int, where: str = "") -> list[str]:
        """Names values by their labels if given, else by `names` after `where`."""
        return self.labels or [where + name for name in self.names(order)]

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        raise NotImplementedError

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix.

        Args:
            structure: Structure of the matrix.
            key: Key of this table in the file.

        Raises:
            BadValue: If a level does not exist, or the number of weights is wrong.
        """
        self.check_counts(len(self.names(structure.order)), key)

    def check_counts(self, number: int, key: str) -> None:
        """Checks the numbers of weights, standard deviations, targets and labels."""
        for name in ("weights", "sigma", "targets", "labels"):
            values = getattr(self, name)
            if values is not None and np.ndim(values) and len(values) != number:
                single = ", or a single number for all" * (name in ("weights", "sigma"))
                what = "texts" if name == "labels" else "numbers"
                raise BadValue(
                    f"has {len(values)} {what} for {number} observed "
                    f"{self.plural}. Give one for each{single}.",
                    f"{key}.{name}",
                )

    @property
    def plural(self) -> str:
        """What is observed, in the plural."""
        return "values"

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks targets `[m]` of a matrix of an order; `key` is the targets'."""


class AbstractChoiceSection(AbstractObservationSection):
    """An observation of all levels, or of those that `indices` chooses."""

    indices: Integers | None = None

    @property
    def plural(self) -> str:
        """What is observed, in the plural."""
        return "levels"

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        if self.indices is not None:
            check_levels(self.indices, structure.order, f"{key}.indices")
            check_distinct(self.indices, structure.order, f"{key}.indices")
        super().check(structure, key)

    def positions(self, order: int) -> np.ndarray:
        """Returns the levels that have targets, `[m]`, each in 0..order-1."""
        return np.arange(order) if self.indices is None else at(self.indices, order)


class LevelsSection(AbstractChoiceSection):
    """Levels of the spectrum, all or chosen ones."""

    kind: Annotated[Literal["levels"], Field(description='"levels"')] = "levels"

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [f"level {k}" for k in self.positions(order)]

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks that targets ascend with their levels."""
        check_ascending(targets, self.positions(order), key)

    def build(self) -> ef.Levels:
        """Makes the observation."""
        import eigenfit as ef

        return ef.Levels(self.indices, **self.counting)


class FrequenciesSection(AbstractChoiceSection):
    """Frequencies `sqrt(lambda) / 2 pi` of levels."""

    kind: Literal["frequencies"]

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [f"frequency {k}" for k in self.positions(order)]

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks that targets ascend with their levels and none is negative."""
        for i in np.flatnonzero(targets < 0)[:1]:
            raise BadValue(
                "must not be negative: a frequency is sqrt(level) / 2 pi.",
                f"{key}[{i}]",
                targets[i].item(),
            )
        check_ascending(targets, self.positions(order), key)

    def build(self) -> ef.Frequencies:
        """Makes the observation."""
        import eigenfit as ef

        return ef.Frequencies(self.indices, **self.counting)


class ClusterMeansSection(AbstractObservationSection):
    """Means of levels that lie too close to be told apart."""

    kind: Literal["cluster-means"]
    clusters: Annotated[
        list[Integers],
        Field(
            min_length=1, description="a list of lists of integers, e.g. [[0, 1], [2]]"
        ),
    ]

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [
            f"mean of levels {', '.join(map(str, at(cluster, order)))}"
            for cluster in self.clusters
        ]

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        least = min(map(min, self.clusters))
        for i, cluster in enumerate(self.clusters):
            check_levels(cluster, structure.order, f"{key}.clusters[{i}]", least=least)
            check_distinct(cluster, structure.order, f"{key}.clusters[{i}]")
        super().check(structure, key)

    def build(self) -> ef.ClusterMeans:
        """Makes the observation."""
        import eigenfit as ef

        return ef.ClusterMeans(self.clusters, **self.counting)


class RelativeToSection(AbstractObservationSection):
    """Levels measured relative to one of them."""

    kind: Literal["relative-to"]
    level: Annotated[int, Field(description="an integer, e.g. 0 for the lowest")]
    indices: Integers | None = None

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        zero = self.level % order
        others = self.indices
        if others is None:
            others = [k for k in range(order) if k != zero]
        return [f"level {k} - level {zero}" for k in at(others, order)]

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        n = structure.order
        check_levels([self.level], n, f"{key}.level", single=True)
        if n == 1:
            raise BadValue(
                "needs a matrix of at least two levels. Use another kind.",
                f"{key}.kind",
                self.kind,
            )
        check_levels(self.indices or [], n, f"{key}.indices")
        for i, k in enumerate(self.indices or []):
            if k % n == self.level % n:
                raise BadValue(
                    "is the level from which all are measured. Leave it out.",
                    f"{key}.indices[{i}]",
                    k,
                )
        super().check(structure, key)

    def build(self) -> ef.RelativeTo:
        """Makes the observation."""
        import eigenfit as ef

        return ef.RelativeTo(self.level, self.indices, **self.counting)


def check_levels(
    indices: Sequence[int],
    order: int,
    key: str,
    single: bool = False,
    least: int | None = None,
) -> None:
    """Raises `BadValue` unless these levels, or components, exist.

    Args:
        indices: Indices in 0..order-1, or negative from the top.
        order: Order of the matrix.
        key: Key of the list in the file, or of the number if `single`.
        single: Whether the file has a number instead of a list.
        least: Smallest index of the whole observation, for a hint; by default of these.
    """
    least = min(indices, default=0) if least is None else least
    for i, k in enumerate(indices):
        if not -order <= k < order:
            raise BadValue(
                f"does not exist: a matrix of order {order} has the levels 0 to "
                f"{order - 1} (-{order} to -1 from the top)."
                f"{from_one_hint(k, order, least)}",
                key if single else f"{key}[{i}]",
                k,
            )


def check_distinct(indices: Sequence[int], order: int, key: str) -> None:
    """Raises `BadValue` if two indices are the same level."""
    if len(set(at(indices, order))) < len(indices):
        raise BadValue(
            "names a level twice. Give each once; use weights to count it more.",
            key,
            list(indices),
        )


def at(indices: Sequence[int], order: int) -> np.ndarray:
    """Returns the levels counted from the lowest, int64."""
    return np.asarray(indices, np.int64) % order


def check_ascending(targets: np.ndarray, levels: np.ndarray, key: str) -> None:
    """Raises `BadValue` unless targets ascend with their levels."""
    order = np.argsort(levels)
    for i in np.flatnonzero(np.diff(targets[order]) < 0)[:1]:
        lower, upper = order[i], order[i + 1]
        raise BadValue(
            f"is below {key.rsplit('.', 1)[-1]}[{lower}] = {targets[lower]:g}, the "
            f"target of a lower level. Targets must ascend with their levels: sort "
            f"them.",
            f"{key}[{upper}]",
            targets[upper].item(),
        )
