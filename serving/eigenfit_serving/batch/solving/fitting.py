"""Calls a model with batches of fixed sizes, whatever the number of fits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit_serving.batch.settings import ModelFacts
from eigenfit_serving.batch.tables.values import Members

_WIDTH = 32
"""The number of members in a call is a multiple of this, a full processor vector.

Members of a remainder would be computed by other instructions, and round differently.
"""


class Fits(NamedTuple):
    """The answers of `b` fits."""

    parameters: np.ndarray  # [b, p]
    eigenvalues: np.ndarray  # [b, N]
    loss: np.ndarray  # [b]
    num_steps: np.ndarray  # [b] int32
    result: np.ndarray  # [b] int32


class Fitter:
    """A model, loaded once, that makes up to `batch_size` fits in one call."""

    def __init__(self, facts: ModelFacts, batch_size: int) -> None:
        import eigenfit_export

        self.facts, self.batch_size = facts, batch_size
        self._model = eigenfit_export.load_model(facts.folder)

    def fit(self, members: Members) -> Fits:
        """Makes fits, in calls of `batch_size` or, at the end, of a power of two.

        These sizes are rounded up to a multiple of 32, so that a fit does not depend on
        them. Calls are padded with copies of their last member that may take no step.
        """
        facts, number = self.facts, len(members.targets)
        whole = Fits(
            np.empty([number, facts.parameters], facts.dtype),
            np.empty([number, facts.levels], facts.dtype),
            np.empty(number, facts.dtype),
            np.empty(number, np.int32),
            np.empty(number, np.int32),
        )
        has_weights = np.zeros(number, bool)
        if members.weights is not None:
            has_weights = ~np.isnan(members.weights).any(axis=1)
        kind = has_weights * 2 + members.has_initial
        for value in range(4):  # a batch seldom has more than one kind
            index = np.flatnonzero(kind == value)
            for k in range(0, len(index), self.batch_size):
                part = index[k : k + self.batch_size]
                contiguous = part[-1] - part[0] + 1 == len(part)
                place = slice(part[0], part[-1] + 1) if contiguous else part
                fits = self._call(members.take(place), value % 2 == 1, value >= 2)
                for full, own in zip(whole, fits, strict=True):
                    full[place] = own
        return whole

    def warm_up(self) -> None:
        """Makes calls whose answers are discarded, so that later ones are fast."""
        facts, size = self.facts, 2
        targets = np.tile(np.arange(1.0, facts.targets + 1), [size, 1])
        initial, none = np.zeros([size, facts.parameters]), np.zeros(size, np.int32)
        has_initial = np.array([False, True])
        self.fit(Members(targets, initial, has_initial, none, np.ones(size), none))

    def _call(self, members: Members, has_initial: bool, has_weights: bool) -> Fits:
        number = len(members.targets)
        size = max(_WIDTH, 1 << (number - 1).bit_length())
        size = min(size, -(-max(self.batch_size, number) // _WIDTH) * _WIDTH)
        members = members.padded(size)
        others = {
            "tolerance": members.tolerance,
            "max_steps": members.max_steps,
            "weights": members.weights if has_weights else None,
        }
        if has_initial:
            solution = self._model.fit(members.initial, members.targets, **others)
        else:
            _, solution = self._model.fit_from_random(
                members.seeds, members.targets, **others
            )
        return Fits(*(getattr(solution, x).numpy()[:number] for x in Fits._fields))
