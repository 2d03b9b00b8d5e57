"""The start with which a model is exported, for fits that are given none.

`given` is one start or several, not a distribution. `uniform` draws between `low` and
`high`, `normal` around `centre` with standard deviation `sigma`, and `natural` as
`eigenfit.multistart` does, in one of several ways: `spectrum` (spectra of the size of
the targets, for linear structures), `bounds` (between the bounds of the parameters),
`scales` (parameters of the given scales), `sizes` (of the sizes that the targets
imply) and `standard-normal`; see `eigenfit.searches.starts.natural_draw`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from eigenfit import Problem
from eigenfit.searches.starts import natural_draw, over_periods
from eigenfit.tensors.types import TensorLike

Kind = Literal["given", "uniform", "normal", "natural"]

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Start:
    """A start, several of them, or a distribution; made by its static methods.

    Attributes:
        kind: `given`, `uniform`, `normal` or `natural`.
        parameters: Given starts, p numbers each; the first one is the default.
        low: Lower end of `uniform`, for each parameter or one for all.
        high: Upper end of `uniform`, likewise.
        centre: Mean of `normal`, for each parameter or one for all.
        sigma: Standard deviation of `normal`, likewise.

    Example:
        >>> Start.given([1.0, 2.0])
        Start(given, parameters=[[1.0, 2.0]])
        >>> Start.uniform(-1, [1, 2])
        Start(uniform, low=[-1.0], high=[1.0, 2.0])
    """

    kind: Kind = "natural"
    parameters: tuple[Numbers, ...] = ()
    low: Numbers = ()
    high: Numbers = ()
    centre: Numbers = ()
    sigma: Numbers = ()

    @staticmethod
    def given(parameters: TensorLike) -> Start:
        """Begins at `[p]`, or at the first of `[s, p]`."""
        rows = np.atleast_2d(np.asarray(parameters, np.float64))
        if rows.ndim != 2 or not rows.size:
            raise ValueError(f"`start` must be [p] or [s, p], got shape {rows.shape}.")
        return Start("given", parameters=tuple(map(_numbers, rows)))

    @staticmethod
    def uniform(low: TensorLike, high: TensorLike) -> Start:
        """Draws uniformly between `low` and `high`, numbers or `[p]`."""
        if not (np.asarray(low) < np.asarray(high)).all():
            raise ValueError("`high` must lie above `low`.")
        return Start("uniform", low=_numbers(low), high=_numbers(high))

    @staticmethod
    def normal(centre: TensorLike, sigma: TensorLike) -> Start:
        """Draws around `centre`, clipped to the bounds; numbers or `[p]`."""
        if not (np.asarray(sigma) > 0).all():
            raise ValueError("`sigma` must be positive.")
        return Start("normal", centre=_numbers(centre), sigma=_numbers(sigma))

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.document().items() if value}
        parts = [f"{name}={value}" for name, value in shown.items() if name != "kind"]
        return f"Start({', '.join([self.kind, *parts])})"

    def document(self) -> dict[str, Any]:
        """Returns its entry in a manifest, with the fields of its kind only."""
        fields: dict[str, Any] = {"kind": self.kind}
        if self.kind == "given":
            fields["parameters"] = [list(row) for row in self.parameters]
        for name in _FIELDS[self.kind]:
            fields[name] = list(getattr(self, name))
        return fields

    def check(self, problem: Problem) -> None:
        """Checks that it fits a problem.

        Raises:
            ValueError: If the number of parameters is wrong, one is not finite, or a
                given start lies out of bounds.
        """
        p = problem.num_parameters
        rows = self.parameters or tuple(
            getattr(self, name) for name in _FIELDS[self.kind]
        )
        for row in rows:
            if len(row) != p and (self.parameters or len(row) != 1):
                raise ValueError(
                    f"`start` has {len(row)} numbers, but there are {p} parameters to "
                    f"fit. Give {p}."
                )
            if not np.isfinite(row).all():
                raise ValueError("`start` must be finite.")
        if problem.bounds is None or not self.parameters:
            return
        low, high = problem.bounds
        starts = np.array(self.parameters)
        for _, k in np.argwhere((starts < low) | (starts > high))[:1]:
            raise ValueError(
                f"`start` lies outside of the bounds of {problem.parameter_names[k]}, "
                f"{low[k]:g} to {high[k]:g}. Start inside."
            )

    def described(self, problem: Problem) -> dict[str, Any]:
        """Returns its entry in the manifest of a problem.

        `draw` names the distribution of starts: `uniform`, `normal` or a natural one;
        `periodic` the parameters that it draws from a period instead, if there are any.
        """
        if self.kind in ("uniform", "normal"):
            return {**self.document(), "draw": self.kind}
        content = {**self.document(), "draw": natural_draw(problem)}
        names = np.array(problem.parameter_names)[over_periods(problem)].tolist()
        return {**content, "periodic": names} if names else content


_FIELDS: dict[str, tuple[str, ...]] = {
    "given": (),
    "uniform": ("low", "high"),
    "normal": ("centre", "sigma"),
    "natural": (),
}


def start_of(value: Any, problem: Problem) -> Start:
    """Converts a caller's argument to a start and checks it.

    Args:
        value: A `Start`, an array `[p]` or `[s, p]`, or None for the natural draw.
        problem: Problem that is fitted from there.

    Raises:
        ValueError: If the start does not fit the problem.
    """
    if value is None:
        return Start()
    start = value if isinstance(value, Start) else Start.given(value)
    start.check(problem)
    return start


def _numbers(values: Any) -> Numbers:
    return tuple(float(x) for x in np.ravel(values))
