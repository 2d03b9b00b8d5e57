"""Solutions are listed with the loss that they have, whatever stands for copies."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.searches.distinct import freedom_of

CHAIN = ef.Affine([np.diag([1.0, 0]), np.eye(2)[::-1]], np.diag([0.0, 2.0]))
LEVELS = np.linalg.eigvalsh([[0.5, -0.9], [-0.9, 2.0]])


def turned(r):
    """Levels a and a + 1, whose vectors stand at the angle theta."""
    c, s = tf.cos(r[..., 0]), tf.sin(r[..., 0])
    a, b = r[..., 1], r[..., 1] + 1
    rows = [[a * c * c + b * s * s, (a - b) * c * s]]
    rows.append([(a - b) * c * s, a * s * s + b * c * c])
    return tf.stack([tf.stack(row, -1) for row in rows], -2)


@pytest.mark.sample(1)
@pytest.mark.parametrize("period", [np.pi / 2, np.pi, 2 * np.pi])
def test_shapes_may_tell_the_periods_of_levels_apart(period):
    """Half a turn gives the same shape, a quarter that of the other level.

    By a quarter the matrix changes, but not its levels, if these trade places.
    """
    structure = ef.Parametric(turned, 2, 2)
    known = ef.Parameters(["theta", "a"], period={"theta": period})
    observed = [ef.Levels(sigma=0.01), ef.ModeShapes([0], normalisation="unit")]
    problem = ef.Problem(structure, observations=observed, parameters=known)
    w, V = np.linalg.eigh(structure.assemble(tf.constant([2.0, 2.0], tf.float64)))
    targets = np.concatenate([w + 0.003, V[:, 0]])
    starts = np.array([[1.9, 2.0], [2.1, 2.1]])
    found = ef.multistart(ef.Solver(problem), targets, starts)
    losses = problem.loss(found.parameters, np.tile(targets, [len(found.loss), 1]))
    np.testing.assert_allclose(found.loss, losses, atol=1e-12)
    # An angle of 2 is -1.14 too, if half a turn is a period.
    expected = 2.0 if period != np.pi else 2.0 - np.pi
    np.testing.assert_allclose(found.parameters[0, 0], expected, atol=1e-6)


def test_a_prior_reaches_a_periodic_unknown_by_a_tie():
    known = ef.Parameters(
        ["t", "phi", "psi"],
        period={"phi": 2 * np.pi},
        ties={"psi": ("phi", 1.0)},
        prior=[ef.Prior({"psi": 1.0}, 6.0, 0.1)],
    )
    with pytest.raises(ValueError, match="'phi' has both a `prior` and a `period`"):
        known.resolve(3)
    free = ef.Parameters(["t", "phi", "psi"], period={"t": 1.0}, prior={"psi": (6, 1)})
    assert free.resolve(3).prior is not None


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"prior": {"b": (-1.0, 0.3)}}, r"where it is 40\.61 instead of 0\.09821"),
        ({"bounds": {"b": (-5.0, -0.1)}}, "`symmetries` must not leave the bounds"),
    ],
)
def test_symmetries_keep_the_loss_and_the_bounds(known, message):
    parameters = ef.Parameters(["a", "b"], **known)
    solver = ef.Solver(ef.Problem(CHAIN, ef.Levels(sigma=0.1), parameters=parameters))
    starts = np.array([[0.4, -0.8], [0.6, -1.0]])

    def positive(x):
        return np.stack([x[:, 0], np.abs(x[:, 1])], axis=1)

    with pytest.raises(ValueError, match=message):
        ef.multistart(solver, LEVELS, starts, symmetries=positive)
    negative = ef.multistart(solver, LEVELS, starts, symmetries=lambda x: x.copy())
    assert (negative.parameters[:, 1] < 0).all()


def weakly_coupled(r):
    """Two levels about one apart, with a coupling that changes sign with a period."""
    e, k = r[..., 0], 0.005 * tf.cos(r[..., 1] / 2)
    rows = [[e, k], [k, e + 1]]
    return tf.stack([tf.stack(row, -1) for row in rows], -2)


@pytest.mark.slow  # 300 descents of `deflate`
def test_a_shape_that_hardly_changes_still_tells_periods_apart():
    structure = ef.Parametric(weakly_coupled, 2, 2)
    known = ef.Parameters(["e", "phi"], period={"phi": 2 * np.pi})
    observed = [ef.Levels(sigma=1e-6), ef.ModeShapes([0], sigma=1e-5)]
    problem = ef.Problem(structure, observations=observed, parameters=known)
    r = np.array([0.2, 0.9 + 2 * np.pi])
    w, V = np.linalg.eigh(structure.assemble(tf.constant(r, tf.float64)))
    targets = np.concatenate([w, V[:, 0] / V[0, 0]])
    solver = ef.Solver(problem)
    found = ef.multistart(solver, targets, r + np.array([[1e-3, 0.02], [-1e-3, -0.02]]))
    np.testing.assert_allclose(found.parameters, [r], atol=1e-5)
    more = ef.deflate(solver, r + np.array([1e-3, 0.02]), targets)
    losses = [float(problem.loss(x, targets)) for x in more.parameters]
    np.testing.assert_allclose(losses, 0, atol=1e-12)


def test_shapes_that_a_period_leaves_alone_do_not_count():
    """A second matrix does not depend on the angle; its shape is observed."""
    fixed = ef.Affine([np.diag([1.0, 0.0]), np.zeros([2, 2])], [[0.0, 0.4], [0.4, 1.0]])
    structure = ef.Parametric(weakly_coupled, 2, 2)
    blocks = [ef.Block(structure), ef.Block(fixed, [ef.ModeShapes([0])])]
    known = ef.Parameters(["e", "phi"], period={"phi": 2 * np.pi})
    problem = ef.Problem(blocks, parameters=known)
    assert freedom_of(problem).periods[1] == 2 * np.pi
    told = [ef.Block(structure, [ef.Levels(), ef.ModeShapes([0])])]
    assert freedom_of(ef.Problem(told, parameters=known)).periods[1] == np.inf
