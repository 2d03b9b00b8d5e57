"""Fits with robust losses against SciPy's, with outliers, bounds, batches and modes."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import least_squares
from scipy.optimize._lsq.least_squares import IMPLEMENTED_LOSSES
from tests.combinations import each

import eigenfit as ef
from eigenfit.gallery import frames, rotational

LOSSES = ("soft_l1", "huber", "cauchy")
LM = "levenberg-marquardt"
GOOD = (int(ef.Result.minimum), int(ef.Result.converged))


def solver(problem, method=LM):
    """A solver that traces nothing: these fits take few steps."""
    return ef.Solver(problem, method, compile="eager")


def symmetric(seed, number, order):
    A = np.random.default_rng(seed).normal(size=[number, order, order])
    return (A + A.swapaxes(1, 2)) / 2


BASIS, OTHER = symmetric(0, 3, 8), symmetric(1, 3, 5)
TRUTH = np.array([1.0, 0.5, -0.7])


def levels(loss, scale, **more):
    return ef.Problem(ef.Affine(BASIS), ef.Levels(loss=loss, loss_scale=scale, **more))


def joint(loss, scale):
    blocks = [
        ef.Block(ef.Affine(BASIS), [ef.Levels([0, 1, 5], sigma=0.02)], "a"),
        ef.Block(ef.Affine(OTHER), [ef.Levels(sigma=0.01, **kind(loss, scale))], "b"),
    ]
    pairs = [(("a", k), ("b", 0)) for k in (2, 4, 6, 7)]
    pairs = ef.Differences(pairs, sigma=0.03, **kind(loss, scale))
    return ef.Problem(blocks, observations=[pairs])


def kind(loss, scale):
    return {"loss": loss, "loss_scale": scale}


def differences(loss, scale, parameters=None):
    pairs = [(k, 0) for k in range(1, 8)] + [(k, k - 2) for k in range(2, 8)]
    observed = ef.Differences(pairs, sigma=0.01, **kind(loss, scale))
    return ef.Problem(ef.Affine(BASIS), observed, parameters=parameters)


def frame(loss, scale):
    """A shear frame of five storeys with frequencies and two mode shapes."""
    basis = np.zeros([5, 5, 5])
    for k in range(5):
        basis[k, k, k] = 1.0
        if k:
            basis[k, k - 1, k - 1] = 1.0
            basis[k, k, k - 1] = basis[k, k - 1, k] = -1.0
    observed = [
        ef.Frequencies(sigma=0.001, **kind(loss, scale)),
        ef.ModeShapes([0, 1], sigma=0.01, **kind(loss, scale)),
    ]
    return ef.Problem(ef.Affine(basis), observations=observed)


STIFF = np.array([3.0, 2.5, 2.2, 2.0, 1.4])
PROBLEMS = {
    "levels": (lambda loss, C: levels(loss, C, sigma=0.01), TRUTH),
    "weighted": (lambda loss, C: levels(loss, C * 1e-2, weights=np.ones(8)), TRUTH),
    "differences": (differences, TRUTH),
    "joint": (joint, TRUTH),
    "frame": (frame, STIFF),
}


def data(problem, truth, seed=5, wrong=(2,)):
    """Targets with normal errors of 1 sigma, of which some are off by 12 more."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=problem.num_targets)
    for _ in range(2):
        t = problem.values(truth, t).numpy()
    sigma = 1 / problem.roots() if problem.has_errors else 0.01
    error = rng.normal(size=t.shape)
    error[list(wrong)] += 12
    t = t + sigma * error
    for label, observation, part in problem.terms:
        if isinstance(observation, ef.Levels | ef.Frequencies) and label is not None:
            t[part] = np.sort(t[part])
    return t


