"""Sliders for the parameters of a problem, with levels that move beside the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.fits.fit import Fit
from eigenfit.fitting.solver import Solver
from eigenfit.notebook.picture import Picture
from eigenfit.problem.problem import Problem
from eigenfit.results import Result
from eigenfit.tensors.types import TensorLike
from eigenfit.tensors.validation import as_array

if TYPE_CHECKING:
    import ipywidgets


def explore(
    problem: Problem,
    targets: TensorLike,
    initial: TensorLike | None = None,
    *,
    method: Any = "auto",
) -> Explorer:
    """Shows a problem with a slider for each unknown; levels follow as these move.

    A picture shows targets and what is calculated, and their differences. Buttons fit
    from where the sliders stand, take the last change back, and show the parameters as
    Python code. Sliders span the bounds of their unknown; without two bounds they reach
    from its start as far as that is large, to both sides, and grow with what is fitted.

    Args:
        problem: The problem.
        targets: `[m]`, in the order of the problem's observations.
        initial: `[p]`, where to begin; by default the middle of the bounds, and 1
            for unknowns without two bounds.
        method: Method of the fit button, or its name; as for `Solver`.

    Returns:
        The `Explorer`, which a notebook shows.

    Raises:
        ImportError: If ipywidgets or matplotlib is not installed.
        TypeError: If an argument is not numeric.
        ValueError: If a shape does not fit, or a start lies outside its bounds.

    Example:
        >>> import eigenfit as ef
        >>> problem = ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]]))
        >>> explorer = ef.explore(problem, [0.0, 4.0], [0.5, 3.0])
        >>> explorer.move(r0=0.3)
        >>> explorer.fit().success.item()
        True
        >>> explorer.parameters.round(6).tolist()
        [0.267949, 3.732051]
    """
    return Explorer(Solver(problem, method), targets, initial)


class Explorer:
    """Sliders, picture and buttons of `explore`.

    Attributes:
        solver: What the fit button calls.
        targets: `[m]`.
        last_fit: The last fit; None before the first.
    """

    def __init__(
        self, solver: Solver, targets: TensorLike, initial: TensorLike | None = None
    ) -> None:
        widgets = _ipywidgets()
        problem, dtype = solver.problem, solver.problem.parameter_dtype
        self.solver = solver
        self.targets = as_array("targets", targets, dtype, problem.num_targets)
        problem.check_targets(self.targets)
        start = _middle(problem) if initial is None else initial
        start = as_array("initial", start, dtype, problem.num_parameters)
        if start.ndim != 1 or self.targets.ndim != 1:
            raise ValueError(
                "`initial` and `targets` must belong to one fit, got shapes "
                f"{start.shape} and {self.targets.shape}."
            )
        problem.check_parameters("initial", start)
        self.last_fit: Fit | None = None
        self._names = problem.parameter_names
        self._past: list[np.ndarray] = []
        self._moved: str | None = None
        self._quiet = False
        self._picture = Picture(problem.target_names, self.targets)
        self._sliders = {
            name: _slider(widgets, name, float(value), bounds)
            for name, value, bounds in zip(
                self._names, start, _bounds(problem), strict=True
            )
        }
        for name, slider in self._sliders.items():
            slider.observe(lambda change, name=name: self._slid(name, change), "value")
        self._values = start.astype(np.float64)
        self._image = widgets.Image(format="png")
        self._text = widgets.HTML()
        self._code = widgets.Textarea(
            rows=4, disabled=True, layout={"width": "100%", "display": "none"}
        )
        self._buttons = {
            "fit": _button(widgets, "Fit", "Fit from here", self.fit),
            "undo": _button(widgets, "Undo", "Take the last change back", self.undo),
            "code": _button(widgets, "Code", "Show as Python", self._show_code),
        }
        sliders = widgets.VBox(
            list(self._sliders.values()), layout={"max_height": "420px"}
        )
        below = [widgets.HBox(list(self._buttons.values())), self._text, self._code]
        self.widget: ipywidgets.Widget = widgets.HBox(
            [widgets.VBox([sliders, *below]), self._image]
        )
        self._show()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    @property
    def parameters(self) -> np.ndarray:
        """The unknowns as they are now, `[p]`."""
        return self._values.copy()

    @property
    def values(self) -> np.ndarray:
        """What is calculated for them, `[m]`, in the order of the targets."""
        problem = self.solver.problem
        return np.asarray(problem.values(self._values, self.targets))

    @property
    def code(self) -> str:
        """Python that makes the same fit; `problem` stands for that of `explore`."""
        listed = ", ".join(map(repr, self._values.tolist()))
        return (
            "import eigenfit as ef\n"
            f"solver = ef.Solver(problem, ef.{self.solver.method!r})\n"
            f"fit = solver.fit([{listed}], {self.targets.tolist()})\n"
            "print(fit)"
        )

    def move(self, **parameters: float) -> None:
        """Moves unknowns, given by their names.

        Raises:
            ValueError: If there is no such unknown, or a bound forbids the value.
        """
        values = self._values.copy()
        for name, value in parameters.items():
            if name not in self._sliders:
                known = ", ".join(self._names)
                raise ValueError(f"There is no unknown {name!r}; there are {known}.")
            values[self._names.index(name)] = value
        self.solver.problem.check_parameters("parameters", values)
        self._remember()
        self._set(values)

    def fit(self) -> Fit:
        """Fits from where the unknowns are, and moves them to the answer."""
        found = self.solver.fit(self._values, self.targets)
        self.last_fit = found
        if found.result.numpy() != Result.nonfinite:
            self._remember()
            self._set(found.parameters.numpy())
        return found

    def undo(self) -> None:
        """Takes the last change back; moves of one slider in a row count as one."""
        if self._past:
            self._moved = None
            self._set(self._past.pop())

    def _remember(self) -> None:
        self._past.append(self._values.copy())
        self._moved = None

    def _slid(self, name: str, change: dict[str, Any]) -> None:
        if self._quiet:
            return
        if name != self._moved:
            self._remember()
            self._moved = name
        self._values[self._names.index(name)] = change["new"]
        self._show()

    def _set(self, values: np.ndarray) -> None:
        self._values = values.astype(np.float64)
        self._quiet = True
        try:
            for name, value in zip(self._names, values.tolist(), strict=True):
                slider = self._sliders[name]
                slider.max, slider.min = max(slider.max, value), min(slider.min, value)
                slider.value = value
        finally:
            self._quiet = False
        self._show()

    def _show(self) -> None:
        problem = self.solver.problem
        loss = float(problem.loss(self._values, self.targets))
        self._image.value = self._picture.drawn(self.values)
        gaussian = problem.has_sigma and not problem.is_robust
        name = "chi-square" if gaussian else "loss"
        self._text.value = f"{name} {loss:.6g}{self._said()}"
        self._code.value = self.code
        self._buttons["undo"].disabled = not self._past

    def _said(self) -> str:
        # What the last fit said, while the unknowns are where it left them.
        fit = self.last_fit
        if fit is None or not np.array_equal(fit.parameters.numpy(), self._values):
            return ""
        return f"<br>{Result(int(fit.result)).name}, {int(fit.num_steps)} steps"

    def _show_code(self) -> None:
        self._code.layout.display = "flex"


def _ipywidgets() -> Any:
    try:
        import ipywidgets
    except ImportError as error:
        raise ImportError(
            'Sliders need ipywidgets. Install it with: pip install "eigenfit[notebook]"'
        ) from error
    return ipywidgets


def _bounds(problem: Problem) -> list[tuple[float, float]]:
    if problem.bounds is None:
        return [(-np.inf, np.inf)] * problem.num_parameters
    return list(zip(*(np.asarray(x).tolist() for x in problem.bounds), strict=True))


def _middle(problem: Problem) -> list[float]:
    return [
        (low + high) / 2 if np.isfinite(high - low) else float(np.clip(1.0, low, high))
        for low, high in _bounds(problem)
    ]


def _slider(widgets: Any, name: str, value: float, bounds: tuple[float, float]) -> Any:
    span = abs(value) or 1.0
    low, high = max(bounds[0], value - span), min(bounds[1], value + span)
    if np.isfinite(bounds[1] - bounds[0]):
        low, high = bounds
    return widgets.FloatSlider(
        value,
        min=low,
        max=high,
        step=(high - low) / 1000 or 1e-3,
        description=name,
        readout_format=".6g",
        layout={"width": "340px"},
    )


def _button(widgets: Any, label: str, tooltip: str, action: Any) -> Any:
    button = widgets.Button(description=label, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button
