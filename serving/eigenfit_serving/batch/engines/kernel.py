"""Solves batches of rows, for both engines.

A row gets the same answer whatever the engine, and wherever its batch begins.
"""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from eigenfit_serving.batch.answers.output import (
    WORKER_DIED,
    Answers,
    build_answers,
    output_schema,
)
from eigenfit_serving.batch.settings import Settings
from eigenfit_serving.batch.solving.choosing import Chosen, all_distinct, best
from eigenfit_serving.batch.solving.fitting import Fits, Fitter
from eigenfit_serving.batch.tables.values import Complaints, Members, rows_of
from eigenfit_serving.protocol.result_codes import Result


class Kernel:
    """Solves the rows of batches; answers have the name of the `worker`."""

    def __init__(self, fitter: Fitter, settings: Settings, worker: str = "") -> None:
        self._fitter, self._settings, self._worker = fitter, settings, worker
        # The rows whose fits fill a call of the model.
        self.rows_per_batch = max(1, fitter.batch_size // settings.members)

    def solve(
        self, batch: pa.RecordBatch, first: int, give_up: bool = False
    ) -> Answers:
        """Solves the rows of a batch, and returns answers in their order.

        Args:
            batch: Rows, as `tables.columns.rows_schema` says.
            first: Index of its first row in the whole input.
            give_up: Whether to solve nothing and give every row the code of rows that
                killed their workers.
        """
        began = time.perf_counter()
        facts, settings = self._fitter.facts, self._settings
        rows, found = rows_of(batch, facts, settings)
        if give_up:
            found.bad[:] = True
            found.texts[:] = "the process died each time that it worked on this row"
        chosen, fits = self._solved(rows, np.flatnonzero(~found.bad), first)
        refused = fits.result == Result.invalid_input
        if refused.any():
            self._explain(rows, chosen.row[refused], found)
            chosen = Chosen(*(x[~refused] for x in chosen))
            fits = Fits(*(x[~refused] for x in fits))
        ids = batch.column("id")
        return build_answers(
            output_schema(ids.type, facts, settings.starts is not None),
            ids,
            first,
            chosen,
            fits,
            found.texts,
            WORKER_DIED if give_up else Result.invalid_input,
            self._worker,
            (time.perf_counter() - began) / max(batch.num_rows, 1),
        )

    def _solved(
        self, rows: Members, good: np.ndarray, first: int
    ) -> tuple[Chosen, Fits]:
        # The solutions to keep of the good rows.
        settings = self._settings
        members = self._members(rows, good, first)
        fits = self._fitter.fit(members)
        if settings.starts is None:
            zeros = np.zeros_like(good)
            return Chosen(good, zeros, zeros, zeros + 1), fits
        shape = [len(good), settings.starts]
        if settings.keep == "all":
            chosen = all_distinct(self._fitter, members, fits, settings.starts)
        else:
            chosen = best(fits.loss.reshape(shape), fits.result.reshape(shape))
        index = chosen.row * settings.starts + chosen.start
        return chosen._replace(row=good[chosen.row]), Fits(*(x[index] for x in fits))

    def _members(self, rows: Members, good: np.ndarray, first: int) -> Members:
        # The fits of rows, those of one row after the other.
        k = self._settings.members
        initial, has_initial = self._starts(rows, good)
        if k > 1 or len(good) < len(rows.targets):
            rows = rows.take(np.repeat(good, k))
        has_initial, seeds = has_initial.ravel(), rows.seeds
        if not has_initial.all():
            seeds = start_seeds(self._settings.seed, first + good, k).ravel()
        return rows._replace(initial=initial, has_initial=has_initial, seeds=seeds)

    def _starts(
        self, rows: Members, good: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray]:
        # The start of each member, [b * k, p], and whether it has one, [b, k]: the
        # row's own comes first, then those of the model; others are drawn.
        k, facts = self._settings.members, self._fitter.facts
        known = np.array(facts.start.get("parameters", []))
        known = known.reshape(-1, facts.parameters)
        if rows.initial is None and not len(known):
            return None, np.zeros([len(good), k], bool)
        if k == 1 and not len(known) and len(good) == len(rows.targets):
            return rows.initial, rows.has_initial
        given = np.zeros([len(good), 1 + len(known), facts.parameters])
        if rows.initial is not None:
            given[:, 0] = rows.initial[good]
        given[:, 1:] = known
        # A row without its own start begins with those of the model.
        place = np.arange(k) + ~rows.has_initial[good, np.newaxis]
        index = np.minimum(place, len(known))[:, :, np.newaxis]
        initial = np.take_along_axis(given, index, axis=1)
        return initial.reshape(-1, facts.parameters), place <= len(known)

    def _explain(self, rows: Members, refused: np.ndarray, found: Complaints) -> None:
        # Rows whose columns are right, but which the model refuses.
        def add(wrong: np.ndarray, text: str) -> None:
            found.add(np.isin(np.arange(len(rows.targets)), refused[wrong]), text)

        falls = np.any(np.diff(rows.targets[refused], axis=1) < 0, axis=1)
        add(np.asarray(falls), "`targets` do not ascend")
        # Whether their targets are to blame: try these alone, without their starts.
        none = np.zeros(len(refused), np.int32)
        members = rows.take(refused)
        members = members._replace(has_initial=none.astype(bool), max_steps=none)
        wrong = self._fitter.fit(members).result == Result.invalid_input
        add(wrong, "`targets` are none that this model can have")
        add(
            ~wrong,
            "`initial` is none that this model can start from: it lies outside its "
            "bounds, or is too large",
        )


def start_seeds(seed: int, rows: np.ndarray, members: int) -> np.ndarray:
    """Derives the seeds of starts from that of the run and the indices of their rows.

    They are the same whatever batch, worker or engine computes the row. The mixing
    function is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

    Returns:
        `[b, members]` int32, at least 0. With more starts, the first seeds stay.

    Example:
        >>> start_seeds(0, np.array([5, 6]), 2)[1].tolist() == (
        ...     start_seeds(0, np.array([6]), 3)[0, :2].tolist()
        ... )
        True
    """
    with np.errstate(over="ignore"):
        own = _mixed(np.uint64(seed % 2**64))
        own = _mixed(own + np.asarray(rows).astype(np.uint64))
        mixed = _mixed(own[:, np.newaxis] + np.arange(members, dtype=np.uint64))
    return (mixed >> np.uint64(33)).astype(np.int32)


def _mixed(x: np.ndarray | np.uint64) -> np.ndarray:
    x = np.asarray(x + np.uint64(0x9E3779B97F4A7C15))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
