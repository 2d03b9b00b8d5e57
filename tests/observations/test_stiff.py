"""Modes and levels of matrices whose largest level is far above those observed."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit.observations.spectrum import Spectrum

ELEMENTS = 16


def beam(penalty=0.0, support="penalty"):
    """Bending of a beam (length, EI, mass 1): stiffness of each element, M, support.

    Hermite elements: two displacements and two slopes each. Supported at both ends by
    springs of stiffness `penalty`, or without the two displacements, or clamped at one.
    """
    h, n = 1 / ELEMENTS, 2 * (ELEMENTS + 1)
    k = np.array(
        [
            [12, 6 * h, -12, 6 * h],
            [6 * h, 4 * h * h, -6 * h, 2 * h * h],
            [-12, -6 * h, 12, -6 * h],
            [6 * h, 2 * h * h, -6 * h, 4 * h * h],
        ]
    )
    m = np.array(
        [
            [156, 22 * h, 54, -13 * h],
            [22 * h, 4 * h * h, 13 * h, -3 * h * h],
            [54, 13 * h, 156, -22 * h],
            [-13 * h, -3 * h * h, -22 * h, 4 * h * h],
        ]
    )
    K, M = np.zeros([ELEMENTS, n, n]), np.zeros([n, n])
    for e in range(ELEMENTS):
        own = slice(2 * e, 2 * e + 4)
        K[e, own, own] += k / h**3
        M[own, own] += m * h / 420
    S = np.zeros([n, n])
    S[0, 0] = S[-2, -2] = penalty
    free = np.arange(n)
    if support == "hinges":
        free = np.delete(free, [0, n - 2])
    elif support == "clamp":
        free = free[2:]
    free = np.ix_(free, free)
    return np.array([each[free] for each in K]), M[free], S[free]


CASES = {
    "penalty 1e12": ({"penalty": 1e12}, tf.float64),
    "penalty 1e9": ({"penalty": 1e9}, tf.float64),
    "hinges, float32": ({"support": "hinges"}, tf.float32),
    "clamp, float32": ({"support": "clamp"}, tf.float32),
    "penalty 1e6, float32": ({"penalty": 1e6}, tf.float32),
}
R = np.linspace(0.9, 1.1, ELEMENTS)


def case(name):
    """Structure, what of its rows moves, and levels and modes by SciPy.

    Those of stiff springs by supports that do not move: apart by 1e4 / penalty.
    """
    options, dtype = CASES[name]
    K, M, S = beam(**options)
    structure = ef.Generalized(ef.Affine(K, S, dtype), M)
    moving = np.arange(len(M))
    if "penalty" in options:
        moving = np.delete(moving, [0, len(M) - 2])
        K, M, _ = beam(support="hinges")

    def pairs(r):
        w, X = scipy.linalg.eigh(np.tensordot(r, K, 1), M)
        return w[:2], X[:, :2].T

    return structure, moving, pairs, dtype.as_numpy_dtype


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_the_lowest_modes(name):
    structure, moving, pairs, dtype = case(name)
    shapes = pairs(R)[1]
    observed = ef.ModeShapes([0, 1], moving, "mass")
    problem = ef.Problem(structure, observed)
    t = np.ravel(shapes).astype(dtype)
    J = problem.jacobian(R.astype(dtype), t).numpy()

    def same_signs(r):
        X = pairs(r)[1]
        return np.ravel(X * np.sign(np.sum(X * shapes, axis=1, keepdims=True)))

    expected = zoo.finite_differences(same_signs, R, 1e-3)
    tolerance = 1e-4 if dtype == np.float64 else 5e-2
    np.testing.assert_allclose(J, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_stiffnesses_from_levels_and_modes(name):
    structure, moving, pairs, dtype = case(name)
    ends = np.zeros([ELEMENTS, 2])
    ends[: ELEMENTS // 2, 0] = ends[ELEMENTS // 2 :, 1] = 1
    halves = ef.Reparametrized(structure, ends)
    w, shapes = pairs(ends @ [1.2, 0.8])
    block = ef.Block(
        halves, [ef.Levels([0, 1]), ef.ModeShapes([0, 1], moving[1::2], "mass")]
    )
    rows = np.arange(shapes.shape[1])[1::2]
    t = np.concatenate([w, np.ravel(shapes[:, rows])]).astype(dtype)
    solver = ef.Solver(ef.Problem([block]), ef.LevenbergMarquardt(), compile="eager")
    solution = solver.fit(np.ones(2, dtype), t)
    assert solution.result != ef.Result.nonfinite
    # The levels of single precision are rounding: eps times the largest is 20.
    if dtype is np.float64:
        np.testing.assert_allclose(solution.parameters, [1.2, 0.8], atol=1e-5)


def test_modes_of_coinciding_levels_have_no_derivative():
    # The two bending planes of a round rod, in axes that lie across them.
    K, M, _ = beam(support="hinges")
    angle = np.kron(np.array([[0.6, 0.8], [-0.8, 0.6]]), np.eye(len(M)))
    both = np.array([angle.T @ np.kron(np.eye(2), each) @ angle for each in K])
    structure = ef.Generalized(ef.Affine(both), np.kron(np.eye(2), M))
    problem = ef.Problem(structure, ef.ModeShapes([0, 1], normalisation="mass"))
    assert np.isnan(problem.jacobian(R, np.ones(4 * len(M)))).any()


def test_the_width_of_a_cluster_is_an_option():
    A = ef.Affine([[[0.0, 1.0], [1.0, 0.0]]], np.diag([1.0, 1.5]))
    t, r = [1.0, 0.1], [0.01]
    for wide in ({"degenerate_atol": 0.6}, {"degenerate_rtol": 0.6}):
        problem = ef.Problem(A, ef.ModeShapes([0], **wide))
        assert np.isnan(problem.jacobian(r, t)).any()
        problem = ef.Problem(A, ef.MAC([0], [[1.0, 0.1]], **wide))
        assert np.isnan(problem.jacobian(r, [1.0])).any()
    assert np.isfinite(ef.Problem(A, ef.ModeShapes([0])).jacobian(r, t)).all()
    with pytest.raises(ValueError, match="`degenerate_atol` must be a finite number"):
        ef.ModeShapes([0], degenerate_atol=-1.0)


@pytest.mark.parametrize("order", [2, 3, 10, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_double_level_lies_inside_of_the_width(rng, order, dtype):
    for _ in range(20):
        Q = np.linalg.qr(rng.normal(size=[order, order]))[0]
        levels = np.sort(rng.uniform(-1, 1, order))
        levels[1] = levels[0]
        A = Q @ np.diag(levels) @ Q.T
        A = ((A + A.T) / 2).astype(dtype)
        w, V = np.linalg.eigh(A)
        spectrum = Spectrum(
            ef.Affine(A[np.newaxis], dtype=tf.as_dtype(dtype)),
            *(tf.constant(x) for x in (np.ones(1, dtype), w, V, w[:, np.newaxis])),
        )
        assert np.isnan(spectrum.mode_jacobian(np.array([0, 1]))).any()


@pytest.mark.parametrize("joint", [False, True])
def test_second_derivatives_of_the_lowest_levels(joint):
    structure, _, pairs, _ = case("penalty 1e12")
    t = pairs(1.01 * R)[0]
    levels = ef.Levels([0, 1])
    problem = ef.Problem(structure, levels)
    if joint:
        problem = ef.Problem([ef.Block(structure, levels)])
    K = beam(support="hinges")[0]

    def gradient(r):
        w, X = pairs(r)
        return 2 * np.einsum("l,ln,knm,lm->k", w - t, X, K, X)

    expected = zoo.finite_differences(gradient, R, 1e-4)
    H = problem.hessian(R, t)
    np.testing.assert_allclose(H, expected, atol=1e-4 * np.abs(expected).max())
    assert not problem.at_kink(problem.evaluate(R, t), tf.constant(t))
