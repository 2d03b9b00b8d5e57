"""Intervals against lmfit, against SciPy, and by simulation."""

import lmfit
import numpy as np
import pytest
from scipy.optimize import brentq, least_squares
from scipy.stats import chi2, norm
from tests.intervals.nist import SETS
from tests.intervals.problems import CurveFit

import eigenfit as ef
from eigenfit import gallery


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_intervals_of_reference_data_are_those_of_lmfit(name):
    data = SETS[name]
    start = np.array(data.certified) * (1 + 1e-3)
    size = abs(data.y).max()
    fit = CurveFit(data.model, data.x, len(start), size=size).fit(start, data.y)
    np.testing.assert_allclose(fit.parameters, data.certified, rtol=1e-7)
    errors = fit.uncertainty().standard_errors
    np.testing.assert_allclose(errors, data.deviations, rtol=1e-6)
    levels = [chi2.cdf(k**2, 1) for k in (1, 2)]
    found = ef.profile(fit, levels=levels)

    names = [f"b{k + 1}" for k in range(len(start))]
    parameters = lmfit.create_params(**dict(zip(names, start, strict=True)))

    def residual(p):
        return data.model([p[k].value for k in names], data.x, np.exp) - data.y

    minimiser = lmfit.Minimizer(residual, parameters)
    # Tight, and from the same minimum: lmfit's own stops at 1e-8.
    best = minimiser.minimize(method="leastsq", ftol=1e-15, xtol=1e-15)
    minimiser.userkws = {}
    expected = lmfit.conf_interval(minimiser, best, sigmas=[1, 2])
    for k, own in enumerate(names):
        low2, low1, _, high1, high2 = [value for _, value in expected[own]]
        np.testing.assert_allclose(
            [*found.low[k], *found.high[k]] - found.best[k],
            np.array([low1, low2, high1, high2]) - found.best[k],
            rtol=1e-4,
        )
    assert found.criterion.name == "F"
    assert (found.closing == "closed").all()


@pytest.mark.slow
def test_where_the_model_is_linear_profiles_are_the_linear_intervals():
    entry = gallery.load("rotational-h2coh+")
    solver = ef.Solver(entry.problem, entry.method)
    fit = solver.fit(entry.initial, entry.targets)
    found = ef.profile(fit, levels=[chi2.cdf(1, 1), chi2.cdf(4, 1)])
    errors = fit.uncertainty().standard_errors
    for ends in (found.high.T - found.best, found.best - found.low.T):
        np.testing.assert_allclose(ends, [errors, 2 * errors], rtol=1e-2)
    assert len(found.names) == 8


def decay(b, x, exp):
    return b[0] * exp(-b[1] * x)


def test_curved_models_by_scipy():
    """Each end by a root of the rise, all other parameters fitted by SciPy."""
    x, sigma = np.array([0.0, 1.0, 2.0, 3.0]), 0.2
    y = np.array([1.1, 0.45, 0.3, 0.15])
    fit = CurveFit(decay, x, 2, sigma=sigma).fit([1.0, 0.8], y)
    found = ef.profile(fit, ["b2"], levels=[0.9])

    def rise(value):
        def residual(a):
            return (decay([a[0], value], x, np.exp) - y) / sigma

        return 2 * least_squares(residual, [1.0], xtol=1e-15).cost - float(fit.loss)

    limit, best = chi2.ppf(0.9, 1), float(fit.parameters[1])
    ends = [brentq(lambda v: rise(v) - limit, *x) for x in ((0.0, best), (best, 9.0))]
    low, high = np.array(ends, float)
    np.testing.assert_allclose(found.interval("b2"), [low, high], rtol=1e-5)
    assert high - best > 1.2 * (best - low)  # nothing a linear interval could tell


