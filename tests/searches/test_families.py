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


@pytest.mark.sample(4)
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


@pytest.mark.sample(3)
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


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["a", "b", "c", None])
def test_a_prior_or_a_block_makes_no_family_of_a_point(rng, name):
    """Where the levels coincide the loss is 2 sum (x - x0)^2 / sigma^2, exactly."""
    levels, prior = ef.Levels(sigma=0.1), None
    if name is not None:
        prior = {name: (1.0 if name == "a" else 0.0, 0.5)}
    parameters = ef.Parameters(["a", "b", "c"], prior=prior)
    problem = ef.Problem([ef.Block(DOUBLET, levels)], parameters=parameters)
    found = ef.multistart(ef.Solver(problem), [1.0, 1.0], rng.uniform(-1, 2, [6, 3]))
    np.testing.assert_array_equal(found.family_dimension, [0])
    np.testing.assert_allclose(found.parameters, [[1, 0, 0]], atol=1e-6)
    errors = ef.uncertainty(problem, [1.0, 0.0, 0.0], [1.0, 1.0]).standard_errors
    known = 200 + np.array([4.0 * (k == name) for k in "abc"])
    np.testing.assert_allclose(errors, known**-0.5, rtol=1e-6)


@pytest.mark.parametrize("width", [1.0, 0.02, 1e-3])
def test_a_family_is_seen_in_a_narrow_box_and_on_a_bound(rng, width):
    """Level 0 is a + b, with a in [0, width]."""
    structure = ef.Affine([np.diag([1.0, 0])] * 2, offset=np.diag([0.0, 10.0]))
    parameters = ef.Parameters(["a", "b"], bounds={"a": (0.0, width)})
    problem = ef.Problem(structure, ef.Levels([0]), parameters=parameters)
    starts = np.array([[0.4 * width, -1.0], [0.6 * width, -0.9], [0.0, -1.0]])
    found = ef.multistart(ef.Solver(problem), [-1.0], starts)
    np.testing.assert_array_equal(found.family_dimension, [1])
    assert found.counts.sum() == 3


@pytest.mark.parametrize("stiff", [10.0, 1e5, 1e8, 1e12])
def test_a_family_is_seen_beside_a_stiff_level(rng, stiff):
    basis = np.zeros([3, 3, 3])
    basis[0, 0, 0] = basis[1, 1, 1] = basis[2, 0, 1] = basis[2, 1, 0] = 1
    Q = np.linalg.qr(rng.normal(size=[3, 3]))[0]
    structure = ef.Affine(Q @ basis @ Q.T, Q @ np.diag([0.0, 1.0, stiff]) @ Q.T)
    solver = ef.Solver(ef.Problem(structure, ef.Levels([0, 1])))
    found = ef.multistart(solver, [-0.3, 1.4], 0.3 * rng.normal(size=[12, 3]))
    np.testing.assert_array_equal(found.family_dimension, [1])
