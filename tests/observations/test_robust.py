"""Robust losses against SciPy's, mpmath and central differences."""

import mpmath
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import least_squares
from scipy.optimize._lsq.least_squares import IMPLEMENTED_LOSSES
from tests.combinations import each

import eigenfit as ef
from eigenfit.observations.best_shift import best_shift
from eigenfit.observations.robust import Robust
from eigenfit.problem.differenced import differenced_hessian
from eigenfit.problem.terms import Terms

LOSSES = ("soft_l1", "huber", "cauchy")


def symmetric(rng, number, order):
    A = rng.normal(size=[number, order, order])
    return (A + A.swapaxes(1, 2)) / 2


def exact(name, x):
    """The root s, ds/df and half the second derivative of rho(f^2), in 50 digits."""
    mpmath.mp.dps = 50
    x = mpmath.mpf(float(x))
    z = x * x
    if name == "soft_l1":
        rho, first = 2 * z / (mpmath.sqrt(1 + z) + 1), 1 / mpmath.sqrt(1 + z)
        half_second = (1 + z) ** mpmath.mpf(-1.5)
    elif name == "huber":
        inside = z <= 1
        rho = z if inside else 2 * abs(x) - 1
        first = mpmath.mpf(1) if inside else 1 / abs(x)
        half_second = mpmath.mpf(int(inside))
    else:
        rho = mpmath.log1p(z) if z > 1e-40 else z
        first, half_second = 1 / (1 + z), (1 - z) / (1 + z) ** 2
    s = mpmath.sign(x) * mpmath.sqrt(rho)
    return [float(v) for v in (s, x * first / s if x else 1, half_second)]


def test_roots_and_derivatives_are_those_of_many_digits():
    def check(name, dtype):
        sizes = [0.0, 1e-30, 1e-12, 1e-4, 0.3, 0.999, 1.0, 1.001, 3.0, 50.0, 1e4, 1e15]
        if dtype == tf.float64:
            sizes += [1e-300, 1e-160, 1e100, 1e150]
        x = tf.constant([*sizes, *(-np.array(sizes[1:]))], dtype)
        loss = Robust(name, 1.0)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                s = loss.taped_root(x)
            slope = inner.gradient(s, x)
        curved = slope**2 + s * outer.gradient(slope, x)
        wanted = np.array([exact(name, value) for value in x.numpy()]).T
        eps = np.finfo(dtype.as_numpy_dtype).eps
        np.testing.assert_allclose(s, wanted[0], rtol=4 * eps)
        np.testing.assert_array_equal(loss.root(x), s)
        # exp(-y / 2) amplifies the rounding of y, the loss, by y.
        rtol = eps * (8 + wanted[0] ** 2) if name == "cauchy" else 8 * eps
        assert (np.abs(slope - wanted[1]) <= rtol * wanted[1] + 1e-37).all()
        np.testing.assert_allclose(loss.slope(s), slope, rtol=1e-30)
        np.testing.assert_allclose(curved, wanted[2], rtol=0, atol=8 * eps)
        bent = loss.bend(s) * loss.slope(s) ** 2
        np.testing.assert_allclose(bent, wanted[2], rtol=0, atol=8 * eps)
        weight = np.where(x == 0, 1, loss.slope(s) * s / np.where(x == 0, 1, x))
        np.testing.assert_allclose(loss.weight(x), weight, rtol=1e3 * eps, atol=1e-37)

    each(check, name=LOSSES, dtype=[tf.float64, tf.float32])


