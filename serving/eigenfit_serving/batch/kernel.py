"""Rows in, rows out: what both engines do with a batch.

Whatever engine calls it and wherever a batch begins, a row gets the same answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from eigenfit_serving.batch.choosing import Chosen, best, distinct
from eigenfit_serving.batch.fitting import Fits, Fitter, Members
from eigenfit_serving.batch.output import (
    CONVERGED,
    INVALID,
    WORKER_DIED,
    Answers,
    build_answers,
    output_schema,
)
from eigenfit_serving.batch.seeds import start_seeds
from eigenfit_serving.batch.settings import Settings
from eigenfit_serving.batch.values import Rows, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

_POLISH_STEPS = 20
"""Steps that bring converged fits nearer to their solution, to tell them apart."""


class Kernel:
    """Solves the rows of batches.

    Args:
        fitter: Has the models.
        settings: How rows are solved.
        weights: Of the models but the first.
        worker: Its name, for the answers.
    """

    def __init__(
        self,
        fitter: Fitter,
        settings: Settings,
        weights: tuple[tuple[float, ...], ...] = (),
        worker: str = "",
    ) -> None:
        self._fitter, self._settings = fitter, settings
        self._weights, self._worker = weights, worker

    @property
    def rows_per_batch(self) -> int:
        """Rows whose fits fill a call of the model."""
        return max(1, self._fitter.batch_size // self._settings.members)

    def schema(self, id_type: pa.DataType) -> pa.Schema:
        """Gives the columns of the answers."""
        several = self._settings.starts is not None
        return output_schema(id_type, self._fitter.facts, several)

    def solve(
        self, batch: pa.RecordBatch, first: int, give_up: bool = False
    ) -> Answers:
        """Solves the rows of a batch.

        Args:
            batch: With columns that `check_columns` has found right.
            first: Number of its first row in the whole input.
            give_up: Gives every row the code of rows that killed their workers.

        Returns:
            The answers, row after row.
        """
        began = time.perf_counter()
        rows = rows_of(batch, self._fitter.facts, self._settings, self._weights)
        texts = None
        if give_up:
            text = "the process died each time that it worked on this row"
            chosen, fits = self._solved(rows, np.zeros(0, int), first)
            texts = [text] * batch.num_rows
        else:
            good = np.flatnonzero(~rows.complaints.bad)
            chosen, fits = self._solved(rows, good, first)
            _explain_refusals(rows, chosen.row[fits.result == INVALID])
            if rows.complaints.bad.any():
                texts = rows.complaints.texts()
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
        # What is kept of the good rows.
        settings = self._settings
        members = self._members(rows, good, first)
        fits = self._fitter.fit(members)
        if settings.starts is None:
            number = np.arange(len(good))
            return Chosen(good, 0 * number, 0 * number, 0 * number + 1), fits
        keeps_all = settings.keep == "all"
        if keeps_all:
            fits = self._polished(members, fits)
        shape = [len(good), settings.starts]
        by_row = Fits(*(x.reshape(*shape, *x.shape[1:]) for x in fits))
        if keeps_all:
            chosen = distinct(by_row.parameters, by_row.loss, by_row.result)
        else:
            chosen = best(by_row.loss, by_row.result)
        kept = Fits(*(x[chosen.row, chosen.start] for x in by_row))
        return chosen._replace(row=good[chosen.row]), kept

    def _members(self, rows: Rows, good: np.ndarray, first: int) -> Members:
        # A start that is given is the first of its row; the others are drawn.
        k = self._settings.members
        seeds = start_seeds(self._settings.seed, first + good, k)
        has_initial = np.zeros([len(good), k], bool)
        has_initial[:, 0] = rows.has_initial[good]
        everything = len(good) == len(rows.targets)

        def repeated(x: np.ndarray) -> np.ndarray:
            x = x if everything else x[good]
            return x if k == 1 else np.repeat(x, k, axis=0)

        return Members(
            targets=repeated(rows.targets),
            initial=None if rows.initial is None else repeated(rows.initial),
            has_initial=has_initial.ravel(),
            seeds=seeds.ravel(),
            tolerance=repeated(rows.tolerance),
            max_steps=repeated(rows.max_steps),
            weights=repeated(rows.weights),
        )

    def _polished(self, members: Members, fits: Fits) -> Fits:
        # Where below the tolerance a fit ended must not tell solutions apart.
        converged = fits.result == CONVERGED
        index = np.flatnonzero(converged)
        if not index.size:
            return fits
        numbers = np.finfo(fits.loss.dtype)
        limit = min(_POLISH_STEPS, self._fitter.facts.max_steps_limit)
        finer = members.take(index)._replace(
            initial=fits.parameters[index],
            has_initial=np.ones(len(index), bool),
            tolerance=np.maximum(members.tolerance[index] * numbers.eps, numbers.tiny),
            max_steps=np.full(len(index), limit, np.int32),
        )
        new = self._fitter.fit(finer)
        better = new.loss < fits.loss[index]
        index = index[better]
        fits.parameters[index] = new.parameters[better]
        fits.eigenvalues[index] = new.eigenvalues[better]
        fits.loss[index] = new.loss[better]
        return fits


def _explain_refusals(rows: Rows, refused: np.ndarray) -> None:
    # What is right for its columns, but not for the model.
    if not refused.size:
        return
    mask = np.zeros(len(rows.targets), bool)
    mask[refused] = True
    falls = (np.diff(rows.targets, axis=1) < 0).any(axis=1)
    rows.complaints.add(mask & falls, "`targets` do not ascend")
    rows.complaints.add(mask & rows.has_initial, "`initial` is outside its bounds")
    rows.complaints.add(mask, "`targets` are none that this model can have")