def by_scipy(problem, t, start, bounds=(-np.inf, np.inf)):
    """The fit of `scipy.optimize.least_squares`, term by term weighted in NumPy."""
    (loss,) = {x.robust for x in problem.observations if x.robust is not None}
    linear = problem.with_linear_losses()

    def residual(x):
        return (linear.values(x, t).numpy() - t) * linear.roots()

    plain = np.zeros(len(t), bool)
    for observation, part in zip(problem.observations, problem.parts, strict=True):
        plain[part] = observation.robust is None

    def mixed(z):
        rho, own = np.empty([3, len(z)]), IMPLEMENTED_LOSSES[loss.name]
        assert own is not None
        own(z, rho, cost_only=False)
        return np.where(plain, np.array([z, np.ones_like(z), np.zeros_like(z)]), rho)

    return least_squares(
        residual,
        start,
        jac=lambda x: linear.jacobian(x, t).numpy(),
        bounds=bounds,
        loss=mixed if plain.any() else loss.name,
        f_scale=loss.scale,
        **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15),
    )


def test_fits_are_those_of_scipy():
    def check(loss, name):
        make, truth = PROBLEMS[name]
        problem = make(loss, 1.2)
        t = data(problem, truth)
        found = solver(problem).fit(truth * 1.02, t)
        # From nearby: the Cauchy loss has several minima.
        wanted = by_scipy(problem, t, found.parameters.numpy() * 1.0003)
        assert int(found.result) in GOOD
        np.testing.assert_allclose(found.parameters, wanted.x, rtol=1e-6)
        np.testing.assert_allclose(found.loss, 2 * wanted.cost, rtol=1e-9)
        linear = solver(problem.with_linear_losses()).fit(truth, t)
        assert np.abs(linear.parameters - wanted.x).max() > 1e-4

    each(check, loss=LOSSES, name=PROBLEMS)


def test_all_methods_for_least_squares_agree():
    problem = levels("soft_l1", 1.0, sigma=0.01)
    t = data(problem, TRUTH)
    wanted = by_scipy(problem, t, TRUTH).x
    for method in ("auto", "gauss-newton", "lbfgs"):
        found = solver(problem, method).fit(TRUTH * 1.01, t)
        assert int(found.result) in GOOD, method
        np.testing.assert_allclose(found.parameters, wanted, rtol=1e-6)


def test_methods_for_squares_refuse():
    robust = ef.Problem(ef.Symmetric(3), ef.Levels(loss="huber"))
    assert isinstance(ef.Solver(robust).method, ef.Alternating)
    for method in (
        "isospectral-projection",
        "lift-and-project",
        "loewner-newton",
        "cluster-newton",
    ):
        with pytest.raises(ValueError, match=r"a robust `loss`. Use LevenbergMarqu"):
            ef.Solver(robust, method)


def test_bounds_hold():
    def check(loss):
        parameters = ef.Parameters(["x", "y", "z"], bounds={"y": (0.52, 1.0)})
        problem = differences(loss, 1.2, parameters)
        t = data(problem, TRUTH)
        start = np.array([1.0, 0.6, -0.7])
        limits = ([-np.inf, 0.52, -np.inf], [np.inf, 1.0, np.inf])
        wanted = by_scipy(problem, t, start, limits).x
        for method in (LM, "auto"):
            found = solver(problem, method).fit(start, t)
            assert int(found.result) in GOOD
            np.testing.assert_allclose(found.parameters, wanted, rtol=1e-6)
            assert float(found.parameters[1]) == 0.52

    each(check, loss=LOSSES)


def check_outliers(make, clean, wrong, start, named):
    """Fits with each loss are within 2 standard errors of that to the clean data.

    Squares are not; and `named` judges the places that the fit calls outliers.
    """
    linear = solver(make("linear"))
    best = linear.fit(start, clean)
    errors = ef.uncertainty(linear.problem, best, clean).standard_errors

    def off(fit):
        return np.abs((fit.parameters - best.parameters) / errors).max()

    assert off(linear.fit(start, wrong)) > 2

    def check(loss):
        problem = make(loss)
        found = solver(problem).fit(start, wrong)
        assert int(found.result) in GOOD
        assert off(found) < 2
        outliers = problem.outliers(found.parameters, wrong).numpy()
        assert named(np.flatnonzero(outliers).tolist())

    each(check, loss=LOSSES)


