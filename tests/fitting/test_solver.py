import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit.fitting.compilation import chosen_mode

T = [1.0, 1.0, 1.0]
METHODS = {
    "adam": ef.Adam(learning_rate=0.01),
    "levenberg-marquardt": ef.LevenbergMarquardt(),
    "projection": ef.IsospectralProjection(),
}


def solver_of(method="auto", dtype=tf.float64, **options):
    return ef.Solver(ef.Problem(ef.Symmetric(3, dtype)), method, **options)


def assert_same(a, b):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.sample(6)
@pytest.mark.parametrize("batch", [[], [1], [5], [2, 3], [0]])
@pytest.mark.parametrize("method", METHODS)
def test_fit_takes_every_batch_shape(rng, method, batch):
    solver = solver_of(METHODS[method])
    initial = rng.uniform(size=[*batch, 6])
    solution = solver.fit(initial, T, tolerance=1e-8)
    assert solution.parameters.shape == [*batch, 6]
    assert solution.matrix.shape == [*batch, 3, 3]
    assert solution.eigenvalues.shape == [*batch, 3]
    for x in (solution.loss, solution.num_steps, solution.result):
        assert x.shape == batch
    assert solution.raise_for_result() is solution
    assert (zoo.loss(solver.problem, solution.parameters, T) <= 1e-8 * 1.001).all()
    np.testing.assert_allclose(
        solution.eigenvalues,
        zoo.levels(solver.problem, solution.parameters),
        atol=1e-12,
    )
    np.testing.assert_array_equal(
        solution.matrix, solver.problem.structure.assemble(solution.parameters)
    )


