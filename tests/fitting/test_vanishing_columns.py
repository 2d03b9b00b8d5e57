"""Minima where the data drive a coupling to 0, at which its column of J vanishes."""

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

import eigenfit as ef

SITES = np.diag([1.0, 2.0, 4.0])
START = [0.01, 0.3, 0.2]
SIGMA = 0.1


def _bond(i, j):
    A = np.zeros([3, 3])
    A[i, j] = A[j, i] = 1
    return A


# Both couplings, one or the other, by a little or much.
DIRECTIONS = np.array(
    [[0, a * d, b * d] for d in (0.02, 0.1) for a in (0, 1) for b in (0, 1)]
)
BASIS = np.array([np.eye(3), _bond(0, 1), _bond(1, 2)])


def _curved(r):
    # The same matrix, of parameters in which it is not linear.
    x = tf.stack([r[..., 0], r[..., 1] + r[..., 1] ** 3, tf.sinh(r[..., 2])], axis=-1)
    H = tf.einsum("...k,kij->...ij", x, tf.constant(BASIS, r.dtype))
    return H + tf.constant(SITES, r.dtype)


def _frequencies(w):
    return np.sqrt(w) / (2 * np.pi)


def _case(name, structure, observation, values):
    return pytest.param(structure, observation, values, id=name)


@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
@pytest.mark.parametrize(
    ("structure", "observation", "values"),
    [
        _case("levels", ef.Affine(BASIS, SITES), ef.Levels(sigma=SIGMA), np.asarray),
        _case(
            "frequencies",
            ef.Affine(BASIS, SITES),
            ef.Frequencies(sigma=SIGMA / 20),
            _frequencies,
        ),
        _case(
            "curved", ef.Parametric(_curved, 3, 3), ef.Levels(sigma=SIGMA), np.asarray
        ),
    ],
)
def test_no_minimum_is_stalled(structure, observation, values, method):
    rng = np.random.default_rng(5)
    sigma = np.sqrt(1 / observation.weights)
    exact = values(np.diag(SITES))
    targets = np.sort(exact + sigma * rng.normal(size=[40, 3]))
    solver = ef.Solver(ef.Problem(structure, observation), method)
    fits = solver.fit(np.tile(START, [40, 1]), targets)
    names = np.array([ef.Result(int(code)).name for code in fits.result])
    # Where the loss is of fourth order the limit of steps may come first.
    done = np.isin(names, ["minimum", "converged"])
    assert (done | (names == "max_steps")).all(), names
    assert done.sum() >= 36
    vanishing = np.abs(fits.parameters.numpy()[:, 1:]).min(axis=1) < 1e-6
    assert (vanishing & (names == "minimum")).sum() >= 15

    def residual(r, k):
        H = _curved(tf.constant(r)).numpy()
        if isinstance(structure, ef.Affine):
            H = SITES + np.tensordot(r, BASIS, 1)
        return (values(np.linalg.eigvalsh(H)) - targets[k]) / sigma

    for k in np.flatnonzero(done):
        found = fits.parameters.numpy()[k]
        lower = scipy.optimize.least_squares(
            residual, found, args=(k,), xtol=1e-15, ftol=1e-15, gtol=1e-15
        )
        assert fits.loss[k] <= 2 * lower.cost * (1 + 1e-8) + 1e-8


def test_a_parameter_without_influence_makes_no_saddle():
    # Differences do not tell the constant, and its curvature is rounding.
    rng = np.random.default_rng(5)
    exact = np.array([1.0, 2.0, 3.0])
    targets = exact + SIGMA * rng.normal(size=[40, 3])
    observation = ef.Differences([(1, 0), (2, 1), (2, 0)], sigma=SIGMA)
    solver = ef.Solver(ef.Problem(ef.Affine(BASIS, SITES), observation))
    fits = solver.fit(np.tile(START, [40, 1]), targets)
    names = {ef.Result(int(code)).name for code in fits.result}
    assert names <= {"minimum", "converged", "max_steps"}
    assert "minimum" in names


@pytest.mark.parametrize("coupling", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
def test_couplings_that_start_near_0_hold_up_nothing(coupling, method):
    rng = np.random.default_rng(5)
    targets = np.sort(np.diag(SITES) + SIGMA * rng.normal(size=[30, 3]))
    problem = ef.Problem(ef.Affine(BASIS, SITES), ef.Levels(sigma=SIGMA))
    starts = np.tile([0.0, coupling, coupling], [30, 1])
    fits = ef.Solver(problem, method).fit(starts, targets)
    # The constant has its least-squares value, whatever became of the couplings.
    mean = (targets - np.diag(SITES)).mean(axis=1)
    names = np.array([ef.Result(int(code)).name for code in fits.result])
    done = names != "max_steps"
    assert done.sum() >= 28
    np.testing.assert_allclose(fits.parameters.numpy()[done, 0], mean[done], atol=1e-6)
    for k in np.flatnonzero(names == "stalled"):
        assert method != "auto"
        # At a saddle, which a step of the couplings leaves.
        around = fits.parameters.numpy()[k] + DIRECTIONS
        losses = problem.loss(around, np.tile(targets[k], [len(around), 1]))
        assert np.min(losses) < 0.99999 * float(fits.loss[k])


@pytest.mark.parametrize("coupling", [1e-5, 1e-9])
def test_couplings_that_start_near_0_are_still_found(coupling):
    # Differences that ask for couplings: their slopes at the start are tiny.
    observation = ef.Differences([(1, 0), (2, 1), (2, 0)], sigma=0.05)
    truth = np.array([0.0, 0.4, 0.3])
    levels = np.linalg.eigvalsh(SITES + np.tensordot(truth, BASIS, 1))
    targets = [levels[1] - levels[0], levels[2] - levels[1], levels[2] - levels[0]]
    solver = ef.Solver(
        ef.Problem(ef.Affine(BASIS, SITES), observation), "levenberg-marquardt"
    )
    fit = solver.fit([0.0, coupling, coupling], targets)
    assert fit.success
    np.testing.assert_allclose(np.abs(fit.parameters[1:]), truth[1:], rtol=1e-6)