def test_outliers_in_a_rotational_spectrum():
    answer = rotational.h2coh().answer
    blocks = [
        ef.Block(ef.Affine(rotational.rotor_basis(J)), label=str(J)) for J in range(8)
    ]
    pairs = [
        ((str(J), k), (str(J - 1), i))
        for J in range(1, 8)
        for k in range(0, 2 * J + 1, 2)
        for i in (0, J - 1)
    ][:60]

    def make(loss):
        observed = ef.Differences(pairs, sigma=0.04, loss=loss)
        names = ef.Parameters(rotational.NAMES)
        return ef.Problem(blocks, observations=[observed], parameters=names)

    rng, zero = np.random.default_rng(7), np.zeros(len(pairs))
    clean = make("linear").values(answer, zero).numpy()
    clean = clean + 0.04 * rng.normal(size=len(pairs))
    wrong = clean.copy()
    places = [5, 23, 48]  # 5 % of 60 by 50 sigma
    wrong[places] += 50 * 0.04 * np.array([1, -1, 1])
    check_outliers(make, clean, wrong, answer, lambda found: found == places)


def test_outliers_in_a_frame():
    number = len(frames.NOMINAL)
    joins = np.eye(number) - np.eye(number, k=-1)
    basis = np.einsum("k,ki,kj->kij", frames.NOMINAL, joins, joins)
    pencil = ef.Generalized(ef.Affine(basis), np.diag(frames.MASSES))

    def make(loss):
        observed = [
            ef.Frequencies(range(12), sigma=2e-3, loss=loss),
            ef.ModeShapes(range(8), sigma=2e-3, loss=loss),
        ]
        return ef.Problem(pencil, observations=observed)

    problem = make("linear")
    truth, rng = 1 + frames.ACTUAL, np.random.default_rng(4)
    t = rng.normal(size=problem.num_targets)
    shapes = problem.modes(truth)[0].numpy()[:, :8].T
    t[12:] = (shapes / np.abs(shapes).max(axis=1, keepdims=True)).ravel()
    t = problem.values(truth, t).numpy()
    clean = t + 2e-3 * rng.normal(size=len(t))
    largest = 12 + 18 * np.arange(8) + np.abs(t[12:]).reshape(8, -1).argmax(axis=1)
    free = np.setdiff1d(np.arange(len(t)), largest)
    clean[largest] = t[largest]
    places = np.sort(rng.choice(free, len(t) // 20, replace=False))
    wrong = clean.copy()
    wrong[places] += 50 * 2e-3 * rng.choice([-1, 1], size=len(places))
    wrong[:12] = np.sort(wrong[:12])
    misread = set(places[places >= 12])
    check_outliers(make, clean, wrong, truth, lambda found: misread <= set(found))


def test_one_bad_member_leaves_the_others_alone():
    problem = levels("cauchy", 1.0, sigma=0.01)
    t = np.stack([data(problem, TRUTH, seed) for seed in range(4)])
    own = solver(problem)
    alone = own.fit(TRUTH, t)
    t[2, 3] = np.nan
    found = own.fit(TRUTH, t)
    assert found.result.numpy().tolist()[2] == ef.Result.invalid_input
    others = [0, 1, 3]
    for name in ("parameters", "loss", "result"):
        x, y = (np.asarray(getattr(fit, name))[others] for fit in (found, alone))
        np.testing.assert_array_equal(x, y)
    single = own.fit(TRUTH, t[1])
    np.testing.assert_allclose(single.parameters, found.parameters[1], rtol=1e-8)


def test_units_do_not_matter():
    def check(case):
        loss, sigma = case

        def fit(u):
            how = {"sigma": 0.01 * u} if sigma else {}
            C = 1.1 if sigma else 0.011 * u
            observed = ef.Levels(loss=loss, loss_scale=C, **how)
            problem = ef.Problem(ef.Affine(BASIS * u), observed)
            t = data(levels(loss, 1.1, sigma=0.01), TRUTH) * u
            found = solver(problem).fit(TRUTH * 1.02, t)
            errors = ef.uncertainty(problem, found, t).standard_errors
            return found, errors, problem.outliers(found.parameters, t)

        one, e1, o1 = fit(1.0)
        for unit in (1e-8, 1e8):
            other, e2, o2 = fit(unit)
            np.testing.assert_allclose(other.parameters, one.parameters, rtol=1e-8)
            np.testing.assert_allclose(e2, e1, rtol=1e-6)
            np.testing.assert_array_equal(o1, o2)
            assert int(one.result) == int(other.result)

    each(check, case=[("soft_l1", True), ("huber", False), ("cauchy", True)])


@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_modes_agree(mode):
    problem = levels("cauchy", 1.0, sigma=0.01)
    t = data(problem, TRUTH)
    found = ef.Solver(problem, LM, compile=mode).fit(TRUTH * 1.02, t)
    other = solver(problem).fit(TRUTH * 1.02, t)
    np.testing.assert_allclose(found.parameters, other.parameters, rtol=1e-8)
    assert int(found.result) == int(other.result)


def test_single_precision():
    problem = ef.Problem(
        ef.Affine(BASIS, dtype=tf.float32), ef.Levels(sigma=0.05, loss="huber")
    )
    double = levels("huber", 1.0, sigma=0.05)
    t = data(double, TRUTH)
    wanted = solver(double).fit(TRUTH, t)
    found = solver(problem).fit(TRUTH * 1.02, t)
    assert int(found.result) in GOOD
    np.testing.assert_allclose(found.parameters, wanted.parameters, atol=1e-3)


SHIFTED = (
    lambda loss, C: ef.Problem(
        ef.Affine(BASIS), ef.FreeShift(ef.Levels(sigma=0.01, **kind(loss, C)))
    ),
    TRUTH,
)


FOLLOWED = [("soft_l1", "frame"), ("huber", "joint"), ("cauchy", "differences")]
MORE = [("soft_l1", "levels"), ("huber", "shift"), ("cauchy", "frame")]


@pytest.mark.parametrize(
    "cases", [FOLLOWED, pytest.param(MORE, marks=pytest.mark.slow)]
)
def test_the_derivative_by_targets_is_that_of_whole_fits(cases):
    def check(case):
        loss, name = case
        make, truth = {**PROBLEMS, "shift": SHIFTED}[name]
        problem = make(loss, 1.2)
        t = data(problem, truth)
        own = solver(problem)
        c = np.random.default_rng(1).normal(size=len(truth))
        given = tf.constant(t)
        with tf.GradientTape() as tape:
            tape.watch(given)
            found = own.fit(truth, given)
            value = tf.reduce_sum(found.parameters * c) + 1e-3 * found.loss
        slope = tape.gradient(value, given).numpy()
        best = found.parameters.numpy()
        steps = 1e-6 * np.eye(len(best))
        H = [
            problem.gradient(best + e, t) - problem.gradient(best - e, t) for e in steps
        ]
        H = np.array(H) / 2e-6

        def whole(targets):
            # Fits, polished, since they end where the loss falls no more.
            x = own.fit(np.tile(best, [len(targets), 1]), targets).parameters.numpy()
            for _ in range(4):
                x = x - np.linalg.solve(H, problem.gradient(x, targets).numpy().T).T
            return x @ c + 1e-3 * problem.loss(x, targets).numpy()

        h = 3e-3 / problem.roots() if problem.has_errors else 3e-5
        moves = np.diag(h * np.ones(len(t)))
        ends = whole(np.concatenate([t + k * moves for k in (1, -1, 2, -2)]))
        right, left, far_right, far_left = ends.reshape(4, len(t))
        wanted = (8 * (right - left) - (far_right - far_left)) / (12 * h)
        assert np.abs(slope - wanted).max() < 1e-5 * np.abs(wanted).max()

    each(check, case=cases)