@pytest.mark.slow
def test_ends_on_bounds_and_open_ends_are_said():
    x = np.array([0.0, 1.0, 2.0])
    y = np.array([1.0, 0.6, 0.3])
    held = CurveFit(decay, x, 2, sigma=0.5, bounds=(0.0, 5.0))
    fit = held.fit([1.0, 0.8], y)
    found = ef.profile(fit, ["b2"], levels=[0.5, 0.99])
    assert found.closing[0].tolist()[1] == ["bound", "bound"]
    assert (found.low[0, 1], found.high[0, 1]) == (0.0, 5.0)
    # Without bounds: from some rate on nothing but the first datum is left.
    fit = CurveFit(decay, x, 2, sigma=0.5).fit([1.0, 0.8], y)
    found = ef.profile(fit, ["b2"], levels=[0.99])
    assert found.closing[0, 0, 1] == "open"
    assert found.high[0, 0] == np.inf
    assert "(open)" in str(found)
    (axes,) = found.plot().axes
    assert axes.get_xlabel() == "b2"
    assert np.isfinite(axes.get_xlim()).all()


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_change_nothing(scale):
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.1, 0.45, 0.3, 0.15])
    one = CurveFit(decay, x, 2, sigma=0.2).fit([1.0, 0.8], y)
    scaled = CurveFit(decay, x, 2, sigma=0.2 * scale, size=scale)
    other = scaled.fit([scale, 0.8], y * scale)
    expected, found = ef.profile(one), ef.profile(other)
    factor = np.array([[scale], [1.0]])
    np.testing.assert_allclose(found.high, expected.high * factor, rtol=1e-5)
    np.testing.assert_allclose(found.low, expected.low * factor, rtol=1e-5)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("sigma", "truth", "bounds"), [(0.09, 1.0, None), (0.5, 3.0, (0.99, 1.01))]
)
def test_parameters_that_are_soon_done_leave_the_others_alone(sigma, truth, bounds):
    """A linear parameter beside the coupling b of [[0, b], [b, 10]].

    The lower level is all that is known of b, so that its profile has a closed form.
    """
    one = ef.Block(ef.Affine([[[1.0]], [[0.0]]]), ef.Levels(sigma=0.1), "one")
    basis = np.array([np.zeros([2, 2]), np.eye(2)[::-1]])
    coupled = ef.Affine(basis, offset=np.diag([0.0, 10.0]))
    two = ef.Block(coupled, ef.Levels([0], sigma=sigma), "two")
    known = ef.Parameters(["a", "b"], bounds=bounds and {"a": bounds})
    solver = ef.Solver(ef.Problem([one, two], parameters=known))

    def level(b):
        return 5 - np.hypot(5, b)

    def excess(b, limit):
        return ((level(b) - level(truth)) / sigma) ** 2 - limit

    found = ef.profile(solver.fit([1.0, 1.1 * truth], [1.0, level(truth)]))
    for k, limit in enumerate(found.limits):
        # Where 0 does not rise enough, the interval reaches to the mirror image.
        between = (0.0, truth) if excess(0.0, limit) > 0 else (-1e3, 0.0)
        low = brentq(excess, *between, args=limit)
        high = brentq(excess, truth, 1e3, args=limit)
        np.testing.assert_allclose(found.low[1, k], low, rtol=1e-5)
        np.testing.assert_allclose(found.high[1, k], high, rtol=1e-5)
    assert (found.closing[1] == "closed").all()
    drawn = found.plot().axes
    assert [axes.get_xlabel() for axes in drawn] == ["a", "b"]
    heights = set(np.concatenate([line.get_ydata() for line in drawn[1].lines]))
    assert set(found.limits) <= heights
    assert set(found.rises[1]) <= heights


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [None, (0.0, 1.7)])
def test_coverage_where_linear_intervals_fail(bounds):
    """The rate of a decay seen late: shares of simulated sets that hold the truth."""

    def model(b, x, exp):
        return exp(-b[0] * x)

    rng = np.random.default_rng(4)
    x, truth, sigma, level = np.array([1.0, 2.0]), 1.5, 0.08, 0.68
    curve = CurveFit(model, x, 1, sigma=sigma, bounds=bounds)
    profiled, linear = [], []
    for _ in range(700):
        fit = curve.fit([truth], model([truth], x, np.exp) + sigma * rng.normal(size=2))
        error = fit.uncertainty().standard_errors[0]  # NaN on the bound
        if not fit.success or np.isinf(error):  # a decay too fast to be seen
            continue
        low, high = ef.profile(fit, levels=[level]).interval("b1")
        profiled.append(low <= truth <= high)
        linear.append(abs(float(fit.parameters[0]) - truth) <= norm.ppf(0.84) * error)
    wanted = 3 * np.sqrt(level * (1 - level) / len(profiled))
    assert len(profiled) > 650
    assert abs(np.mean(profiled) - level) < wanted
    assert abs(np.mean(linear) - level) > wanted


def test_what_cannot_be_profiled_is_refused():
    x, y = np.array([0.0, 1.0]), np.array([1.0, 0.5])
    exact = CurveFit(decay, x, 2).fit([1.0, 0.8], y)
    with pytest.raises(ValueError, match="no more data than unknowns"):
        ef.profile(exact)
    known = CurveFit(decay, x, 2, sigma=0.1).fit([1.0, 0.8], y)
    with pytest.raises(ValueError, match="'b3', but the unknowns are b1, b2"):
        ef.profile(known, ["b3"])
    with pytest.raises(ValueError, match="between 0 and 1"):
        ef.profile(known, levels=[68.0])
    batch = ef.Solver(known.asked.problem).fit([[1.0, 0.8]], known.targets)
    with pytest.raises(ValueError, match="must be one fit"):
        ef.profile(batch)
    ef.profile(batch.member(0), ["b1"])