@pytest.mark.parametrize(
    "compile", ["graph", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_nothing_is_traced_anew_for_another_batch(rng, compile):
    solver = solver_of(METHODS["levenberg-marquardt"], compile=compile)
    solver.fit(rng.uniform(size=[3, 6]), T)
    assert solver.num_traces() == 1
    for shape in ([7, 6], [1, 6], [0, 6], [3, 6]):
        solver.fit(rng.uniform(size=shape), T)
        solver.fit(rng.uniform(size=shape), np.ones([1, 3]), tolerance=1e-6)
    assert solver.num_traces() == 1
    solver.fit(rng.uniform(size=[2, 3, 6]), T, max_steps=3)
    assert solver.num_traces() == 1


@pytest.mark.parametrize(
    "compile", ["eager", "graph", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_a_single_fit_is_that_of_a_batch_of_one(rng, compile):
    solver = solver_of(METHODS["levenberg-marquardt"], compile=compile)
    initial = rng.uniform(size=6)
    batch = solver.fit(initial[np.newaxis], T)
    for start in (initial, tf.constant(initial)):
        one = solver.fit(start, T)
        assert one.num_steps.numpy() == batch.num_steps[0].numpy()
        np.testing.assert_allclose(one.parameters, batch.parameters[0], atol=1e-12)
    if compile != "eager":
        assert solver.num_traces() == 2


def test_a_single_fit_sees_the_variables_of_its_structure():
    scale = tf.Variable(2.0, dtype=tf.float64)
    structure = ef.Parametric(
        lambda r: tf.linalg.diag(r * scale), order=2, num_parameters=2
    )
    solver = ef.Solver(ef.Problem(structure))
    with tf.GradientTape() as tape:
        solution = solver.fit([1.0, 2.0], [3.0, 5.0])
    np.testing.assert_allclose(solution.parameters, [1.5, 2.5], atol=1e-6)
    assert tape.gradient(solution.parameters, scale) is None
    scale.assign(4.0)
    solution = solver.fit([1.0, 2.0], [3.0, 5.0])
    np.testing.assert_allclose(solution.parameters, [0.75, 1.25], atol=1e-6)


def test_arguments_broadcast(rng):
    solver = solver_of()
    targets = [[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]]
    solution = solver.fit(rng.uniform(size=[3, 1, 6]), targets)
    assert solution.result.shape == [3, 2]
    expected = np.broadcast_to(targets, [3, 2, 3])
    np.testing.assert_allclose(solution.eigenvalues, expected, atol=1e-4)


def test_limits_are_those_of_each_member(rng):
    solver = solver_of(METHODS["adam"])
    initial = rng.uniform(size=6)
    solution = solver.fit(initial, T, tolerance=1e-8, max_steps=[0, 3, 10_000, 10_000])
    np.testing.assert_array_equal(solution.num_steps[:2], [0, 3])
    codes = [ef.Result.max_steps] * 2 + [ef.Result.converged] * 2
    np.testing.assert_array_equal(solution.result, codes)
    np.testing.assert_array_equal(solution.parameters[0], initial)
    solution = solver.fit(initial, T, tolerance=[1e-2, 1e-8])
    assert solution.num_steps[0] < solution.num_steps[1]
    assert 1e-8 < solution.loss[0] <= 1e-2


def test_members_are_independent(rng):
    # What one member gets does not depend on when its neighbours end.
    solver = solver_of(METHODS["levenberg-marquardt"])
    initial = rng.uniform(size=[6, 6]) * np.logspace(0, 2, 6)[:, None]
    together = solver.fit(initial, [0.0, 1.0, 3.0], tolerance=1e-20)
    assert len(set(together.num_steps.numpy())) > 1
    for k in range(6):
        alone = solver.fit(initial[k], [0.0, 1.0, 3.0], tolerance=1e-20)
        assert alone.num_steps == together.num_steps[k]
        np.testing.assert_allclose(
            alone.parameters, together.parameters[k], rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("compile", ["graph", "xla", "eager"])
@pytest.mark.parametrize("method", METHODS)
def test_bad_members_leave_the_others_bit_for_bit_unchanged(rng, method, compile, bad):
    solver = solver_of(METHODS[method], compile=compile)
    # In eager mode a step costs milliseconds: stop early.
    limit = {"tolerance": 1e-2, "max_steps": 20}
    initial = rng.uniform(size=[5, 6])
    targets = np.broadcast_to(T, [5, 3]).copy()
    clean = solver.fit(initial, targets, **limit)
    spoilt_targets, spoilt_initial = targets.copy(), initial.copy()
    spoilt_targets[1, 2] = bad
    spoilt_initial[3, 4] = bad
    spoilt = solver.fit(spoilt_initial, spoilt_targets, **limit)
    np.testing.assert_array_equal(
        spoilt.result.numpy()[[1, 3]], ef.Result.invalid_input
    )
    np.testing.assert_array_equal(spoilt.num_steps.numpy()[[1, 3]], 0)
    assert np.isnan(spoilt.loss.numpy()[[1, 3]]).all()
    np.testing.assert_array_equal(
        spoilt.parameters.numpy()[[1, 3]], spoilt_initial[[1, 3]]
    )
    for x, y in zip(spoilt[:6], clean[:6], strict=True):
        np.testing.assert_array_equal(x.numpy()[[0, 2, 4]], y.numpy()[[0, 2, 4]])


def logarithmic(r):
    return tf.math.log(r)[..., None] * tf.eye(2, dtype=r.dtype)


@pytest.mark.parametrize("method", ["adam", "levenberg-marquardt"])
def test_a_step_out_of_the_domain_keeps_the_last_finite_answer(method):
    problem = ef.Problem(ef.Parametric(logarithmic, order=2, num_parameters=1))
    # Far too long a step leads to the logarithm of a negative number.
    methods = {"adam": ef.Adam(learning_rate=5.0)}
    solver = ef.Solver(problem, methods.get(method, METHODS[method]))
    solution = solver.fit([[3.0], [-1.0]], [-1.0, -1.0], tolerance=1e-16)
    assert solution.result[1] == ef.Result.nonfinite
    if method == "adam":
        assert solution.result[0] == ef.Result.nonfinite
        np.testing.assert_array_equal(solution.parameters[0], [3.0])
        np.testing.assert_allclose(solution.loss[0], 2 * (np.log(3) + 1) ** 2)
    else:
        np.testing.assert_allclose(solution.parameters[0], np.exp([-1.0]), rtol=1e-7)


def test_targets_that_cannot_be_met_give_the_least_squares_answer():
    # diag(r, r) has two equal levels: the best r is the mean of the targets.
    problem = ef.Problem(ef.Affine([np.eye(2)]))
    solution = ef.Solver(problem).fit([0.3], [1.0, 2.0])
    assert solution.result == ef.Result.minimum
    np.testing.assert_allclose(solution.parameters, [1.5], atol=1e-9)
    np.testing.assert_allclose(solution.loss, 0.5)
    assert solution.raise_for_result() is solution


@pytest.mark.parametrize("method", ["levenberg-marquardt", "projection"])
def test_a_tolerance_below_rounding_ends_stalled_or_met(rng, method):
    solver = solver_of(METHODS[method], tf.float32)
    solution = solver.fit(rng.uniform(size=[50, 6]), [1.0, 2.0, 5.0], tolerance=1e-30)
    codes = set(solution.result.numpy())
    assert ef.Result.stalled in codes
    assert codes <= {ef.Result.stalled, ef.Result.converged, ef.Result.stationary}
    assert solution.loss.numpy().max() < 1e-11
    assert solution.num_steps.numpy().max() < 100


def test_raise_for_result_names_the_members():
    solver = solver_of(METHODS["adam"])
    initial = np.zeros([2, 4, 6])
    initial[1, 2, 0] = np.nan
    with pytest.raises(ef.FitError) as error:
        solver.fit(initial, T, max_steps=1).raise_for_result()
    assert "max_steps (7 of 8 members: (0, 0), (0, 1)" in str(error.value)
    assert "invalid_input (1 of 8 members: (1, 2)): The fit" in str(error.value)


@pytest.mark.parametrize("method", METHODS)
def test_steps_by_hand_are_those_of_the_fit(rng, method):
    solver = solver_of(METHODS[method])
    initial = rng.uniform(size=[2, 3, 6])
    state = solver.init(initial, T)
    assert state.point.loss.shape == [2, 3]
    for count in (1, 2, 3):
        state = solver.step(state, T)
        fitted = solver.fit(initial, T, tolerance=1e-300, max_steps=count)
        np.testing.assert_array_equal(state.point.parameters, fitted.parameters)
    assert solver.num_traces() == 3


def test_gradient_and_eigenvalues_take_batches(rng):
    solver = solver_of()
    r = rng.uniform(size=[2, 3, 6])
    point = solver.gradient(r, T)
    assert point.loss.shape == [2, 3]
    np.testing.assert_allclose(point.eigenvalues, solver.eigenvalues(r), atol=1e-13)
    np.testing.assert_allclose(point.loss, solver.loss(r, T), rtol=1e-12)
    expected = zoo.finite_differences(
        lambda x: zoo.loss(solver.problem, x, T), r[1, 2], 6e-6
    )
    np.testing.assert_allclose(point.gradient[1, 2], expected, atol=1e-7)


def test_fit_inside_another_function(rng):
    solver = solver_of()
    initial = rng.uniform(size=[4, 6])

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float64)])
    def inside(initial):
        return solver.fit(initial, T)

    assert_same(inside(initial)[:6], solver.fit(initial, T)[:6])


@pytest.mark.slow  # many traces
def test_many_solvers_give_no_warning(caplog):
    for order in range(1, 9):
        solver = ef.Solver(ef.Problem(ef.Symmetric(order)))
        solver.fit(np.zeros(order * (order + 1) // 2), np.ones(order))
    assert "retracing" not in caplog.text


@pytest.mark.slow  # XLA
def test_fit_inside_a_function_compiled_by_xla_is_accurate(rng):
    # XLA's own eigensolver stops at 1e-9: no loss of 1e-24 would be seen.
    solver = solver_of(METHODS["levenberg-marquardt"], compile="graph")
    initial = rng.uniform(size=[4, 6])

    @tf.function(jit_compile=True)
    def inside(initial):
        return solver.fit(initial, [0.0, 1.0, 3.0], tolerance=1e-24)[:6]

    solution = ef.Solution(*inside(tf.constant(initial)))
    solution.raise_for_result()
    assert zoo.loss(solver.problem, solution.parameters, [0.0, 1.0, 3.0]).max() < 1e-23


def test_unsorted_targets_inside_compiled_code_get_a_code(rng):
    solver = solver_of()

    @tf.function
    def inside(targets):
        return solver.fit(np.zeros(6), targets).result

    result = inside(tf.constant([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]], tf.float64))
    np.testing.assert_array_equal(
        result, [ef.Result.converged, ef.Result.invalid_input]
    )


@pytest.mark.parametrize(
    "compile", ["graph", pytest.param("xla", marks=pytest.mark.slow), "eager"]
)
def test_history_is_that_of_the_steps(rng, compile):
    solver = solver_of(METHODS["levenberg-marquardt"], compile=compile)
    initial = rng.uniform(size=[2, 6])
    solution = solver.fit(initial, [0.0, 1.0, 3.0], tolerance=1e-25, record_every=1)
    steps = solution.history.steps.numpy()
    np.testing.assert_array_equal(
        steps, np.arange(solution.num_steps.numpy().max() + 1)
    )
    state = solver.init(initial, [0.0, 1.0, 3.0])
    for k in range(1, int(solution.num_steps.numpy().min()) + 1):
        state = solver.step(state, [0.0, 1.0, 3.0])
        np.testing.assert_allclose(
            solution.history.loss[:, k], state.point.loss, rtol=1e-10, atol=1e-25
        )
        np.testing.assert_allclose(
            solution.history.eigenvalues[:, k], state.point.eigenvalues, atol=1e-12
        )


@pytest.mark.parametrize(("every", "limit"), [(1, 2), (1, 7), (3, 10), (50, 16)])
def test_history_is_bounded_and_evenly_spaced(rng, every, limit):
    solver = solver_of(METHODS["adam"], compile="graph")
    solution = solver.fit(
        rng.uniform(size=[2, 6]), T, record_every=every, record_limit=limit
    )
    steps = solution.history.steps.numpy()
    # The end of the fit comes on top of the evenly spaced snapshots.
    assert len(steps) <= limit + 1
    assert steps[0] == 0
    assert steps[-1] == solution.num_steps.numpy().max()
    if len(steps) > 3:
        stride = steps[1]
        assert (np.diff(steps[:-1]) == stride).all()
        assert stride % every == 0
    np.testing.assert_array_equal(solution.history.loss[:, -1], solution.loss)


def test_history_of_a_single_and_of_an_invalid_member(rng):
    solver = solver_of(METHODS["levenberg-marquardt"])
    history = solver.fit(rng.uniform(size=6), T, record_every=1).history
    assert history.loss.shape == [len(history.steps)]
    assert history.eigenvalues.shape == [len(history.steps), 3]
    initial = rng.uniform(size=[2, 6])
    initial[0, 0] = np.nan
    history = solver.fit(initial, T, record_every=1).history
    assert np.isnan(history.loss[0]).all()
    assert np.isfinite(history.loss[1]).all()


def test_progress_is_told_and_changes_nothing(rng):
    solver = solver_of(METHODS["adam"], compile="graph")
    initial = rng.uniform(size=[4, 6])
    seen = []
    told = solver.fit(initial, T, tolerance=1e-8, progress=seen.append)
    assert_same(told[:6], solver.fit(initial, T, tolerance=1e-8)[:6])
    assert seen[0].step == 0
    assert seen[0].num_running == seen[0].num_members == 4
    assert seen[0].max_steps == ef.Adam.default_max_steps
    assert seen[-1].num_running == 0
    assert seen[-1].step == told.num_steps.numpy().max()
    steps = [p.step for p in seen]
    assert steps == sorted(steps)
    assert len(seen) < 100


def test_progress_of_a_fit_that_meets_its_limit_or_has_no_members(rng):
    solver = solver_of(METHODS["adam"], compile="graph")
    seen = []
    solver.fit(rng.uniform(size=[2, 6]), T, max_steps=5, progress=seen.append)
    assert seen[-1].step == 5
    assert seen[-1].worst_loss == 0.0
    seen.clear()
    solver.fit(np.zeros([0, 6]), T, progress=seen.append)
    assert [p.num_members for p in seen] == [0]


def test_fit_gives_no_gradient_by_its_start_rather_than_a_wrong_one():
    solver = solver_of(compile="eager")
    r = tf.zeros(6, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(r)
        solution = solver.fit(r, tf.constant(T, tf.float64))
    assert tape.gradient(solution.parameters, r) is None


def test_auto_chooses_method_and_way_of_running():
    full = ef.Solver(ef.Problem(ef.Symmetric(3)))
    assert isinstance(full.method, ef.IsospectralProjection)
    partial = ef.Solver(ef.Problem(ef.Affine([np.eye(2)])))
    assert isinstance(partial.method, ef.Alternating)
    assert partial.method.descend_first

    def mode(method, order, batch):
        solver = ef.Solver(ef.Problem(ef.Symmetric(order)), method)
        return solver._mode(tf.TensorShape(batch))

    assert mode(ef.Adam(), 8, []) == "xla"
    assert mode(ef.Adam(), 8, [1, 1]) == "xla"
    assert mode(ef.Adam(), 8, [2]) == "graph"
    assert mode(ef.Adam(), 9, []) == "graph"
    assert mode(ef.LevenbergMarquardt(), 3, []) == "graph"


@pytest.mark.parametrize(
    ("kind", "order", "batch", "many", "mode"),
    [
        ("CPU", 8, 1, True, "xla"),
        ("CPU", 8, 1, False, "graph"),
        ("CPU", 9, 1, True, "graph"),
        ("CPU", 8, 2, True, "graph"),
        ("CPU", 8, None, True, "graph"),
        ("GPU", 3, 10**6, False, "xla"),
        ("GPU", 64, 64, False, "xla"),
        ("GPU", 64, None, False, "xla"),
        ("GPU", 64, 1, True, "graph"),
        ("GPU", 3, 0, False, "graph"),
        ("GPU", 65, 10**4, False, "graph"),
        ("GPU", 4096, 1, False, "graph"),
    ],
)
def test_the_way_of_running_by_device(kind, order, batch, many, mode):
    assert chosen_mode(kind, order, batch, many) == mode


def test_variables_and_tensors_are_accepted_and_must_have_the_dtype(rng):
    solver = solver_of(dtype=tf.float32)
    r = tf.Variable(rng.uniform(size=6).astype(np.float32))
    solver.fit(r, tf.constant(T)).raise_for_result()
    solver.fit(r.numpy().astype(np.float64), T).raise_for_result()
    with pytest.raises(TypeError, match=r"`initial` must be float32.*tf\.cast"):
        solver.fit(tf.zeros(6, tf.float64), T)


def test_history_of_no_members():
    solver = solver_of(METHODS["adam"])
    solution = solver.fit(np.zeros([0, 6]), T, tolerance=1e-8, record_every=1)
    assert solution.history is None
    assert solution.loss.shape == [0]


def test_a_jacobian_that_is_not_finite_is_told():
    def root(r):
        return tf.linalg.diag(tf.sqrt(r))

    problem = ef.Problem(ef.Parametric(root, order=2, num_parameters=2))
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    solution = solver.fit([[0.0, 1.0], [0.5, 1.0]], [1.0, 2.0])
    np.testing.assert_array_equal(
        solution.result, [ef.Result.nonfinite, ef.Result.converged]
    )


def test_adam_is_that_of_keras_where_epsilon_counts():
    solver = solver_of(ef.Adam(learning_rate=0.1, beta_1=0.8, beta_2=0.9, epsilon=0.5))
    start = np.linspace(0.0, 1.0, 6)
    r = tf.Variable(start)
    optimiser = tf.keras.optimizers.Adam(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.5)
    state = solver.init(start, T)
    for _ in range(5):
        optimiser.apply_gradients([(solver.gradient(r, T).gradient, r)])
        state = solver.step(state, T)
    np.testing.assert_allclose(r, state.point.parameters, rtol=1e-6)