def test_losses_are_those_of_scipy():
    def check(name, scale):
        f = np.linspace(-9, 9, 1001)
        z = (f / scale) ** 2
        rho = np.empty([3, f.size])
        by_scipy = IMPLEMENTED_LOSSES[name]
        assert by_scipy is not None
        by_scipy(z, rho, cost_only=False)
        loss, s = Robust(name, scale), Robust(name, scale).root(tf.constant(f))
        np.testing.assert_allclose(s**2, scale**2 * rho[0], rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(loss.weight(tf.constant(f)), rho[1], rtol=1e-13)
        curved = loss.bend(s) * loss.slope(s) ** 2
        np.testing.assert_allclose(curved, rho[1] + 2 * z * rho[2], atol=1e-13)

    each(check, name=LOSSES, scale=[0.1, 1.0, 3.0])


def test_arguments_are_checked():
    for make in (
        lambda **k: ef.Levels(**k),
        lambda **k: ef.Differences([(1, 0)], **k),
        lambda **k: ef.RelativeTo(0, **k),
        lambda **k: ef.ClusterMeans([[0, 1]], **k),
        lambda **k: ef.Frequencies(**k),
        lambda **k: ef.ModeShapes([0], **k),
        lambda **k: ef.MAC([0], [[1.0, 2.0]], **k),
    ):
        observation = make(loss="huber", loss_scale=2)
        assert observation.robust == Robust("huber", 2.0)
        assert "loss='huber', loss_scale=2.0" in repr(observation)
        assert ef.FreeShift(observation).robust == observation.robust
        assert make(loss="linear").robust is None
        with pytest.raises(ValueError, match="`loss` must be one of 'linear', 'soft"):
            make(loss="l1")
        with pytest.raises(ValueError, match="`loss_scale` must be positive"):
            make(loss="huber", loss_scale=0.0)
        with pytest.raises(TypeError, match="`loss_scale` must be a number"):
            make(loss="huber", loss_scale="1")


def of_all_kinds(loss):
    """Two blocks, with levels, differences, shapes and shifts between them."""
    rng = np.random.default_rng(3)
    A, B = ef.Affine(symmetric(rng, 3, 5)), ef.Affine(symmetric(rng, 3, 4))
    with_sigma = {"loss": loss, "sigma": 0.3}
    first = [
        ef.Levels([0, 1, 3], **with_sigma),
        ef.RelativeTo(1, **with_sigma),
        ef.FreeShift(ef.Levels(weights=[1.0, 2.0, 3.0, 4.0, 5.0], loss=loss)),
        ef.Levels([4], sigma=0.1),
    ]
    second = [
        ef.ClusterMeans([[0, 1], [3]], loss=loss, loss_scale=0.4),
        ef.Frequencies([3], loss=loss, loss_scale=0.02),
    ]
    shapes = [
        ef.ModeShapes([0, 2], **with_sigma),
        ef.ModeShapes([1], normalisation="unit", loss=loss, loss_scale=0.1),
        ef.MAC([3], [[1.0, 0.4, -2.0, 0.1]], loss=loss, loss_scale=0.2),
    ]
    joint = [
        ef.Differences([(("a", 1), ("b", 0)), (("b", 2), ("a", 0))], **with_sigma),
        ef.FreeShift(ef.Differences([(("a", 2), ("b", 1)), (("a", 4), ("b", 1))])),
    ]
    prior = [ef.Prior({"x": 1.0, "z": -1.0}, mean=0.5, sigma=0.3)]
    parameters = ef.Parameters(["x", "y", "z"], prior=prior)
    return [
        ef.Problem(
            [ef.Block(A, first, "a"), ef.Block(B, [*second, *own], "b")],
            observations=joint,
            parameters=parameters,
        )
        for own in ([], shapes)
    ]


def central(function, x, step):
    """Derivatives of a function of a batch `[k, n]`, of which all moves are one."""
    number = x.shape[-1]
    moves = np.multiply.outer([1, -1, 2, -2], step * np.eye(number))
    found = np.asarray(function(x + moves.reshape(-1, number)))
    right, left, far_right, far_left = found.reshape(4, number, *found.shape[1:])
    change = (8 * (right - left) - (far_right - far_left)) / (12 * step)
    return np.moveaxis(change, 0, -1)


def test_derivatives_are_central_differences():
    def check(loss, shapes: int):
        problem = of_all_kinds(loss)[shapes]
        rng, r = np.random.default_rng(1), np.array([1.0, 0.5, -0.7])
        t = rng.normal(size=problem.num_targets)
        for _ in range(2):
            t = problem.values(r, t).numpy()
        t += rng.normal(size=t.shape) / problem.roots() * 1.5
        J = problem.jacobian(r, t).numpy()
        residual = problem.residual(r, t).numpy()
        np.testing.assert_allclose(problem.loss(r, t), np.sum(residual**2), rtol=1e-13)

        def moved(function):
            return central(lambda x: function(x, np.tile(t, [len(x), 1])), r, 1e-4)

        wanted = moved(problem.residual)
        np.testing.assert_allclose(J, wanted, atol=1e-7 * np.abs(J).max())
        g = moved(problem.loss)
        np.testing.assert_allclose(problem.gradient(r, t), g, rtol=1e-7)
        H = moved(problem.gradient)
        point = problem.evaluate(r, t)
        found = [differenced_hessian(problem, point, tf.constant(t))]
        if not shapes:
            found.append(problem.hessian(r, t))
            v = np.array([0.3, -1.0, 0.2])
            product = problem.hessian_vector_product(r, t, v)
            np.testing.assert_allclose(product, H @ v, atol=1e-7 * np.abs(H).max())
            x = tf.constant(r)
            with tf.GradientTape(persistent=True) as outer:
                outer.watch(x)
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    value = problem.loss(x, t)
                slope = inner.gradient(value, x)
            found.append(outer.jacobian(slope, x, experimental_use_pfor=False))
        for own in found:
            np.testing.assert_allclose(own, H, atol=1e-7 * np.abs(H).max())
        point = problem.evaluate(r[np.newaxis], t[np.newaxis])
        B = problem.target_jacobian_at(point)[0]
        wanted = central(
            lambda y: problem.residual(np.tile(r, [len(y), 1]), y), t, 1e-5
        )
        np.testing.assert_allclose(B, wanted, atol=1e-6 * np.abs(B).max())

    each(check, loss=LOSSES, shapes=[0, 1])


def test_the_best_shift_is_that_of_scipy():
    def check(loss):
        rng = np.random.default_rng(2)
        d = rng.normal(size=[5, 30]) + 3
        d[:, ::9] += 40 * rng.choice([-1, 1], size=[5, 4])
        roots = rng.uniform(0.5, 2.0, size=30)
        found, share = best_shift(tf.constant(d), tf.constant(roots), Robust(loss, 1.5))

        for k, own in enumerate(d):
            fit = least_squares(
                lambda c, own=own: roots * (c - own),
                np.median(own),
                loss=loss,
                f_scale=1.5,
                **dict.fromkeys(("xtol", "ftol", "gtol"), 1e-15),
            )
            np.testing.assert_allclose(found[k, 0], fit.x[0], atol=1e-7)
        moves = d[0] + np.multiply.outer([1e-5, -1e-5], np.eye(d.shape[1]))
        shifts, _ = best_shift(
            tf.constant(moves.reshape(-1, d.shape[1])),
            tf.constant(roots),
            Robust(loss, 1.5),
        )
        right, left = np.reshape(shifts, [2, -1])
        np.testing.assert_allclose(share[0], (right - left) / 2e-5, atol=1e-8)

    each(check, loss=LOSSES)


def test_outliers_are_named_for_robust_observations_only():
    A = ef.Affine([np.diag(x) for x in np.eye(4)])
    observations = [
        ef.Levels([0, 1], sigma=0.1, loss="cauchy", loss_scale=3.0),
        ef.Differences([(2, 0), (3, 0)], loss="huber", loss_scale=0.2),
        ef.Levels([3], sigma=0.1),
    ]
    problem = ef.Problem(A, observations=observations)
    r = [1.0, 2.0, 3.0, 4.0]
    targets = np.array([1.49, 2.51, 2.99, 4.01, 9.0])
    found = problem.outliers(r, targets).numpy()
    assert found.tolist() == [False, True, False, True, False]
    both = problem.outliers([r, r], [targets, [1.0, 1.49, 0.99, 2.01, 4.0]]).numpy()
    assert both.tolist() == [found.tolist(), [False, True, True, False, False]]
    assert not problem.outliers(np.full(4, np.nan), targets).numpy().any()


def test_what_is_known_of_the_problem():
    A = ef.Affine(symmetric(np.random.default_rng(0), 3, 3))
    robust = ef.Problem(A, ef.Levels(loss="soft_l1"))
    assert robust.is_least_squares
    assert robust.is_robust
    assert not ef.Problem(A, ef.Levels()).is_least_squares
    assert robust.observation is None
    linear = robust.with_linear_losses()
    assert not linear.is_robust
    assert linear.with_linear_losses() is linear
    more = Terms([ef.Block(A, [ef.Levels()])], ["b"])
    own = robust.observed.extended(more, 1)
    assert own.losses is not None
    f = np.array([3.0, -0.1, 2.0, 4.0, 5.0, -6.0])
    loss = Robust("soft_l1", 1.0)
    wanted = [*loss.root(tf.constant(f[:3])).numpy(), *f[3:]]
    np.testing.assert_array_equal(own.losses.root(tf.constant(f)), wanted)
    weighted = robust.with_weights([[1.0, 4.0, 9.0]])
    r, t = np.array([[0.1, 0.2, 0.3]]), np.array([[-1.0, 0.5, 2.0]])
    own = ef.Problem(A, ef.Levels(weights=[1.0, 4.0, 9.0], loss="soft_l1"))
    np.testing.assert_array_equal(weighted.loss(r, t), own.loss(r, t))
