"""Misuse raises at once and names argument, value and remedy."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.methods import METHODS, name_of

T = [1.0, 1.0, 1.0]
R = np.zeros(6)


@pytest.fixture(scope="module")
def solver():
    return ef.Solver(ef.Problem(ef.Symmetric(3)))


@pytest.mark.parametrize(
    ("initial", "targets", "options", "error", "message"),
    [
        (np.zeros(5), T, {}, ValueError, r"`initial` .* \[..., 6\], got \[5\].*Symm"),
        (0.0, T, {}, ValueError, r"`initial` must have shape \[..., 6\], got \[\]"),
        (np.zeros([6, 2]), T, {}, ValueError, r"`initial` .* got \[6, 2\]"),
        (["a"] * 6, T, {}, TypeError, "`initial` must be real numbers"),
        (None, T, {}, TypeError, "`initial` must be real numbers.*None"),
        (R + 1j, T, {}, TypeError, "`initial` must be real numbers"),
        ([[0.0] * 6, [0.0] * 5], T, {}, TypeError, "`initial` .* in a full array"),
        (
            R,
            [1.0, 1.0],
            {},
            ValueError,
            r"`targets` .* \[..., 3\], got \[2\].*3 targets",
        ),
        (R, "high", {}, TypeError, "`targets` must be real numbers.*'high'"),
        (R, [], {}, ValueError, r"`targets` must have shape \[..., 3\], got \[0\]"),
        (
            R,
            [2.0, 1.0, 3.0],
            {},
            ValueError,
            r"`targets` must ascend.*\[2.0, 1.0, 3.0\]",
        ),
        (R, [T, [0.0, 2.0, 1.0]], {}, ValueError, r"`targets` of member \(1,\) must"),
        (
            np.zeros([2, 6]),
            [T] * 3,
            {},
            ValueError,
            r"`initial` \[2\], `targets` \[3\]",
        ),
        (R, T, {"tolerance": 0.0}, ValueError, "`tolerance` must be positive, got"),
        (R, T, {"tolerance": -1.0}, ValueError, "`tolerance` must be positive"),
        (R, T, {"tolerance": np.nan}, ValueError, "`tolerance` must be positive"),
        (R, T, {"tolerance": "tight"}, TypeError, "`tolerance` must be real numbers"),
        (R, T, {"max_steps": -1}, ValueError, "`max_steps` must be 0 or greater"),
        (R, T, {"max_steps": 1.5}, TypeError, "`max_steps` must be integers"),
        (R, T, {"record_every": -1}, ValueError, "`record_every` .* at least 0"),
        (R, T, {"record_every": 0.5}, ValueError, "`record_every` must be an integer"),
        (R, T, {"record_limit": 1}, ValueError, "`record_limit` .* at least 2"),
        (R, T, {"progress": 3}, TypeError, "`progress` must be callable"),
        (R, T, {"max_steps": 2**31}, ValueError, "`max_steps`.*2147483648"),
        (R, T, {"max_steps": 2**32 + 5}, ValueError, "`max_steps`.*4294967301"),
    ],
)
def test_fit_refuses(solver, initial, targets, options, error, message):
    with pytest.raises(error, match=message):
        solver.fit(initial, targets, **options)


def test_other_functions_check_too(solver):
    with pytest.raises(ValueError, match=r"`parameters` must have shape \[..., 6\]"):
        solver.eigenvalues([1.0])
    with pytest.raises(ValueError, match=r"`parameters` must have shape \[..., 6\]"):
        solver.gradient([1.0], T)
    with pytest.raises(ValueError, match=r"`targets` must have shape \[..., 3\]"):
        solver.loss(R, [1.0])
    with pytest.raises(ValueError, match=r"`initial` must have shape \[..., 6\]"):
        solver.init([1.0], T)
    state = solver.init(R, T)
    with pytest.raises(ValueError, match="Give them to `init` already"):
        solver.step(state, [T])
    state = solver.init([R], T)
    with pytest.raises(ValueError, match="Give them to `init` already"):
        solver.step(state, [T] * 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"problem": ef.Symmetric(3)}, TypeError, "`problem` must be a Problem"),
        (
            {"method": "newtn"},
            ValueError,
            "'newtn' is not known. Did you mean \"newton\"",
        ),
        ({"method": "Levenberg_Marquardt"}, ValueError, 'mean "levenberg-marquardt"'),
        ({"method": ef.Adam}, TypeError, "`method` must be"),
        ({"compile": "jit"}, ValueError, "`compile` must be.*got 'jit'"),
    ],
)
def test_solver_refuses(arguments, error, message):
    arguments = {"problem": ef.Problem(ef.Symmetric(3))} | arguments
    with pytest.raises(error, match=message):
        ef.Solver(**arguments)


@pytest.mark.parametrize("name", list(METHODS))
def test_methods_go_by_the_names_of_files(name):
    problem = ef.Problem(ef.Symmetric(2))
    solver = ef.Solver(problem, name)
    assert type(solver.method) is METHODS[name]
    assert name_of(solver.method) == name


def test_projection_needs_a_structure_that_reaches_every_matrix():
    problem = ef.Problem(ef.Affine([np.eye(2)]))
    with pytest.raises(ValueError, match=r'Affine.*does not\. Use method="auto"'):
        ef.Solver(problem, ef.IsospectralProjection())


@pytest.mark.parametrize(
    ("method", "options", "error", "message"),
    [
        (ef.Adam, {"learning_rate": 0}, ValueError, "`learning_rate` must be positive"),
        (
            ef.Adam,
            {"learning_rate": "1"},
            TypeError,
            "`learning_rate` must be a number",
        ),
        (ef.Adam, {"beta_1": 1.0}, ValueError, r"`beta_1` must lie in \[0, 1\)"),
        (ef.Adam, {"beta_2": -0.1}, ValueError, r"`beta_2` must lie in \[0, 1\)"),
        (ef.Adam, {"epsilon": np.inf}, ValueError, "`epsilon` must be finite"),
        (ef.LevenbergMarquardt, {"initial_damping": 0}, ValueError, "must be positive"),
        (ef.LevenbergMarquardt, {"orthogonality": -1}, ValueError, "must be positive"),
    ],
)
def test_methods_refuse(method, options, error, message):
    with pytest.raises(error, match=message):
        method(**options)


@pytest.mark.parametrize("shape", [[], [2], [5, 2]])
def test_tensors_of_the_wrong_length_are_refused(shape):
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    with pytest.raises(ValueError, match=r"`initial` must have shape \[..., 3\], got"):
        solver.fit(tf.zeros(shape, tf.float64), [0.0, 1.0])
