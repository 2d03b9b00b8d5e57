"""Derivatives of fits by targets: every observation, with all that a fit may know."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

ORDER = 4


def observations():
    """Observation, and its weights by number of targets."""
    rows = [0, 1, 3]
    shapes = np.array([[0.9, 0.3, -0.2], [0.1, 0.8, 0.6]])
    return {
        "levels": lambda w: ef.Levels([0, 1, 3], weights=w),
        "frequencies": lambda w: ef.Frequencies([0, 1, 2], weights=w),
        "differences": lambda w: ef.Differences([(1, 0), (3, 1), (2, 0)], weights=w),
        "relative": lambda w: ef.RelativeTo(0, weights=w),
        "means": lambda w: ef.ClusterMeans([[0, 1], [2], [3]], weights=w),
        "max": lambda w: ef.ModeShapes([0, 2], rows, weights=w),
        "unit": lambda w: ef.ModeShapes([0, 2], rows, "unit", weights=w),
        "mass": lambda w: ef.ModeShapes([1], rows, "mass", weights=w),
        "assurance": lambda w: ef.MAC([0, 1], shapes, rows, weights=w),
        "shift": lambda w: ef.FreeShift(ef.Levels(weights=w)),
        # Not scaled by the largest target, which the shift would change as well.
        "shifted shapes": lambda w: ef.FreeShift(
            ef.ModeShapes([0], rows, "unit", weights=w)
        ),
    }


OBSERVATIONS = observations()
FACTORS = np.array([1.0, 3.0, 0.5, 2.0, 0.7, 1.5])
KNOWN = ["none", "bounds", "prior", "tie", "weights"]
SIZES = {"fewer": -1, "as many": 0, "more": 2}


def structure(number):
    rng = np.random.default_rng(7)
    basis = rng.normal(size=[number, ORDER, ORDER])
    basis = (basis + basis.swapaxes(1, 2)) / 4
    offset = np.diag([3.0, 5.0, 8.0, 12.0]) + 0.8
    return ef.Affine(basis, offset)


def case(name, known, size):
    make = OBSERVATIONS[name]
    m = make(None).num_targets(ORDER)
    number = max(m + SIZES[size], 1) + (known == "tie")
    options = {}
    names = [f"r{k}" for k in range(number)]
    if known == "prior":
        options["prior"] = {k: (0.1, 0.4) for k in names[:2]}
    if known == "tie":
        options["ties"] = {names[-1]: (names[0], 1.5)}
    weights = FACTORS[:m] if known == "weights" else None

    def problem(**more):
        known = ef.Parameters(names, **options, **more)
        return ef.Problem(structure(number), make(weights), parameters=known)

    free = problem()
    rng = np.random.default_rng(len(name))
    p = free.num_parameters
    t = free.values(rng.uniform(-0.4, 0.4, p), np.ones(m)).numpy()
    t = free.values(rng.uniform(-0.4, 0.4, p), t).numpy()
    if size == "fewer":
        t = t + 0.03 * np.abs(t).max() * rng.uniform(-1, 1, m)
    start = np.zeros(p)
    if known != "bounds":
        return free, start, t
    # Bounds beyond which the solution would lie: one, or a box that gets smaller.
    solver = ef.Solver(free, ef.LevenbergMarquardt(), compile="eager")
    wanted = fitted(solver, start[np.newaxis], t).parameters.numpy()[0]
    limits = [
        (-part * np.abs(wanted).max(), part * np.abs(wanted).max())
        for part in (0.9, 0.7, 0.5, 0.3, 0.1)
    ]
    if size != "more":
        limits.insert(0, {names[0]: sorted([0.3 * wanted[0], -5 * wanted[0]])})
    for pair in limits:
        bounded = problem(bounds=pair)
        solver = ef.Solver(bounded, ef.LevenbergMarquardt(), compile="eager")
        inside = bounded.limit(start).numpy()
        found = fitted(solver, inside[np.newaxis], t)
        if bounded.on_bounds(found.parameters).numpy().any():
            return bounded, inside, t
    raise AssertionError("No fit ends on a bound.")


def fitted(solver, starts, targets):
    return solver.fit(starts, targets, tolerance=1e-24, max_steps=3000)


def differences(solver, start, targets, step):
    """Of whole fits, by each target, of fourth order: `[p, m]`."""
    m = len(targets)
    steps = np.concatenate([k * step * np.eye(m) for k in (1, -1, 2, -2)])
    starts = np.broadcast_to(start, [4 * m, len(start)])
    found = fitted(solver, starts, targets + steps)
    r = polished(solver.problem, found.parameters.numpy(), targets + steps, start)
    a, b, c, d = np.split(r, 4)
    return ((8 * (a - b) - (c - d)) / (12 * step)).T


def scales(problem, J):
    """Of the columns, in which steps are shortest: `[..., p]`."""
    if problem.squared_norms() is None:
        return np.linalg.norm(J, axis=-2)
    return np.broadcast_to(np.sqrt(problem.squared_norms()), J[..., 0, :].shape)


def polished(problem, r, targets, start):
    """Newton steps by NumPy to where the gradient is rounding: `[b, p]`.

    With the differenced Hessian at a start near all members; along what it does not
    see nothing moves.
    """
    free = problem.on_bounds(start).numpy() == 0
    targets = np.broadcast_to(targets, [len(r), np.shape(targets)[-1]])
    t = np.mean(targets, axis=0)
    scale = scales(problem, problem.jacobian(start, t).numpy())
    scale = np.where(scale > 0, scale, 1)
    H = zoo.finite_differences(lambda x: problem.gradient(x, t).numpy(), start, 1e-5)
    inverse = np.linalg.pinv(np.outer(free, free) * H / np.outer(scale, scale), 1e-7)
    for _ in range(40):
        g = problem.gradient(r, targets).numpy()
        step = g / scale @ inverse.T / scale
        r = r - step
        if np.abs(step).max() < 1e-14:
            break
    return r


def jacobian(solver, start, targets):
    """By the implicit derivative, a member for each parameter: `[p, m]`."""
    p = len(start)
    t = tf.constant(np.broadcast_to(targets, [p, len(targets)]))
    with tf.GradientTape() as tape:
        tape.watch(t)
        solution = fitted(solver, np.broadcast_to(start, [p, p]), t)
        value = tf.linalg.trace(solution.parameters)
    return solution, tape.gradient(value, t).numpy()


def shortest(problem, r, targets):
    """What meets moved targets with the least change of scaled parameters: `[p, m]`.

    Parameters on their bounds stay there.
    """
    point = problem.evaluate(r, targets)
    J, B = problem.jacobian_at(point).numpy(), problem.target_jacobian_at(point).numpy()
    scale = scales(problem, J)
    free = problem.on_bounds(r).numpy() == 0
    return -(free / scale)[:, np.newaxis] * np.linalg.pinv(J * free / scale, 1e-9) @ B


def check(name, known, size):
    problem, start, targets = case(name, known, size)
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="eager")
    solution = fitted(solver, start[np.newaxis], targets)
    r = solution.parameters.numpy()
    r = polished(problem, r, targets, r[0])[0]
    again, actual = jacobian(solver, r, targets)
    assert np.isfinite(actual).all()
    met = bool((again.result == ef.Result.converged).numpy().all())
    if known == "bounds":
        on = problem.on_bounds(r).numpy() != 0
        assert on.any()
        np.testing.assert_array_equal(actual[on], 0)
    # Where several meet the targets the nearest in scaled parameters is meant, which
    # the last steps of a fit miss by rounding; a bound holds those that it need not.
    rank = np.linalg.matrix_rank(problem.jacobian(r, targets).numpy(), 1e-7)
    several = rank < len(r)
    largest = max(np.abs(actual).max(), 1)
    if met and (several or known == "bounds"):
        expected = shortest(problem, r, targets)
        np.testing.assert_allclose(actual, expected, atol=1e-6 * largest)
    if not (met and known == "bounds"):
        # Parameters move by 3e-4 at most: the rule is wrong by 1e-10 of that.
        step = min(3e-4 / (np.abs(actual).max() or 1), 1e-3 * np.abs(targets).max())
        expected = differences(solver, r, targets, step)
        atol = (1e-5 if several else 1e-6) * largest
        np.testing.assert_allclose(actual, expected, atol=atol)


PRODUCT = [
    pytest.param(
        name,
        known,
        size,
        # One of each observation, of all in turn.
        marks=() if (i + 3 * j + k * 4) % 15 == 0 else pytest.mark.slow,
        id=f"{name}, {known}, {size}",
    )
    for i, name in enumerate(OBSERVATIONS)
    for j, known in enumerate(KNOWN)
    for k, size in enumerate(SIZES)
]


@pytest.mark.sample(5)
@pytest.mark.parametrize(("name", "known", "size"), PRODUCT)
def test_agrees_with_differences_of_whole_fits(name, known, size):
    check(name, known, size)
