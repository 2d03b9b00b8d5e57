"""Solves batches of rows, for both engines.

A row gets the same answer whatever the engine, and wherever its batch begins.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from eigenfit_serving.batch.answers.output import (
    INVALID,
    WORKER_DIED,
    Answers,
    build_answers,
    output_schema,
)
from eigenfit_serving.batch.settings import Settings
from eigenfit_serving.batch.solving.choosing import Chosen, best
from eigenfit_serving.batch.solving.fitting import Fits, Fitter, Members
from eigenfit_serving.batch.solving.seeds import start_seeds
from eigenfit_serving.batch.solving.telling_apart import all_distinct
from eigenfit_serving.batch.tables.values import Rows, rows_of

if TYPE_CHECKING:
    import pyarrow as pa


class Kernel:
    """Solves the rows of batches.

    Args:
        fitter: The loaded model.
        settings: How rows are solved.
        worker: Name of the worker, for the answers.
    """

    def __init__(self, fitter: Fitter, settings: Settings, worker: str = "") -> None:
        self._fitter, self._settings, self._worker = fitter, settings, worker

    @property
    def rows_per_batch(self) -> int:
        """Number of rows whose fits fill a call of the model."""
        return max(1, self._fitter.batch_size // self._settings.members)

    def schema(self, id_type: pa.DataType) -> pa.Schema:
        """Returns the columns of the answers."""
        several = self._settings.starts is not None
        return output_schema(id_type, self._fitter.facts, several)

    def solve(
        self, batch: pa.RecordBatch, first: int, give_up: bool = False
    ) -> Answers:
        """Solves the rows of a batch.

        Args:
            batch: Rows, as `eigenfit_serving.batch.tables.columns.rows_schema` says.
            first: Index of its first row in the whole input.
            give_up: Whether to solve nothing and give every row the code of rows that
                killed their workers.

        Returns:
            The answers in the order of the rows.
        """
        began = time.perf_counter()
        rows = rows_of(batch, self._fitter.facts, self._settings)
        found, texts = rows.complaints, None
        if give_up:
            found.bad[:] = True
            found.texts[:] = "the process died each time that it worked on this row"
        chosen, fits = self._solved(rows, np.flatnonzero(~found.bad), first)
        self._explain_refusals(rows, chosen.row[fits.result == INVALID], first)
        if found.bad.any():
            texts = found.texts.tolist()
            keep = fits.result != INVALID
            chosen = Chosen(*(x[keep] for x in chosen))
            fits = Fits(*(x[keep] for x in fits))
        return build_answers(
            self.schema(rows.ids.type),
            rows.ids,
            first,
            chosen,
            fits,
            texts,
            WORKER_DIED if give_up else INVALID,
            self._worker,
            (time.perf_counter() - began) / max(batch.num_rows, 1),
        )

    def _solved(self, rows: Rows, good: np.ndarray, first: int) -> tuple[Chosen, Fits]:
        # The solutions to keep of the good rows.
        settings = self._settings
        members = self._members(rows, good, first)
        fits = self._fitter.fit(members)
        if settings.starts is None:
            number = np.arange(len(good))
            return Chosen(good, 0 * number, 0 * number, 0 * number + 1), fits
        shape = [len(good), settings.starts]
        if settings.keep == "all":
            fits, chosen = all_distinct(self._fitter, members, fits, settings.starts)
        else:
            chosen = best(fits.loss.reshape(shape), fits.result.reshape(shape))
        by_row = Fits(*(x.reshape(*shape, *x.shape[1:]) for x in fits))
        kept = Fits(*(x[chosen.row, chosen.start] for x in by_row))
        return chosen._replace(row=good[chosen.row]), kept

    def _members(self, rows: Rows, good: np.ndarray, first: int) -> Members:
        # The row's own start comes first, then those of the model; others are drawn.
        k = self._settings.members
        seeds = start_seeds(self._settings.seed, first + good, k)
        initial, has_initial = self._starts(rows, good)
        everything = len(good) == len(rows.targets)

        def repeated(x: np.ndarray) -> np.ndarray:
            x = x if everything else x[good]
            return x if k == 1 else np.repeat(x, k, axis=0)

        return Members(
            targets=repeated(rows.targets),
            initial=initial,
            has_initial=has_initial.ravel(),
            seeds=seeds.ravel(),
            tolerance=repeated(rows.tolerance),
            max_steps=repeated(rows.max_steps),
            weights=None if rows.weights is None else repeated(rows.weights),
        )

    def _starts(
        self, rows: Rows, good: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray]:
        # The start of each member, [b * k, p], and whether it has one, [b, k].
        k, facts = self._settings.members, self._fitter.facts
        known = np.array(facts.start.get("parameters", []))
        known = known.reshape(-1, facts.parameters)
        own = rows.has_initial[good]
        if rows.initial is None and not len(known):
            return None, np.zeros([len(good), k], bool)
        given = np.zeros([len(good), 1 + len(known), facts.parameters])
        if rows.initial is not None:
            given[:, 0] = rows.initial[good]
        given[:, 1:] = known
        # A row without its own start begins with those of the model.
        place = np.arange(k) + ~own[:, np.newaxis]
        has_initial = place <= len(known)
        index = np.minimum(place, len(known))[:, :, np.newaxis]
        initial = np.take_along_axis(given, index, axis=1)
        return initial.reshape(-1, facts.parameters), has_initial

    def _explain_refusals(self, rows: Rows, refused: np.ndarray, first: int) -> None:
        # Rows whose columns are right, but which the model refuses.
        if not refused.size:
            return
        falls = np.zeros(len(rows.targets), bool)
        falls[refused] = (np.diff(rows.targets[refused], axis=1) < 0).any(axis=1)
        rows.complaints.add(falls, "`targets` do not ascend")
        # Whether their targets are to blame: try these alone, without their starts.
        index = np.arange(len(refused)) * self._settings.members
        members = self._members(rows, refused, first).take(index)
        members = members._replace(
            has_initial=np.zeros(len(refused), bool), max_steps=0 * members.max_steps
        )
        wrong = self._fitter.fit(members).result == INVALID
        for mask, text in (
            (wrong, "`targets` are none that this model can have"),
            (
                ~wrong,
                "`initial` is none that this model can start from: it lies outside its "
                "bounds, or is too large",
            ),
        ):
            whole = np.zeros(len(rows.targets), bool)
            whole[refused[mask]] = True
            rows.complaints.add(whole, text)
