"""Parameters that are the same after a period."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.searches.distinct import freedom_of
from eigenfit.searches.starts import natural_starts
from eigenfit_export.starts import Start
from eigenfit_serving.problem_file.start import drawn

RNG = np.random.default_rng


def mixed(r):
    """Two levels, -t cos(phi) and t, that a sine and a constant couple."""
    t, c, s = r[..., 0], tf.cos(r[..., 1]), tf.sin(r[..., 1])
    z = tf.zeros_like(t)
    rows = [[t * c, s, z + 0.3], [s, z, t], [z + 0.3, t, -t * c]]
    return tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)


def solver(period=2 * np.pi, **known):
    parameters = ef.Parameters(["t", "phi"], period={"phi": period}, **known)
    problem = ef.Problem(ef.Parametric(mixed, 3, 2), parameters=parameters)
    return ef.Solver(problem, ef.LevenbergMarquardt())


TARGETS = np.linalg.eigvalsh(mixed(tf.constant([1.2, 0.7], tf.float64)).numpy())


def test_copies_by_a_period_count_once():
    turns = 2 * np.pi * np.arange(-3, 4)
    starts = np.stack([np.full(7, 1.25), 0.75 + turns], axis=1)
    found = ef.multistart(solver(), TARGETS, starts)
    assert found.counts.tolist() == [7]
    np.testing.assert_allclose(found.parameters, [[1.2, 0.7]], atol=1e-9)
    plain = ef.Problem(ef.Parametric(mixed, 3, 2))
    without = ef.Solver(plain, ef.LevenbergMarquardt())
    assert len(ef.multistart(without, TARGETS, starts).counts) == 7


def test_the_ends_of_a_period_are_one_point():
    freedom = freedom_of(solver().problem)
    near = np.array([[1.0, np.pi - 1e-12], [1.0, np.pi + 1e-12], [1.0, -7.0]])
    np.testing.assert_allclose(
        freedom.canonical(near)[:, 1],
        [np.pi, -np.pi, -7.0 + 2 * np.pi],
        atol=1e-11,
    )
    np.testing.assert_allclose(freedom.difference(near[0], near[1])[1], 0, atol=1e-11)


def test_bounds_choose_the_period():
    inside = freedom_of(solver(bounds={"phi": (0.0, None)}).problem)
    point = np.array([[1.0, 8.0]])
    np.testing.assert_allclose(inside.canonical(point), [[1.0, 8.0 - 2 * np.pi]])
    part = freedom_of(solver(bounds={"phi": (3.0, 9.0)}).problem)
    np.testing.assert_array_equal(part.canonical(point), point)


def test_random_starts_fill_a_period():
    drawn = ef.multistart(solver(0.5 * np.pi * 4), TARGETS, 200, max_steps=0).starts
    angle = drawn[:, 1]
    assert (np.abs(angle) <= np.pi).all()
    # Uniform: variance T^2 / 12, to 4 standard errors of about 6 %.
    np.testing.assert_allclose(angle.var(), (2 * np.pi) ** 2 / 12, rtol=0.25)


def test_a_wrong_period_is_told():
    with pytest.raises(ValueError, match="`period` must be that of all levels"):
        ef.multistart(solver(1.0), TARGETS, [[1.2, 0.7], [1.25, 0.72]])


@pytest.mark.parametrize(
    ("known", "error", "message"),
    [
        ({"period": {"x": 1.0}}, ValueError, "`period` names 'x'"),
        ({"period": {"r0": 0.0}}, ValueError, r"`period\['r0'\]` must be positive"),
        ({"period": 6.28}, TypeError, "`period` must be a mapping"),
        (
            {"period": {"r0": 1.0}, "fixed": {"r0": 1.0}},
            ValueError,
            "which is fixed or tied",
        ),
        (
            {"period": {"r0": 1.0}, "prior": {"r0": (0.0, 1.0)}},
            ValueError,
            "both a `prior` and a `period`",
        ),
    ],
)
def test_misuse_is_told(known, error, message):
    with pytest.raises(error, match=message):
        ef.Parameters(**known).resolve(2)


@pytest.mark.parametrize("bounds", [None, {"phi": (0.0, 9.0)}])
def test_the_draw_of_periodic_unknowns_is_named(bounds):
    problem = solver(bounds=bounds).problem
    start = Start().described(problem)
    assert start.get("periodic", []) == ([] if bounds else ["phi"])
    assert ("phi uniform over a period" in drawn(start)) == (bounds is None)
    starts = natural_starts(problem, np.ones(problem.num_targets), 2000, RNG(0))
    phi = starts[:, problem.parameter_names.index("phi")]
    spread = np.array([-np.pi, np.pi]) if bounds is None else np.array([0.0, 9.0])
    np.testing.assert_allclose([phi.min(), phi.max()], spread, atol=0.02)
    np.testing.assert_allclose(phi.std(), np.ptp(spread) / np.sqrt(12), rtol=0.05)