SLOPE, OFFSET = np.diag(np.arange(1.0, 6.0)), np.eye(5)
DATA = np.array([0.92, 2.17, 2.93, 4.11, 5.3])


@pytest.mark.sample(1)
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_a_parameter_on_its_bound_has_an_interval_to_one_side(unit):
    """A linear model, whose rise from the bound is a difference of two squares."""
    bound = 0.3 * unit
    known = ef.Parameters(["a", "b"], bounds={"b": (bound, None)})
    observed = ef.Levels(sigma=0.1 * unit)
    problem = ef.Problem(ef.Affine([SLOPE, OFFSET]), observed, parameters=known)
    fit = ef.Solver(problem).fit([unit, unit], unit * DATA)
    found = ef.profile(fit, ["b"], levels=[0.9])
    A = np.column_stack([np.diag(SLOPE), np.diag(OFFSET)])
    free = np.linalg.lstsq(A, unit * DATA)[0][1]
    variance = (0.1 * unit) ** 2 * np.linalg.inv(A.T @ A)[1, 1]
    end = free + np.sqrt((bound - free) ** 2 + variance * chi2.ppf(0.9, 1))
    assert free < bound
    assert found.closing[0, 0].tolist() == ["bound", "closed"]
    np.testing.assert_allclose(found.interval("b"), [bound, end], rtol=1e-6)


def test_a_robust_loss_is_refused():
    observed = [ef.Levels([0, 1], sigma=0.1), ef.Levels([2, 3, 4], loss="huber")]
    problem = ef.Problem(ef.Affine([SLOPE, OFFSET]), observations=observed)
    fit = ef.Solver(problem, compile="eager").fit([1.0, 0.1], DATA)
    assert fit.success
    why = (
        r"`fit` has the robust loss 'huber' in observation 1 \(levels, from 'level 2' "
        r"on\).* Use the errors of `uncertainty`, or fit again with the linear loss"
    )
    for function in (ef.profile, ef.posterior, lambda x: ef.contours(x, ("r0", "r1"))):
        with pytest.raises(ValueError, match=why):
            function(fit)


def test_what_has_no_chi_square_is_refused():
    twice = ef.Problem(ef.Affine([SLOPE, 2 * SLOPE]), ef.Levels(sigma=0.1))
    with pytest.raises(ValueError, match="do not determine r0"):
        ef.profile(ef.Solver(twice).fit([0.5, 0.2], DATA))
    one = ef.Problem(ef.Affine([SLOPE]), ef.Levels(sigma=0.1))
    early = ef.Solver(one).fit([1.5], DATA, tolerance=1e6)
    with pytest.raises(ValueError, match="at the `tolerance` that was given"):
        ef.profile(early)
    shapes = ef.Problem(
        ef.Affine([np.diag([1.0, 0.0]), np.ones([2, 2])]),
        observations=[ef.Levels(sigma=0.1), ef.ModeShapes([0], sigma=0.1)],
    )
    fit = ef.Solver(shapes).fit([1.0, 0.5], [0.3, 1.8, 1.0, -0.4])
    with pytest.raises(ValueError, match="the loss is not chi-square"):
        ef.profile(fit)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_that_are_rounded_are_bounds(dtype):
    offset, ones = np.diag([0.0, 1.0, 2.5]), np.ones([3, 3])
    basis = [np.diag([0.0, 1.0, 2.0]), ones, np.diag([1.0, 0.0, 0.0])]
    bounds = {"c": (-0.05, 0.12), "d": (0.0, np.inf)}
    problem = ef.Problem(
        ef.Affine(basis, offset, dtype=dtype),
        ef.Levels(sigma=0.1),
        parameters=ef.Parameters(["s", "c", "d"], bounds=bounds),
    )
    targets = np.array([0.1, 1.25, 4.3], dtype)
    fit = ef.Solver(problem).fit(np.array([0.3, 0.11, 0.05], dtype), targets)
    found = ef.profile(fit, ["c"], levels=[0.68, 0.95])
    # By SciPy the loss rises by 2.74 to the upper bound, less than 3.84.
    assert found.closing[0].tolist() == [["bound", "closed"], ["bound", "bound"]]
    np.testing.assert_allclose(found.high[0, 1], 0.12, rtol=1e-7)
    np.testing.assert_allclose(found.low[0] - found.best[0], 0.0, atol=1e-12)
