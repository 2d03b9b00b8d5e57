"""Names, bounds, fixed values, ties and priors."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

import eigenfit as ef

BOUNDED = [
    ef.LevenbergMarquardt(),
    ef.Alternating(num_bursts=4),
    ef.Alternating(num_bursts=4, descend_first=True),
    ef.GaussNewton(),
    ef.Newton(),
    ef.Adam(learning_rate=0.05),
]
UNBOUNDED = [
    ef.LBFGS(),
    ef.LoewnerNewton(),
    ef.IsospectralProjection(),
    ef.LiftAndProject(),
    ef.ClusterNewton(),
]
BASIS = np.array([np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0]), np.eye(3)[::-1]])
OFFSET = np.array([[0.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 3.0]])
NAMES = ["A", "B", "C"]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"names": "ABC"}, "`names` must be a list of texts"),
        ({"names": ["A", 3]}, "`names` must be a list of texts"),
        ({"names": ["A", ""]}, "`names` must be a list of texts"),
        ({"names": []}, "`names` must be a list of texts"),
        ({"names": 3}, "`names` must be a list of texts"),
        ({"names": ["A", "B", "A"]}, "`names` has 'A' twice"),
        ({"bounds": {"A": (1, 0)}}, r"`bounds\['A'\]` must be a pair .* in `fixed`"),
        ({"bounds": {"A": (1, 1)}}, r"low < high"),
        ({"bounds": {"A": (0, np.nan)}}, r"`bounds\['A'\]`"),
        ({"bounds": {"A": 3}}, r"`bounds\['A'\]` must be a pair"),
        ({"bounds": [(0, 1), (0, 2)]}, "`bounds` must be a pair"),
        ({"bounds": (np.inf, None)}, "`bounds` must be a pair"),
        ({"fixed": {"A": "much"}}, r"`fixed\['A'\]` must be a finite number, got 'mu"),
        ({"fixed": {"A": np.inf}}, r"`fixed\['A'\]` must be a finite number"),
        ({"ties": {"A": 3.0}}, r"`ties\['A'\]` must be {other: factor} or"),
        ({"ties": {"A": (1.0, "B")}}, r"`ties\['A'\]` must be"),
        ({"ties": {"A": {}}}, r"`ties\['A'\]` must name other parameters"),
        ({"ties": {"A": {"A": 1.0}}}, "must name other parameters"),
        ({"ties": {"A": {"B": "x"}}}, r"`ties\['A'\]\['B'\]` must be a finite"),
        ({"prior": {"A": 1.0}}, r"`prior\['A'\]` must be a finite number"),
        ({"prior": {"A": (1.0, 0.0)}}, r"`prior\['A'\]` must be \(mean, sigma\)"),
        ({"prior": {"A": (1.0, -1.0)}}, "with sigma > 0"),
        ({"fixed": {"A": 1.0}, "ties": {"A": ("B", 1.0)}}, "both in `fixed` and in"),
    ],
)
def test_bad_values_are_refused(known, message):
    with pytest.raises(ValueError, match=message):
        ef.Parameters(**known)


@pytest.mark.parametrize("name", ["fixed", "ties", "scales"])
def test_what_is_no_mapping_is_refused(name):
    with pytest.raises(TypeError, match=f"`{name}` must be a mapping"):
        ef.Parameters(**{name: [("A", 1.0)]})


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"names": ["A"]}, "`names` has 1 names for 3 parameters"),
        ({"bounds": {"D": (0, 1)}}, "`bounds` names 'D'; the parameters are A, B, C"),
        ({"fixed": {"D": 1.0}}, "`fixed` names 'D'"),
        ({"ties": {"D": ("A", 1.0)}}, "`ties` names 'D'"),
        ({"ties": {"A": ("D", 1.0)}}, "`ties` names 'D'"),
        ({"prior": {"D": (0, 1)}}, "`prior` names 'D'"),
        (
            {"ties": {"A": ("B", 1.0), "B": ("C", 1.0)}},
            "depend on 'B', which is tied itself",
        ),
        (
            {"bounds": {"A": (0, 1)}, "fixed": {"A": 1.0}},
            "`bounds` names 'A', which is fixed or tied",
        ),
        (
            {"prior": {"A": (0, 1)}, "ties": {"A": ("B", 1.0)}},
            "`prior` names 'A', which is fixed or tied",
        ),
        ({"fixed": dict.fromkeys("ABC", 1.0)}, "there is nothing to fit"),
    ],
)
def test_what_does_not_fit_the_structure_is_refused(known, message):
    parameters = ef.Parameters(**({"names": NAMES} | known))
    with pytest.raises(ValueError, match=message):
        ef.Problem(ef.Affine(BASIS), parameters=parameters)


def test_names_by_default():
    problem = ef.Problem(ef.Symmetric(2), parameters=ef.Parameters(fixed={"r1": 3.0}))
    assert problem.all_names == ("r0", "r1", "r2")
    assert problem.parameter_names == ("r0", "r2")
    assert problem.num_parameters == 2


def test_expand_writes_out_ties_and_fixed_values():
    known = ef.Parameters(
        list("ABCDEF"),
        fixed={"B": 2.0},
        ties={
            "C": {"A": 3.0, "B": 0.5, "": -1.0},
            "D": ("F", -2.0),
            "E": {"": 7.0},
        },
    )
    problem = ef.Problem(ef.Symmetric(3), parameters=known)
    assert problem.parameter_names == ("A", "F")
    x = np.array([[1.0, 10.0], [-2.0, 0.5]])
    expected = [[a, 2, 3 * a + 1 - 1, -2 * f, 7, f] for a, f in x]
    np.testing.assert_allclose(problem.expand(x), expected)
    np.testing.assert_allclose(problem.expand(x[0]), expected[0])
    np.testing.assert_allclose(problem.expand(np.zeros([2, 0, 2])), np.zeros([2, 0, 6]))


factors = st.floats(-3, 3, allow_nan=False)


@hypothesis.given(
    st.lists(factors, min_size=6, max_size=6), st.lists(factors, min_size=2, max_size=2)
)
def test_a_tied_problem_is_the_free_one_at_the_expanded_parameters(numbers, x):
    a, b, c, d, e, f = numbers
    ties = {"B": {"A": a, "C": b, "": c}}
    free = ef.Problem(ef.Affine(BASIS, OFFSET))
    tied = ef.Problem(
        ef.Affine(BASIS, OFFSET), parameters=ef.Parameters(NAMES, ties=ties)
    )
    t = np.sort([d, e, f])
    r = np.array([x[0], a * x[0] + b * x[1] + c, x[1]])
    np.testing.assert_allclose(tied.expand(x), r, atol=1e-13)
    np.testing.assert_allclose(tied.loss(x, t), free.loss(r, t), rtol=1e-11)
    T = np.array([[1, 0], [a, b], [0, 1]])
    gradient = free.gradient(r, t).numpy() @ T
    np.testing.assert_allclose(tied.gradient(x, t), gradient, atol=1e-10)


def test_a_prior_adds_its_square_to_the_loss_and_to_the_jacobian():
    known = ef.Parameters(NAMES, prior={"C": (0.5, 0.1), "A": (1.0, 2.0)})
    problem = ef.Problem(ef.Affine(BASIS, OFFSET), parameters=known)
    free = ef.Problem(ef.Affine(BASIS, OFFSET))
    r, t = np.array([0.3, 0.2, 0.1]), np.array([0.0, 1.0, 3.0])
    extra = np.array([(0.1 - 0.5) / 0.1, (0.3 - 1.0) / 2.0])
    np.testing.assert_allclose(problem.residual(r, t)[3:], extra)
    np.testing.assert_allclose(problem.loss(r, t), free.loss(r, t) + extra @ extra)
    rows = [[0, 0, 10.0], [0.5, 0, 0]]
    np.testing.assert_allclose(problem.jacobian(r, t)[3:], rows)
    added = problem.hessian(r, t) - free.hessian(r, t)
    np.testing.assert_allclose(added, np.diag([0.5, 0, 200.0]), atol=1e-9)


def levels_of(r):
    return np.linalg.eigvalsh(OFFSET + np.tensordot(r, BASIS, 1))


LOWER, UPPER = np.array([0.0, -1.0, 0.2]), np.array([0.4, np.inf, 0.6])


def bounded_problem():
    bounds = {"A": (0.0, 0.4), "B": (-1.0, None), "C": (0.2, 0.6)}
    known = ef.Parameters(NAMES, bounds=bounds)
    return ef.Problem(ef.Affine(BASIS, OFFSET), parameters=known)


@pytest.mark.sample(3)
@pytest.mark.parametrize("method", BOUNDED, ids=repr)
def test_every_step_stays_inside_the_bounds(method):
    # The targets are those of A = 1.2, C = 1.4: outside, so that steps press.
    problem = bounded_problem()
    solver = ef.Solver(problem, method, compile="graph")
    t = levels_of([1.2, 2.0, 1.4])
    start = tf.constant([[0.1, 0.0, 0.3], [0.4, 2.0, 0.6]], tf.float64)
    every = tf.tile(t[tf.newaxis], [2, 1])

    @tf.function
    def step(state):
        return method.step(problem, state, every)

    state = method.init(problem, start, every)
    for _ in range(25):
        state = step(state)
        for point in (state.point, getattr(state, "current", state.point)):
            r = point.parameters.numpy()
            assert ((r >= LOWER) & (r <= UPPER)).all(), r
    found = solver.fit(start.numpy(), t, max_steps=1500)
    r = found.parameters.numpy()
    assert ((r >= LOWER) & (r <= UPPER)).all()
    reference = scipy.optimize.least_squares(
        lambda r: levels_of(r) - t,
        [0.1, 0.0, 0.3],
        bounds=(LOWER, UPPER),
        xtol=1e-14,
        gtol=1e-12,
        ftol=1e-14,
    )
    assert reference.active_mask.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.loss, 2 * reference.cost, rtol=2e-3)
    np.testing.assert_array_equal(problem.on_bounds(r)[:, 0], [1, 1])
    if not isinstance(method, (ef.Adam, ef.GaussNewton, ef.Newton)):
        np.testing.assert_allclose(found.loss, 2 * reference.cost, rtol=1e-9)
        np.testing.assert_allclose(r, np.tile(reference.x, [2, 1]), atol=1e-5)
        np.testing.assert_array_equal(problem.on_bounds(r), [[1, 0, 1]] * 2)
        assert (found.result.numpy() == ef.Result.stationary).all()


def test_bounds_that_do_not_press_change_nothing():
    t = levels_of([0.2, 0.5, 0.4])
    start = [0.1, 0.1, 0.5]
    method = ef.LevenbergMarquardt()
    free = ef.Solver(ef.Problem(ef.Affine(BASIS, OFFSET)), method)
    bounded = ef.Solver(bounded_problem(), method)
    found = bounded.fit(start, t, tolerance=1e-24)
    np.testing.assert_allclose(levels_of(found.parameters.numpy()), t, atol=1e-11)
    np.testing.assert_allclose(
        found.parameters, free.fit(start, t, tolerance=1e-24).parameters, atol=1e-9
    )
    np.testing.assert_array_equal(bounded.problem.on_bounds(found.parameters), [0] * 3)


def test_a_start_outside_is_refused_by_name():
    solver = ef.Solver(bounded_problem(), ef.LevenbergMarquardt())
    message = r"`initial`: C = 0.7 lies outside its bounds \(0.2, 0.6\)"
    with pytest.raises(ValueError, match=message):
        solver.fit([0.1, 0.0, 0.7], [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"of member \(1,\): B = -2 lies outside"):
        solver.fit([[0.1, 0.0, 0.3], [0.1, -2.0, 0.3]], [0.0, 1.0, 2.0])
    # A bound belongs to its interval.
    solver.fit([0.4, -1.0, 0.2], [0.0, 1.0, 2.0], max_steps=1)


@pytest.mark.parametrize("method", UNBOUNDED, ids=repr)
def test_methods_that_know_no_bounds_say_so(method):
    known = ef.Parameters(bounds=(-1.0, 1.0))
    with pytest.raises(ValueError, match="knows no bounds of parameters"):
        ef.Solver(ef.Problem(ef.Symmetric(2), parameters=known), method)


def test_bounds_for_all_unknowns_at_once():
    known = ef.Parameters(NAMES, bounds=(0, None), fixed={"B": -3.0})
    problem = ef.Problem(ef.Affine(BASIS, OFFSET), parameters=known)
    assert problem.bounds is not None
    lower, upper = problem.bounds
    np.testing.assert_array_equal(lower, [0.0, 0.0])
    np.testing.assert_array_equal(upper, [np.inf, np.inf])
    np.testing.assert_array_equal(problem.limit(tf.constant([[-1.0, 2.0]])), [[0, 2]])
    np.testing.assert_array_equal(
        problem.inside(tf.constant([[0.0, 2.0], [-1e-9, 1.0]])), [1, 0]
    )
    open_ends = ef.Parameters(bounds={"r0": (None, np.inf)})
    assert ef.Problem(ef.Symmetric(2), parameters=open_ends).bounds is None


def test_how_they_are_shown():
    known = ef.Parameters(["A", "B"], fixed={"A": 1.0})
    assert repr(known) == "Parameters(names=('A', 'B'), fixed={'A': 1.0})"


def test_scales_are_the_sizes_of_random_starts():
    problem = ef.Problem(
        ef.Affine([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]),
        parameters=ef.Parameters(["a", "b"], scales={"b": 1e6}),
    )
    found = ef.multistart(ef.Solver(problem), [1.0, 2e6], starts=64, max_steps=0)
    size = found.starts.std(axis=0)
    assert 0.5 < size[0] < 2
    assert 0.5e6 < size[1] < 2e6


@pytest.mark.parametrize("size", [0.0, -1.0, np.nan, "large"])
def test_scales_must_be_positive(size):
    with pytest.raises(ValueError, match=r"`scales\['r0'\]` must be"):
        ef.Parameters(scales={"r0": size})
