"""Values and derivatives of every observation against NumPy and SciPy."""

from functools import partial

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from tests import zoo
from tests.combinations import each

import eigenfit as ef
from eigenfit.problem.differenced import hessian_at_solution

STEP = 6e-6  # see `zoo.finite_differences`
OFFSET, SPRINGS = zoo.chain(4)
MASS = np.array([1.0, 2.0, 1.5, 0.7])
MASSES = np.zeros([5, 4, 4])
for place in range(4):
    MASSES[place, place, place] = 0.2  # the mass at a joint follows its spring
R = np.array([1.0, 2.0, 1.5, 0.8, 1.2])
SHAPES = np.array([[1.0, 0.3], [-0.4, 0.9]])


def pencil(r):
    K = OFFSET + np.tensordot(r, SPRINGS, 1)
    M = np.diag(MASS) + np.tensordot(r, MASSES, 1)
    return scipy.linalg.eigh(K, M)


def structure(dtype=tf.float64):
    return ef.Generalized(
        ef.Affine(SPRINGS, OFFSET, dtype), ef.Affine(MASSES, np.diag(MASS), dtype)
    )


def shapes_of(X, levels, rows, t, normalisation):
    """Written with loops: each shape scaled as its target says."""
    found = []
    for level, own in zip(levels, np.reshape(t, [len(levels), -1]), strict=True):
        x = X[rows, level]
        if normalisation == "max":
            k = np.argmax(np.abs(own))
            found.append(x * own[k] / x[k])
            continue
        if normalisation == "unit":
            x = x / np.sqrt(x @ x)
        found.append(x if x @ own > 0 else -x)
    return np.ravel(found)


def shifted(values, t, weights):
    return values + np.sum(weights * (t - values)) / np.sum(weights)


ROOT = np.sqrt([1.0, 4.0, 2.0, 0.5])
ALL = np.arange(4)
# What to make, and its values from levels w, modes X and targets t; sqrt(weights).
OBSERVATIONS = {
    "levels": (ef.Levels, lambda w, X, t: w, 1),
    "some levels": (
        lambda: ef.Levels([3, 0], weights=[2.0, 5.0]),
        lambda w, X, t: w[[3, 0]],
        np.sqrt([2.0, 5.0]),
    ),
    "levels with errors": (
        lambda: ef.Levels([0, -1], sigma=[0.5, 0.25]),
        lambda w, X, t: w[[0, 3]],
        [2.0, 4.0],
    ),
    "frequencies": (ef.Frequencies, lambda w, X, t: np.sqrt(w) / (2 * np.pi), 1),
    "some frequencies": (
        lambda: ef.Frequencies([1, 3], sigma=0.01),
        lambda w, X, t: np.sqrt(w[[1, 3]]) / (2 * np.pi),
        100,
    ),
    "means": (
        lambda: ef.ClusterMeans([[0, 1], [-1]], weights=[3.0, 1.0]),
        lambda w, X, t: np.array([(w[0] + w[1]) / 2, w[3]]),
        np.sqrt([3.0, 1.0]),
    ),
    "relative": (lambda: ef.RelativeTo(0), lambda w, X, t: w[1:] - w[0], 1),
    "relative to the top": (
        lambda: ef.RelativeTo(-1, [2, 0]),
        lambda w, X, t: w[[2, 0]] - w[3],
        1,
    ),
    "differences": (
        lambda: ef.Differences([(1, 0), (3, 1), (0, 2)], sigma=0.1),
        lambda w, X, t: np.array([w[1] - w[0], w[3] - w[1], w[0] - w[2]]),
        10,
    ),
    "largest component": (
        lambda: ef.ModeShapes([0, 2], [0, 3, 1]),
        lambda w, X, t: shapes_of(X, [0, 2], [0, 3, 1], t, "max"),
        1,
    ),
    "unit shapes": (
        lambda: ef.ModeShapes([3, -3], [1, 2], "unit", weights=[1, 4.0, 2, 0.5]),
        lambda w, X, t: shapes_of(X, [3, 1], [1, 2], t, "unit"),
        ROOT,
    ),
    "mass-normalised shapes": (
        lambda: ef.ModeShapes([1], normalisation="mass"),
        lambda w, X, t: shapes_of(X, [1], ALL, t, "mass"),
        1,
    ),
    "assurance": (
        lambda: ef.MAC([2, 0], SHAPES, [0, 2], weights=2.0),
        lambda w, X, t: np.diag(ef.mac(X[[0, 2]][:, [2, 0]].T, SHAPES)),
        np.sqrt(2.0),
    ),
    "free shift": (
        lambda: ef.FreeShift(ef.Levels()),
        lambda w, X, t: shifted(w, t, np.ones(4)),
        1,
    ),
    "weighted free shift": (
        lambda: ef.FreeShift(ef.Levels(weights=ROOT**2)),
        lambda w, X, t: shifted(w, t, ROOT**2),
        ROOT,
    ),
    "free shift of differences": (
        lambda: ef.FreeShift(ef.Differences([(1, 0), (2, 0)], sigma=[0.5, 0.2])),
        lambda w, X, t: shifted(w[1:3] - w[0], t, np.array([4.0, 25.0])),
        [2.0, 5.0],
    ),
}


