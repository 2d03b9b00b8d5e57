"""The answer of a fit, which knows what was asked."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from eigenfit.analysis.uncertainty import Uncertainty, uncertainty
from eigenfit.fits import storage, tables
from eigenfit.fits.known import Asked, KnownSolution
from eigenfit.plots.choice import picture_of
from eigenfit.plots.convergence import plot_convergence
from eigenfit.plots.values import levels_with_targets
from eigenfit.reports import files, html
from eigenfit.reports.documents import data_rows, document, parameter_rows
from eigenfit.reports.record import Record, best_of
from eigenfit.reports.text import report_text
from eigenfit.results import History, Result, Solution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Member = int | tuple[int, ...] | None

MAX_UNKNOWNS = 300
"""Errors of more unknowns take longer than their fit and are not reported."""


class Fit(KnownSolution):
    """A `Solution` of `Solver.fit` that can report what was asked and found.

    It is the same tuple of tensors; all else is computed when it is first asked for.
    Inside a `tf.function` the plain `Solution` is returned.

    What describes one fit takes the index of a `member` of the batch, by default that
    of the smallest loss.

    Example:
        >>> import eigenfit as ef
        >>> basis = [np.diag([0.0, 1.0, 2.0]), np.ones([3, 3])]
        >>> observed, known = ef.Levels(sigma=0.1), ef.Parameters(["a", "b"])
        >>> problem = ef.Problem(ef.Affine(basis), observed, parameters=known)
        >>> fit = ef.Solver(problem).fit([1.0, 0.5], [0.1, 1.3, 3.2])
        >>> print(fit.report().splitlines()[1])
        Fit      chi-square 2.918 for 1 degree of freedom, p = 0.088
        >>> float(fit.named["a"].round(3))
        0.899
    """

    @classmethod
    def of(cls, solution: Solution, asked: Asked) -> Fit:
        """Makes a fit of a solution."""
        fit = cls._make(solution)
        fit.asked = asked
        return fit

    @property
    def aic(self) -> np.ndarray:
        """Akaike's information criterion, `[...]`; see `Record.criteria`."""
        return self._criteria[..., 0]

    @property
    def bic(self) -> np.ndarray:
        """The Bayesian information criterion, `[...]`; see `Record.criteria`."""
        return self._criteria[..., 1]

    @cached_property
    def _criteria(self) -> np.ndarray:
        found = [self.record(index).criteria for index in np.ndindex(self._shape)]
        return np.array(found).reshape(*self._shape, 2)

    @property
    def best(self) -> tuple[int, ...]:
        """Index of the member of the smallest loss, a success among equals.

        Raises:
            IndexError: If the batch has no members.
        """
        if not np.size(self.loss):
            raise IndexError("The batch has no members: there is no best one.")
        flat = best_of(np.ravel(self.loss), np.ravel(self.result))
        return tuple(int(i) for i in np.unravel_index(flat, self._shape))

    def member(self, index: int | tuple[int, ...]) -> Fit:
        """Returns one member of a batch as a fit of its own.

        Args:
            index: Index of the member.

        Raises:
            IndexError: If there is no such member.
        """
        at = self._index(index)
        asked = self.known()
        own = tf.nest.map_structure(lambda x: x[at], tuple(self)[:-1])
        history = self.history
        if history is not None:
            loss, levels = history.loss[at], history.eigenvalues[at]
            history = history._replace(loss=loss, eigenvalues=levels)
        tolerance = asked.tolerance
        if np.ndim(tolerance):
            tolerance = np.broadcast_to(np.asarray(tolerance), self._shape)[at]
        p = np.shape(asked.initial)[-1:]
        initial = np.broadcast_to(np.asarray(asked.initial), (*self._shape, *p))[at]
        targets = self.targets[at]
        asked = asked._replace(initial=initial, targets=targets, tolerance=tolerance)
        return Fit.of(Solution._make((*own, history)), asked)

    def record(self, member: Member = None) -> Record:
        """Describes one fit in plain arrays.

        Args:
            member: Its index; the best one by default.

        Raises:
            IndexError: If there is no such member.
        """
        index = self._index(member)
        matrix = self.matrix if isinstance(self.matrix, tuple) else (self.matrix,)
        found = None
        loss = float(np.asarray(self.loss)[index])
        if len(self.question.names) <= MAX_UNKNOWNS and np.isfinite(loss):
            found = self._errors_of(index)
        result = Result(int(np.asarray(self.result)[index]))
        is_open = found is not None and result.is_success
        return Record(
            question=self.question,
            initial=self.start[index],
            targets=self.targets[index],
            parameters=self.all_parameters[index],
            values=self.calculated[index],
            eigenvalues=np.asarray(self.eigenvalues)[index],
            matrices=tuple(np.asarray(A)[index] for A in matrix),
            loss=loss,
            num_steps=int(np.asarray(self.num_steps)[index]),
            result=result,
            uncertainty=found,
            family=int(found.num_undetermined) if found and is_open else 0,
            seconds=self._seconds,
            modes=tuple(X[index] for X in self.modes),
        )

    def _errors_of(self, index: tuple[int, ...]) -> Uncertainty:
        # Of one member alone, unless all are known: a batch has many.
        if not index or "_errors" in self.__dict__:
            return self._errors.member(index)
        r = np.asarray(self.parameters)[index]
        return uncertainty(self.known().problem, r, self.targets[index])

    def _index(self, member: Member) -> tuple[int, ...]:
        if member is None:
            return self.best
        index = member if isinstance(member, tuple) else (member,)
        shape = self._shape
        inside = all(-n <= k < n for k, n in zip(index, shape, strict=False))
        if len(index) != len(shape) or not inside:
            raise IndexError(
                f"`member` must be an index of the batch {list(shape)}, got {member!r}."
            )
        return index

    def report(self, member: Member = None, width: int = 88) -> str:
        """Writes the report that the command line prints.

        Args:
            member: Index of a member; the best one by default.
            width: Columns of the text.
        """
        index = self._index(member)
        return report_text(self.record(index), width, self._position(index))

    def write_report(self, path: str | os.PathLike[str], member: Member = None) -> None:
        """Writes the report to a file; the suffix sets its form.

        Args:
            path: File to write: .txt, .html (a page for browsers), .csv (parameters and
                data, with all digits) or .json (as `to_dict`).
            member: Index of a member; the best one by default.

        Raises:
            ValueError: If the suffix is another one.
        """
        files.write(self.record(member), Path(path))

    def _position(self, index: tuple[int, ...]) -> str:
        if not index:
            return ""
        best = f", the best of {np.size(self.loss)}" if index == self.best else ""
        return f" (member {', '.join(map(str, index))}{best})"

    def __str__(self) -> str:
        return tables.summary(self, self.named) if self._shape else self.report()

    def __repr__(self) -> str:
        return f"<Fit: {tables.in_a_line(self)}>"

    def _repr_html_(self) -> str:
        if self._shape:
            listed = tables.members(self, self.named)
            return html.table(*listed, caption=tables.in_a_line(self))
        return html.fragment(self.record())

    def to_dict(self, member: Member = None) -> dict[str, Any]:
        """Returns what was asked and found as dicts, lists, numbers and text.

        Args:
            member: Index of a member; the best one by default.
        """
        return document(self.record(member))

    def to_frame(self, what: str = "parameters", member: Member = None) -> pd.DataFrame:
        """Makes a table; needs pandas.

        Args:
            what: "parameters" (value, error, start and note of each), "data" (target,
                calculated value, difference and deviation of each) or "members" (a row
                for each member of the batch).
            member: Index of a member; the best one by default.

        Raises:
            ImportError: If pandas is not installed.
            ValueError: If `what` is unknown.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Frames need pandas. Install it with: pip install pandas"
            ) from error
        rows = {"parameters": parameter_rows, "data": data_rows}.get(what)
        if rows is not None:
            return pd.DataFrame(rows(self.record(member)))
        if what != "members":
            raise ValueError(
                f'`what` must be "parameters", "data" or "members", got {what!r}.'
            )
        columns = {
            **{name: np.ravel(x) for name, x in self.named.items()},
            "loss": np.ravel(self.loss),
            "num_steps": np.ravel(self.num_steps),
            "result": [Result(int(code)).name for code in np.ravel(self.result)],
        }
        index = None
        if len(self._shape) == 1:
            index = pd.RangeIndex(self._shape[0], name="member")
        elif self._shape:
            index = pd.MultiIndex.from_product([range(n) for n in self._shape])
        return pd.DataFrame(columns, index=index)

    def plot(self, member: Member = None, axes: Any = None, **options: Any) -> Figure:
        """Draws the picture that suits what was observed; needs matplotlib.

        Args:
            member: Index of a member; the best one by default.
            axes: Axes of matplotlib to draw on; a new figure by default.
            **options: See `eigenfit.plots.picture_of`: `kind`, `title`, `quantity`.

        Example:
            >>> import eigenfit as ef
            >>> fit = ef.Solver(ef.Problem(ef.Symmetric(2))).fit(np.ones(3), [1.0, 2.0])
            >>> diagram, differences = fit.plot(quantity="energy / eV").axes
            >>> diagram.get_ylabel()
            'energy / eV'
        """
        return picture_of(self.record(member), axes, **options)

    def plot_convergence(self, **options: Any) -> Figure:
        """Draws levels and loss against the step; see `eigenfit.plots`.

        Args:
            **options: `tolerance`, `path` and `title` of `plot_convergence`.

        Raises:
            ValueError: If there is no history. Fit with `record_every=1`.
        """
        observed, data = levels_with_targets(self.record())
        targets = self.targets[..., data]
        return plot_convergence(self, targets, indices=observed, **options)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all numbers and names to a file that `eigenfit.load` reads.

        The problem itself is not kept: a loaded fit reports and draws as this one, and
        can be the start of another, but no new derivatives can be computed from it.

        Args:
            path: File to write, replaced if it exists.
        """
        matrices = self.matrix if isinstance(self.matrix, tuple) else (self.matrix,)
        arrays = {name: np.asarray(getattr(self, name)) for name in _ARRAYS}
        arrays |= {f"matrix{k}": np.asarray(A) for k, A in enumerate(matrices)}
        arrays |= {f"modes{k}": X for k, X in enumerate(self.modes)}
        if self.history is not None:
            arrays |= {
                f"history.{name}": np.asarray(x)
                for name, x in self.history._asdict().items()
            }
        few = len(self.question.names) <= MAX_UNKNOWNS
        errors = self._errors if few and np.size(self.loss) else None
        text = {"seconds": self._seconds, "several": isinstance(self.matrix, tuple)}
        storage.write(path, arrays, self.question, errors, text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Fit:
        """Reads a fit that was saved.

        Args:
            path: File of `Fit.save`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is of another kind, of a later format, or damaged.
        """
        arrays, question, errors, text = storage.read(path)
        try:
            matrices = [
                tf.constant(arrays[f"matrix{k}"]) for k in range(len(question.labels))
            ]
            history = None
            if "history.steps" in arrays:
                names = History._fields
                history = History(*(tf.constant(arrays[f"history.{x}"]) for x in names))
            fit = cls(
                matrix=tuple(matrices) if text["several"] else matrices[0],
                history=history,
                **{name: tf.constant(arrays[name]) for name in _TENSORS},
            )
            known: dict[str, Any] = {
                name: arrays[name] for name in _ARRAYS if name not in _TENSORS
            }
            shapes = range(len(matrices) if "modes0" in arrays else 0)
            known["modes"] = tuple(arrays[f"modes{k}"] for k in shapes)
        except KeyError as error:
            raise ValueError(
                f"{path} is damaged: no {error}. Save the fit again."
            ) from None
        fit.__dict__ |= {**known, "question": question, "_seconds": text["seconds"]}
        if errors is not None:
            fit.__dict__["_errors"] = errors
        return fit


_TENSORS = ("parameters", "eigenvalues", "loss", "num_steps", "result")
_ARRAYS = (*_TENSORS, "start", "targets", "calculated", "all_parameters")
