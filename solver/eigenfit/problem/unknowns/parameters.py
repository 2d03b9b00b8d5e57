"""Names, bounds, fixed values, ties and priors of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from eigenfit.problem.unknowns.priors import Prior

Interval: TypeAlias = tuple[float | None, float | None]
"""A lower and an upper bound; None where there is none."""


class Resolved(NamedTuple):
    """Parameters of the structures as functions of the unknowns x: `offset + T x`."""

    all_names: tuple[str, ...]  # P
    names: tuple[str, ...]  # of the unknowns, p
    matrix: np.ndarray | None  # [P, p] T, None if every parameter is unknown
    offset: np.ndarray  # [P]
    bounds: tuple[np.ndarray, np.ndarray] | None  # [p] each, infinite where open
    prior: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # [q, p], mean, sigma
    scales: np.ndarray | None  # [p], typical sizes, 1 where none was given
    periods: np.ndarray | None = None  # [p], infinite where there is none


class Parameters:
    """What is known about the parameters before a fit.

    Fixed and tied parameters are not unknowns: a problem has `num_parameters` unknowns,
    and `Problem.expand` returns all parameters.

    Args:
        names: A name for each parameter of the structures; r0, r1, ... by default.
        bounds: `{name: (low, high)}`, or one `(low, high)` for all unknowns; None or
            an infinity for an open end. Every step stays inside.
        fixed: `{name: value}`, parameters held at a value.
        ties: `{name: {other: factor}}` for `name = sum factor * other`, where the key
            `""` adds its factor as a constant; or `{name: (other, factor)}`. The others
            may be unknown or fixed.
        scales: `{name: size}`, typical sizes of unknowns, 1 by default, for random
            starts and for telling solutions apart. Steps do not need them.
        period: `{name: T}` for unknowns that leave every matrix's levels unchanged
            when T is added, such as angles: solutions that differ by periods are one,
            given with -T/2 < x <= T/2, and random starts lie there. Where mode shapes
            are observed and tell periods apart, only starts know of it.
        prior: `{name: (mean, sigma)}`: adds `((x - mean) / sigma)^2` to the loss. Or
            a list of `Prior`s of combinations, such as `smoothness(names, sigma)`.

    Raises:
        TypeError: If an argument is not a mapping.
        ValueError: If a name is repeated, a parameter is named twice among fixed and
            tied ones, a bound is not an interval, or a number is not finite.

    Example:
        >>> known = Parameters(["B40", "B44"], ties={"B44": ("B40", 5.0)})
        >>> known.resolve(2).matrix
        array([[1.],
               [5.]])
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        bounds: Mapping[str, Interval] | Interval | None = None,
        fixed: Mapping[str, float] | None = None,
        ties: Mapping[str, Any] | None = None,
        prior: Mapping[str, tuple[float, float]] | Sequence[Prior] | None = None,
        scales: Mapping[str, float] | None = None,
        period: Mapping[str, float] | None = None,
    ) -> None:
        self.names = None if names is None else _names(names)
        self.bounds = _bounds(bounds)
        self.fixed = {k: _number(f"fixed[{k!r}]", v) for k, v in _map("fixed", fixed)}
        self.ties = {k: _tie(k, v) for k, v in _map("ties", ties)}
        self.prior = _priors(prior)
        self.scales = {k: _size("scales", k, v) for k, v in _map("scales", scales)}
        self.period = {k: _size("period", k, v) for k, v in _map("period", period)}
        for name in {k for prior in self.priors for k in prior.coefficients}:
            if name in self.period:
                raise _told_apart(name)
        both = set(self.fixed) & set(self.ties)
        if both:
            raise ValueError(
                f"{sorted(both)[0]!r} is both in `fixed` and in `ties`. Choose one."
            )

    def __repr__(self) -> str:
        shown = []
        for name in ("names", "bounds", "fixed", "ties", "prior", "scales", "period"):
            value = getattr(self, name)
            if value:
                shown.append(f"{name}={value!r}")
        return f"Parameters({', '.join(shown)})"

    @property
    def priors(self) -> tuple[Prior, ...]:
        """All priors, as combinations."""
        if not isinstance(self.prior, dict):
            return self.prior
        return tuple(Prior({k: 1.0}, *pair) for k, pair in self.prior.items())

    def resolve(self, number: int) -> Resolved:
        """Applies these settings to structures with a number P of parameters.

        Raises:
            ValueError: If a name is unknown, the number of names is not P, a tie
                depends on a tied parameter, a bound or prior is on a parameter that is
                fixed or tied, or nothing is left to fit.
        """
        everything = self.names or tuple(f"r{k}" for k in range(number))
        if len(everything) != number:
            raise ValueError(
                f"`names` has {len(everything)} names for {number} parameters of the "
                f"structure."
            )
        self._check_known(everything)
        given = {**self.fixed, **self.ties}
        unknowns = tuple(k for k in everything if k not in given)
        if not unknowns:
            raise ValueError(
                "All parameters are fixed or tied: there is nothing to fit. Leave at "
                "least one out of `fixed` and `ties`."
            )
        matrix = None
        offset = np.zeros(number)
        if given:
            matrix = np.zeros([number, len(unknowns)])
            for k, name in enumerate(everything):
                self._fill(name, unknowns, matrix[k], offset[k : k + 1])
        bounds = self._limits(unknowns)
        scales = None
        if self.scales:
            scales = np.array([self.scales.get(k, 1.0) for k in unknowns])
        periods = np.array([self.period.get(k, np.inf) for k in unknowns])
        prior = None
        if self.priors:
            every = np.eye(number) if matrix is None else matrix
            prior = self._combinations(everything, unknowns, every, offset, periods)
        if not self.period:
            periods = None
        return Resolved(
            everything, unknowns, matrix, offset, bounds, prior, scales, periods
        )

    def _combinations(
        self,
        everything: tuple[str, ...],
        unknowns: tuple[str, ...],
        matrix: np.ndarray,
        offset: np.ndarray,
        periods: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Rows over the unknowns, means less the constant part, and sigmas.
        C = np.zeros([len(self.priors), len(everything)])
        for row, prior in zip(C, self.priors, strict=True):
            for name, factor in prior.coefficients.items():
                row[everything.index(name)] = factor
        rows = C @ matrix
        for row, prior in zip(rows, self.priors, strict=True):
            if not row.any():
                text = f"`prior` holds {prior!r}, in which nothing is unknown"
                raise ValueError(f"{text}. Leave it out.")
            for k in np.flatnonzero((row != 0) & np.isfinite(periods)):
                raise _told_apart(unknowns[k])
        mean, sigma = np.array([(x.mean, x.sigma) for x in self.priors]).T
        return rows, mean - C @ offset, sigma

    def _fill(
        self, name: str, unknowns: tuple[str, ...], row: np.ndarray, offset: np.ndarray
    ) -> None:
        if name in self.fixed:
            offset[0] = self.fixed[name]
        elif name in self.ties:
            for other, factor in self.ties[name].items():
                if not other:
                    offset[0] += factor
                elif other in self.fixed:
                    offset[0] += factor * self.fixed[other]
                else:
                    row[unknowns.index(other)] += factor
        else:
            row[unknowns.index(name)] = 1

    def _check_known(self, everything: tuple[str, ...]) -> None:
        bounded = self.bounds if isinstance(self.bounds, dict) else {}
        others = {o: None for tie in self.ties.values() for o in tie if o}
        for where, names in (
            ("bounds", bounded),
            ("fixed", self.fixed),
            ("ties", self.ties),
            ("ties", others),
            ("prior", {k: None for x in self.priors for k in x.coefficients}),
            ("scales", self.scales),
            ("period", self.period),
        ):
            for name in names:
                if name not in everything:
                    shown = ", ".join(everything[:12])
                    more = ", ..." if len(everything) > 12 else ""
                    raise ValueError(
                        f"`{where}` names {name!r}; the parameters are {shown}{more}."
                    )
        for name in others:
            if name in self.ties:
                raise ValueError(
                    f"`ties` makes a parameter depend on {name!r}, which is tied "
                    f"itself. Write it in terms of unknown parameters."
                )
        for where, names in (
            ("bounds", bounded),
            ("prior", self.prior if isinstance(self.prior, dict) else {}),
            ("scales", self.scales),
            ("period", self.period),
        ):
            for name in names:
                if name in self.fixed or name in self.ties:
                    raise ValueError(
                        f"`{where}` names {name!r}, which is fixed or tied. Give "
                        f"`{where}` of unknown parameters only."
                    )

    def _limits(
        self, unknowns: tuple[str, ...]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        if self.bounds is None:
            return None
        if isinstance(self.bounds, tuple):
            pairs = [self.bounds] * len(unknowns)
        else:
            pairs = [self.bounds.get(k, (-np.inf, np.inf)) for k in unknowns]
        limits = np.array(pairs)
        if not np.isfinite(limits).any():
            return None
        return limits[:, 0], limits[:, 1]


def _names(names: Any) -> tuple[str, ...]:
    try:
        result = () if isinstance(names, str) else tuple(names)
    except TypeError:
        result = ()
    if not result or not all(isinstance(k, str) and k for k in result):
        raise ValueError(f"`names` must be a list of texts, got {names!r}.")
    for k in result:
        if result.count(k) > 1:
            raise ValueError(f"`names` has {k!r} twice.")
    return result


def _map(where: str, value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise TypeError(f"`{where}` must be a mapping of names, got {value!r}.")
    return list(value.items())


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"`{where}` must be a finite number, got {value!r}.")
    return number


def _bounds(value: Any) -> dict[str, tuple[float, float]] | tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {k: _interval(f"bounds[{k!r}]", v) for k, v in value.items()}
    return _interval("bounds", value)


def _interval(where: str, value: Any) -> tuple[float, float]:
    try:
        low, high = value
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
    except (TypeError, ValueError):
        low = high = np.nan
    if not low < high:
        raise ValueError(
            f"`{where}` must be a pair (low, high) with low < high, got {value!r}. To "
            f"hold a parameter, give it in `fixed`."
        )
    return low, high


def _tie(name: str, value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        try:
            other, factor = value
        except (TypeError, ValueError):
            other, factor = None, None
        if not isinstance(other, str):
            raise ValueError(
                f"`ties[{name!r}]` must be {{other: factor}} or (other, factor), got "
                f"{value!r}."
            )
        value = {other: factor}
    if not value or name in value:
        raise ValueError(f"`ties[{name!r}]` must name other parameters, got {value!r}.")
    return {k: _number(f"ties[{name!r}][{k!r}]", v) for k, v in value.items()}


def _priors(value: Any) -> dict[str, tuple[float, float]] | tuple[Prior, ...]:
    if isinstance(value, Prior):
        return (value,)
    if not isinstance(value, (list, tuple)):
        return {k: _prior(k, v) for k, v in _map("prior", value)}
    for k, prior in enumerate(value):
        if not isinstance(prior, Prior):
            raise TypeError(
                f"`prior[{k}]` must be a Prior(coefficients, mean, sigma), got "
                f"{prior!r}. The priors of single parameters may be given as {{name: "
                f"(mean, sigma)}} instead of a list."
            )
    return tuple(value)


def _prior(name: str, value: Any) -> tuple[float, float]:
    try:
        mean, sigma = value
    except (TypeError, ValueError):
        mean, sigma = np.nan, np.nan
    mean = _number(f"prior[{name!r}]", mean)
    sigma = _number(f"prior[{name!r}]", sigma)
    if sigma <= 0:
        raise ValueError(
            f"`prior[{name!r}]` must be (mean, sigma) with sigma > 0, got {value!r}."
        )
    return mean, sigma


def _size(where: str, name: str, value: Any) -> float:
    size = _number(f"{where}[{name!r}]", value)
    if size <= 0:
        raise ValueError(f"`{where}[{name!r}]` must be positive, got {value!r}.")
    return size


def _told_apart(name: str) -> ValueError:
    both = f"{name!r} has both a `prior` and a `period`, itself or by a tie"
    return ValueError(f"{both}, but a prior tells periods apart. Give one of them.")
