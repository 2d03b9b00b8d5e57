"""Targets that can be met are never called impossible, whatever the bounds."""

import re

import numpy as np
import pytest

import eigenfit as ef
from eigenfit.analysis.boxes import least_in_box
from eigenfit.analysis.feasibility import find


def chain(springs):
    """Blocks of a chain between walls, whole and with its last mass clamped."""
    n = springs - 1
    basis = np.zeros([springs, n, n])
    for k in range(springs):
        ends = [i for i in (k - 1, k) if 0 <= i < n]
        basis[k][np.ix_(ends, ends)] = 2 * np.eye(len(ends)) - 1
    return basis, basis[:, :-1, :-1]


@pytest.mark.parametrize("bounds", [(0, None), (0, 100), (None, None), (None, 40)])
def test_sums_of_several_blocks_that_can_be_met_are_not_excluded(bounds):
    for stiffness in ([1, 1, 1], [1, 2, 2, 3], [30, 1, 10], [10, 10, 1, 1]):
        bases = chain(len(stiffness))
        names = [f"k{k}" for k in range(len(stiffness))]
        problem = ef.Problem(
            [ef.Block(ef.Affine(basis)) for basis in bases],
            parameters=ef.Parameters(names, bounds=bounds),
        )
        levels = [np.linalg.eigvalsh(np.tensordot(stiffness, B, 1)) for B in bases]
        found = find(problem, np.concatenate(levels), np.ones(len(stiffness)))
        assert not [x.text for x in found if x.severity == "impossible"]


def test_bounds_on_what_can_be_met_are_below_what_is_met(rng):
    """Against points inside the box, with open and closed sides."""
    for _ in range(300):
        rows, p = rng.integers(1, 4), rng.integers(1, 6)
        A = rng.normal(size=[rows, p]) * 10.0 ** rng.integers(-3, 4, size=p)
        low = np.where(rng.random(p) < 0.5, -np.inf, rng.normal(size=p))
        high = np.where(np.isfinite(low), low + 1, rng.normal(size=p))
        high = np.where(rng.random(p) < 0.5, np.inf, high)
        inside = np.clip(rng.normal(size=p), low, high)
        outside = rng.random() < 0.5
        b = A @ inside + outside * rng.normal(size=rows)
        least, missed = least_in_box(A, b, low, high)
        size = np.linalg.norm(b) + np.linalg.norm(A) * np.linalg.norm(inside)
        assert least <= np.linalg.norm(missed) + 1e-9 * size
        assert outside or least <= 1e-9 * size


def test_a_bound_that_is_broken_is_seen_beside_traces_that_depend_on_each_other():
    """Two traces, x + 3 and x + 5 for instance, with targets half a sigma apart."""
    blocks = [ef.Block(ef.Affine([np.eye(2)]), ef.Levels(sigma=0.1)) for _ in range(2)]
    known = ef.Parameters(["x"], bounds=(0.0, 1.0))
    problem = ef.Problem(blocks, parameters=known)
    for targets in ([4.9, 5.1, 4.9, 5.1], [4.9, 5.1, 4.9, 5.15]):
        (found,) = [
            x for x in find(problem, np.array(targets), [0.5]) if x.severity != "note"
        ]
        assert found.severity == "impossible"
        assert "cannot have the sums of their targets together" in found.text


@pytest.mark.parametrize(
    ("frequencies", "raised", "sigma"),
    [([1.0, 2.0], 100.0, 1.0), ([1.0, 1.2], 1.5625, 0.05), ([1.0, 3.0], 1.2, 0.01)],
)
def test_the_cost_of_frequencies_far_from_their_targets(frequencies, raised, sigma):
    """A trace of `raised` times what the targets sum to, and a free coupling."""
    targets = np.array(frequencies)
    diagonal = np.diag((2 * np.pi * targets) ** 2 * raised)
    coupling = np.eye(2)[::-1]
    problem = ef.Problem(
        ef.Affine([coupling], offset=diagonal), ef.Frequencies(sigma=sigma)
    )
    steps = np.linspace(0, np.sqrt(np.prod(np.diag(diagonal))), 20001)
    levels = np.linalg.eigvalsh(diagonal + steps[:, None, None] * coupling)
    found = np.sqrt(np.maximum(levels, 0)) / (2 * np.pi)
    least = (((found - targets) / sigma) ** 2).sum(axis=1).min()
    told = [text.text for text in find(problem, targets, [0.1]) if "below" in text.text]
    assert told
    for text in told:
        bound = float(re.search(r"cannot fall below ([\d.e+]+\d)", text)[1])
        assert 0.3 * least < bound <= 1.001 * least


def test_frequencies_of_zero_are_not_known_more_sharply_than_their_errors():
    """Two frequencies recorded as 0 with an error of .5, beside a sharp line of 10."""
    offset = (2 * np.pi) ** 2 * np.diag([0.25, 0.25, 100.0])
    coupling = np.zeros([3, 3])
    coupling[0, 1] = coupling[1, 0] = 1
    observed = ef.Frequencies(sigma=[0.5, 0.5, 0.001])
    problem = ef.Problem(ef.Affine([coupling], offset=offset), observed)
    targets = [0.0, 0.0, 10.0]
    fit = ef.Solver(problem).fit([0.1], targets)
    np.testing.assert_allclose(fit.loss, 2.0, rtol=1e-6)
    assert not [x for x in find(problem, targets, [0.1]) if x.severity == "impossible"]
