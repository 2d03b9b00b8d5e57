"""The dimension of the continuum of answers, against what is known of it.

Of all matrices with a spectrum it is that of the group O(n) or U(n) less those of the
blocks of equal levels.
"""

import numpy as np
import pytest

import eigenfit as ef

X, Z = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([1.0, -1.0])
# Levels e +- |(a, b)|.
DOUBLET = ef.Affine([np.eye(2), X, Z])
SPIN = np.sqrt(0.5) * np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
# A spin 1 in a field.
FIELD = ef.Affine(
    [np.eye(3), SPIN, np.triu(SPIN) / 1j - np.tril(SPIN) / 1j, np.diag([1.0, 0, -1])]
)


@pytest.mark.parametrize("method", ["auto", "alternating"])
@pytest.mark.parametrize(
    ("structure", "targets", "dimension"),
    [
        (ef.Symmetric(3), [1, 2, 3], 3),
        (ef.Symmetric(3), [1, 1, 2], 2),
        (ef.Symmetric(3), [1, 2, 2], 2),
        (ef.Symmetric(3), [1, 1, 1], 0),
        (ef.Symmetric(4), [1, 1, 2, 2], 4),
        (ef.Hermitian(3), [1, 1, 2], 4),
        (ef.Hermitian(2), [1, 1], 0),
        (DOUBLET, [1, 1], 0),
        (FIELD, [1, 1, 1], 0),
        (FIELD, [0, 1, 2], 2),
    ],
    ids=str,
)
def test_dimension_with_equal_levels(rng, structure, targets, dimension, method):
    solver = ef.Solver(ef.Problem(structure), method)
    starts = rng.uniform(-1, 3, [8, structure.num_parameters])
    found = ef.multistart(solver, np.array(targets, float), starts=starts)
    np.testing.assert_array_equal(found.result, ef.Result.converged)
    np.testing.assert_array_equal(found.family_dimension, [dimension])
    assert found.counts.sum() == 8


@pytest.mark.parametrize("sigma", [None, 0.01])
@pytest.mark.parametrize("split", [1.0, 0.1, 1e-2, 1e-5, 1e-7])
@pytest.mark.parametrize("unit", [1.0, 1e8])
def test_a_close_pair_has_a_small_circle_of_answers(rng, split, sigma, unit):
    levels = ef.Levels(sigma=sigma and sigma * split * unit)
    solver = ef.Solver(ef.Problem(DOUBLET, levels))
    starts = unit * rng.uniform(-1, 3, [10, 3])
    found = ef.multistart(solver, unit * np.array([1, 1 + split]), starts=starts)
    np.testing.assert_array_equal(found.family_dimension, [1])
    radius = np.hypot(*found.parameters[0, 1:])
    np.testing.assert_allclose(radius, unit * split / 2, rtol=1e-8 / split)