def case(name, dtype=tf.float64):
    """Problem, reference of the residual as a function of r and t, targets."""
    make, reference, roots = OBSERVATIONS[name]
    problem = ef.Problem(structure(dtype), make())
    rng = np.random.default_rng(len(name))
    t = rng.normal(size=problem.num_targets)

    def residual(r, t):
        return roots * (reference(*pencil(r), t) - t)

    return problem, residual, t


@pytest.fixture(params=OBSERVATIONS)
def name(request):
    return request.param


def test_values_and_residual(name):
    problem, residual, t = case(name)
    expected = residual(R, t)
    np.testing.assert_allclose(problem.residual(R, t), expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(problem.loss(R, t), np.sum(expected**2), rtol=1e-11)
    roots = OBSERVATIONS[name][2]
    np.testing.assert_allclose(
        problem.values(R, t), expected / roots + t, rtol=1e-11, atol=1e-12
    )
    np.testing.assert_allclose(problem.roots(), np.broadcast_to(roots, len(t)))


def test_jacobian_and_gradient_agree_with_finite_differences(name):
    problem, residual, t = case(name)
    J = zoo.finite_differences(lambda r: residual(r, t), R, STEP)
    np.testing.assert_allclose(problem.jacobian(R, t), J, rtol=1e-7, atol=1e-7)
    gradient = 2 * residual(R, t) @ J
    close = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(problem.gradient(R, t), gradient, **close)
    r = tf.constant(R)
    with tf.GradientTape() as tape:
        tape.watch(r)
        loss = problem.loss(r, t)
    np.testing.assert_allclose(tape.gradient(loss, r), gradient, **close)


def test_hessian(name):
    problem, residual, t = case(name)
    if problem.has_modes:
        with pytest.raises(ValueError, match="mode shapes are not computed"):
            problem.hessian(R, t)
        # Exact where the targets are met.
        met = problem.values(R, t)
        J = zoo.finite_differences(lambda r: residual(r, met.numpy()), R, STEP)
        H = hessian_at_solution(problem, problem.evaluate(R, met), met)
        np.testing.assert_allclose(H, 2 * J.T @ J, atol=1e-6 * np.abs(H).max())
        return
    expected = zoo.finite_differences(lambda r: problem.gradient(r, t).numpy(), R, STEP)
    size = np.abs(expected).max()
    H = problem.hessian(R, t)
    np.testing.assert_allclose(H, expected, atol=1e-7 * size)
    vector = np.array([0.3, -1.0, 0.2, 0.5, 0.1])
    product = problem.hessian_vector_product(R, t, vector)
    np.testing.assert_allclose(product, H.numpy() @ vector, atol=1e-9 * size)


def test_batches(rng, name):
    problem, residual, centre = case(name)

    def check(batch):
        r = R * rng.uniform(0.8, 1.2, [*batch, 5])
        t = centre + 0.1 * rng.normal(size=[*batch, len(centre)])
        values, J = problem.residual(r, t), problem.jacobian(r, t)
        loss, gradient = problem.loss(r, t), problem.gradient(r, t)
        assert values.shape == t.shape
        assert J.shape == [*batch, t.shape[-1], 5]
        assert gradient.shape == r.shape
        assert loss.shape == batch
        for index in np.ndindex(*batch):
            expected = residual(r[index], t[index])
            np.testing.assert_allclose(values[index], expected, rtol=1e-11, atol=1e-11)
            one = problem.jacobian(r[index], t[index])
            np.testing.assert_allclose(J[index], one, rtol=1e-10, atol=1e-10)

    each(check, batch=[[1], [3], [2, 2], [0]])


def test_single_precision(name):
    double, _, t = case(name)
    single, *_ = case(name, tf.float32)
    r, t32 = R.astype(np.float32), t.astype(np.float32)
    for function in ("residual", "jacobian"):
        value = getattr(single, function)(r, t32)
        assert value.dtype == tf.float32
        expected = getattr(double, function)(R, t)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(value, expected, atol=2e-5 * max(scale, 1))


@pytest.mark.sample(1)
@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_compile_with_an_unknown_batch(rng, xla):
    # An observation of each kind, all of one block: one program.
    names = ["some levels", "frequencies", "means", "unit shapes", "assurance"]
    names += ["largest component", "weighted free shift"]
    block = ef.Block(structure(), [OBSERVATIONS[name][0]() for name in names])
    problem = ef.Problem([block])
    m = problem.num_targets
    spec = [tf.TensorSpec([None, k], tf.float64) for k in (5, m)]

    def everything(r, t):
        point = problem.evaluate(r, t)
        return point.residual, problem.jacobian_at(point)

    compiled = tf.function(everything, input_signature=spec, jit_compile=xla)
    r = R * rng.uniform(0.8, 1.2, [3, 5])
    t = np.concatenate([case(name)[2] for name in names])
    t = t + 0.1 * rng.normal(size=[3, m])
    expected = [residual for _, residual, _ in map(case, names)]
    found = compiled(tf.constant(r), tf.constant(t))
    for value, own in zip(found, everything(r, t), strict=True):
        np.testing.assert_allclose(value, own, rtol=1e-9, atol=1e-9)
    for (_, _, where), residual in zip(problem.terms, expected, strict=True):
        np.testing.assert_allclose(
            found[0][1][where], residual(r[1], t[1][where]), rtol=1e-9, atol=1e-9
        )


finite = st.floats(-5.0, 5.0, allow_nan=False)
spectra = st.lists(finite, min_size=2, max_size=5).map(sorted)


@hypothesis.given(spectra, finite, st.data())
def test_a_free_shift_is_the_best_one(levels, shift, data):
    size = len(levels)
    t = np.array(data.draw(st.lists(finite, min_size=size, max_size=size)))
    weights = np.array(
        data.draw(st.lists(st.floats(0.1, 10.0), min_size=size, max_size=size))
    )
    w = tf.constant(levels, tf.float64)
    free = ef.FreeShift(ef.Levels(weights=weights))
    residual = free.measure(w, None, tf.constant(t)) - t
    moved = free.measure(w, None, tf.constant(t + shift)) - (t + shift)
    np.testing.assert_allclose(moved, residual, atol=1e-12)
    best = np.sum(weights * residual.numpy() ** 2)
    for s in (-0.1, 0.1, shift):
        assert np.sum(weights * (np.array(levels) + s - t) ** 2) >= best - 1e-11


@hypothesis.given(spectra)
def test_combinations_do_what_their_names_say(levels):
    w, n = tf.constant(levels, tf.float64), len(levels)

    def measure(observation):
        return observation.measure(w, None, w).numpy()

    steps = [(k + 1, k) for k in range(n - 1)]
    np.testing.assert_allclose(measure(ef.Differences(steps)), np.diff(levels))
    back = [(b, a) for a, b in steps]
    np.testing.assert_allclose(measure(ef.Differences(back)), -np.diff(levels))
    relative = np.delete(levels, 1) - levels[1]
    np.testing.assert_allclose(measure(ef.RelativeTo(1)), relative)
    mean = measure(ef.ClusterMeans([range(n)]))
    np.testing.assert_allclose(mean, [np.mean(levels)], atol=1e-12)


def test_derivatives_by_targets(rng, name):
    problem, residual, centre = case(name)

    def check(batch):
        r = R * rng.uniform(0.8, 1.2, [*batch, 5])
        t = centre + 0.1 * rng.normal(size=[*batch, len(centre)])
        B = problem.target_jacobian_at(problem.evaluate(r, t))
        for index in np.ndindex(*batch):
            own = partial(residual, r[index])
            expected = zoo.finite_differences(own, t[index], STEP)
            np.testing.assert_allclose(B[index], expected, rtol=1e-7, atol=1e-7)

    each(check, batch=[[], [3]])


def test_derivatives_by_targets_of_several_blocks_and_priors():
    names = ["largest component", "frequencies", "weighted free shift"]
    blocks = [
        ef.Block(structure(), [OBSERVATIONS[k][0]() for k in names[:2]]),
        ef.Block(structure(), OBSERVATIONS[names[2]][0]()),
    ]
    prior = ef.Parameters(prior={"r1": (1.0, 0.5)})
    problem = ef.Problem(blocks, parameters=prior)
    t = np.concatenate([case(name)[2] for name in names])
    B = problem.target_jacobian_at(problem.evaluate(R, t))
    expected = zoo.finite_differences(lambda x: problem.residual(R, x).numpy(), t, STEP)
    assert B.shape == (len(t) + 1, len(t))
    np.testing.assert_allclose(B, expected, rtol=1e-7, atol=1e-7)
