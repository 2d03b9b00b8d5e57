"""Constrained minima by the thousand: fits whose parameters are pulled to given values.

Each pulled parameter is observed as the level of a further 1 x 1 matrix. At the minimum
of `S + w (r_k - mean)^2` all other parameters are at a minimum of S for the value that
r_k reached: however weak the pull is, that point lies on the profile of r_k.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from eigenfit.fits.fit import Fit
from eigenfit.fitting.solver import Solver
from eigenfit.methods import AbstractMethod, choose_method
from eigenfit.observations import Levels
from eigenfit.problem.blocks import Block
from eigenfit.problem.engines import ManyMatrices, Question
from eigenfit.problem.problem import Problem
from eigenfit.problem.terms import Terms
from eigenfit.results import Result
from eigenfit.structures import Affine

_NO_PULL = 1e-20
"""Weight of a pull that a member does not feel, relative to one that it does."""


_ENDLESS = (Result.max_steps, Result.nonfinite, Result.invalid_input)


class PulledFits:
    """Fits of one problem with pulls on some unknowns.

    Args:
        problem: The problem.
        method: What makes the steps.
        indices: Unknowns that may be pulled.
    """

    def __init__(
        self, problem: Problem, method: AbstractMethod, indices: tuple[int, ...]
    ) -> None:
        self.problem = problem
        pulled = _with_pulls(problem, indices)
        if method.is_direct:  # closed forms know no other data
            method = choose_method(pulled)
        self._solver = Solver(pulled, method, compile="graph")
        self._max_steps = method.default_max_steps

    def __call__(
        self,
        initial: np.ndarray,
        targets: np.ndarray,
        means: np.ndarray,
        weights: np.ndarray,
        usual: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fits all members in one batch.

        Args:
            initial: `[b, p]`, inside the bounds.
            targets: `[m]`.
            means: `[b, q]`, to which unknowns are pulled.
            weights: `[b, q]`, of the pulls; 0 for none.
            usual: `[q]`, weights that the pulls of each unknown have where it has one.

        Returns:
            Parameters `[b, p]`, and the loss without the pulls `[b]`, NaN where no
            minimum was found.
        """
        problem, number = self.problem, len(initial)
        dtype = problem.parameter_dtype
        tiny = np.finfo(dtype.as_numpy_dtype).tiny
        weights = np.maximum(weights, np.maximum(_NO_PULL * usual, tiny))
        data = np.broadcast_to(targets, (number, len(targets)))
        own = np.broadcast_to(problem.roots() ** 2, data.shape)
        arguments = [
            tf.constant(initial, dtype),
            tf.constant(np.hstack([data, means]), dtype),
            tf.constant(np.hstack([own, weights]), dtype),
            tf.zeros([number], dtype),
            tf.fill([number], self._max_steps),
        ]
        found = self._solver.programs.weighted_fit.variant("graph")(*arguments)
        parameters, result = found[0], found[-1]
        loss = problem.loss(parameters, data)
        ended = ~np.isin(result, _ENDLESS)
        return np.asarray(parameters), np.where(ended, loss, np.nan)


@functools.lru_cache(maxsize=4)
def _made(
    problem: Problem, method: AbstractMethod, indices: tuple[int, ...]
) -> PulledFits:
    return PulledFits(problem, method, indices)


def pulled_fits(fit: Fit, indices: Sequence[int]) -> PulledFits:
    """Returns the pulled fits of a fit; those used last are kept, being compiled.

    Args:
        fit: A fit that was not loaded from a file.
        indices: Unknowns that may be pulled.
    """
    asked = fit.known()
    return _made(asked.problem, asked.method, tuple(int(k) for k in indices))


def _with_pulls(problem: Problem, indices: tuple[int, ...]) -> Problem:
    """Returns a problem that also observes some of its unknowns."""
    number = problem.structure.num_parameters
    # A single structure that has its ties built in takes the unknowns themselves.
    tied = problem.block_ties.matrix is not None
    names = problem.all_names if tied else problem.parameter_names
    places = [names.index(problem.parameter_names[k]) for k in indices]
    basis = np.zeros([len(places), number, 1, 1])
    basis[np.arange(len(places)), places] = 1
    dtype = problem.parameter_dtype
    labels = tuple(f"pull of {problem.parameter_names[k]}" for k in indices)
    blocks = tuple(
        Block(Affine(own, dtype=dtype), Levels(), label)
        for own, label in zip(basis, labels, strict=True)
    )
    asked = problem.engine.asked
    before = problem.blocks
    terms = asked.terms.extended(Terms(blocks, labels), len(before))
    own = copy.copy(problem)
    own.labels = (*problem.labels, *labels)
    question = Question((*before, *blocks), terms, problem.block_ties, asked.prior)
    own.engine = ManyMatrices(question)
    return own
