"""The exported functions beside the fit, against the package and NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.problem.test_joint import problem as joint_problem
from tests.problem.test_joint import structures

import eigenfit as ef
from eigenfit_export import load_model, save_model
from eigenfit_export.drawing import drawing
from eigenfit_export.probes.stored import record_probes
from eigenfit_export.signatures import signatures_of

T = [-1.0, 0.5, 2.0]


def functions_of(solver, **options):
    """The exported functions, compiled but not saved, which take names."""

    def named(signature):
        function = tf.function(
            signature.function, input_signature=signature.inputs, autograph=False
        )
        return lambda **given: function(
            *(tf.constant(given[x.name], x.dtype) for x in signature.inputs)
        )

    return {x.name: named(x) for x in signatures_of(solver, **options)}


@pytest.fixture(scope="module")
def functions():
    return functions_of(ef.Solver(ef.Problem(ef.Symmetric(3))), max_steps_limit=40)


@pytest.fixture(scope="module")
def adam():
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)), ef.Adam())
    return functions_of(solver, max_steps_limit=40)


def fit_inputs(batch, seed=0, max_steps=100):
    initial = np.random.default_rng(seed).uniform(size=[batch, 6])
    return {
        "initial": tf.constant(initial),
        "targets": tf.constant(np.tile(T, [batch, 1])),
        "tolerance": tf.fill([batch], tf.constant(1e-20, tf.float64)),
        "max_steps": tf.fill([batch], max_steps),
    }


def test_steps_are_cut_to_the_limit_of_the_export(adam):
    for asked, made in ((100_000, 40), (41, 40), (40, 40), (7, 7), (0, 0)):
        answer = adam["fit"](**fit_inputs(1, max_steps=asked))
        assert answer["num_steps"].numpy() == [made]
        assert answer["result"].numpy() == [ef.Result.max_steps]
    answer = adam["fit"](**fit_inputs(1, max_steps=-1))
    assert answer["result"].numpy() == [ef.Result.invalid_input]


def test_random_starts_depend_on_their_own_seed_only(functions):
    given = fit_inputs(4)
    del given["initial"]
    given["tolerance"] *= 1e4
    whole = functions["fit_from_random"](**given, seed=tf.constant([3, 1, 3, -9]))
    one = {name: x[:1] for name, x in given.items()}
    alone = functions["fit_from_random"](**one, seed=tf.constant([1]))
    starts = whole["initial"].numpy()
    np.testing.assert_array_equal(starts[0], starts[2])
    np.testing.assert_array_equal(starts[1], alone["initial"][0])
    assert len(np.unique(starts, axis=0)) == 3
    assert (whole["result"].numpy() == 0).all()
    np.testing.assert_allclose(whole["eigenvalues"], np.tile(T, [4, 1]), atol=1e-7)


@pytest.mark.sample(1)
@pytest.mark.parametrize("case", ["cloud", "box", "free"])
def test_random_starts_are_distributed_as_those_of_multistart(case):
    if case == "cloud":
        problem = ef.Problem(ef.Affine(zoo._SPRINGS, zoo._OFFSET))
        targets = [0.5, 1.5, 2.5, 9.0]
    elif case == "box":
        bounds = {"r0": (0, 1), "r1": (5, None), "r2": (None, -3)}
        parameters = ef.Parameters(bounds=bounds)
        problem = ef.Problem(ef.Symmetric(3), parameters=parameters)
        targets = T
    else:
        problem = ef.Problem(ef.Parametric(zoo.exponential, 3, 3))
        targets = T
    number = 1000
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    theirs = ef.multistart(solver, targets, number, max_steps=0).starts
    seeds = tf.range(number)
    draw = tf.function(drawing(problem))
    ours = draw(seeds, tf.constant([targets] * number, tf.float64)).numpy()
    assert (problem.inside(tf.constant(ours))).numpy().all()
    compiled = tf.function(drawing(problem), jit_compile=True)
    again = compiled(seeds[:5], tf.constant([targets] * 5, tf.float64))
    np.testing.assert_allclose(again, ours[:5], rtol=1e-12)
    # Standard errors of mean and spread: 4.5% and, of exponential ones, 6.3%.
    spread = theirs.std(axis=0)
    assert (abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 0.16 * spread).all()
    np.testing.assert_allclose(ours.std(axis=0), spread, rtol=0.25)


def test_eigengradient_is_the_derivative_of_a_level(functions, rng):
    for n in (1, 2, 5):
        A = rng.normal(size=[3, n, n])
        A += A.swapaxes(1, 2)
        level = np.array([0, n - 1, -1], np.int32)
        answer = functions["eigengradient"](matrix=A, level=level)
        np.testing.assert_allclose(answer["eigenvalues"], np.linalg.eigvalsh(A))
        with tf.GradientTape() as tape:
            x = tf.constant(A)
            tape.watch(x)
            w = tf.gather(tf.linalg.eigh(x)[0], level % n, axis=1, batch_dims=1)
        lower = tape.gradient(w, x)
        np.testing.assert_allclose(answer["gradient_lower"], lower, atol=1e-12)
        # The same directional derivative, whichever way it is counted.
        full = answer["gradient"].numpy()
        np.testing.assert_allclose(full, full.swapaxes(1, 2), atol=0)
        np.testing.assert_allclose(
            np.tril(full + full.swapaxes(1, 2)) - np.eye(n) * full, lower, atol=1e-12
        )


def test_a_bad_member_stays_alone(functions):
    A = np.stack([np.diag([1.0, 2.0]), np.full([2, 2], np.nan), np.eye(2)])
    answer = functions["eigengradient"](matrix=A, level=np.array([0, 0, 2], np.int32))
    gradient = answer["gradient"].numpy()
    np.testing.assert_array_equal(gradient[0], [[1, 0], [0, 0]])
    assert np.isnan(gradient[1:]).all()  # the last one asks for a third level
    assert np.isfinite(answer["eigenvalues"].numpy()[[0, 2]]).all()
    given = fit_inputs(3)
    clean = functions["fit"](**given)
    initial = given["initial"].numpy()
    initial[1, 2] = np.inf
    spoiled = functions["fit"](**{**given, "initial": tf.constant(initial)})
    assert spoiled["result"].numpy().tolist() == [0, ef.Result.invalid_input, 0]
    for name, value in clean.items():
        for k in (0, 2):
            np.testing.assert_array_equal(value[k], spoiled[name][k])


def test_hessian_vector_product(functions, rng):
    problem = ef.Problem(ef.Symmetric(3))
    r, v = rng.normal(size=[2, 4, 6])
    t = np.tile(T, [4, 1])
    answer = functions["hessian_vector_product"](parameters=r, targets=t, vector=v)
    H = problem.hessian(tf.constant(r), tf.constant(t)).numpy()
    np.testing.assert_allclose(
        answer["product"], np.einsum("bij,bj->bi", H, v), atol=1e-11
    )


def test_a_client_that_makes_the_steps_sees_the_fit(adam):
    given = fit_inputs(2, max_steps=5)
    state = adam["init"](initial=given["initial"], targets=given["targets"])
    losses = [state["loss"].numpy()]
    for _ in range(5):
        state = adam["step"](**state, targets=given["targets"])
        losses.append(state["loss"].numpy())
    assert (np.diff(losses, axis=0) < 0).all()
    answer = adam["fit"](**given)
    np.testing.assert_allclose(state["parameters"], answer["parameters"], atol=1e-14)


def test_a_hostile_state_disturbs_nobody():
    solver = ef.Solver(ef.Problem(ef.Additive(np.diag([1.0, 2, 4]))), ef.Alternating())
    functions = functions_of(solver, max_steps_limit=40)
    targets = np.tile([0.5, 2.0, 5.0], [4, 1])
    state = functions["init"](initial=np.ones([4, 3]), targets=targets)
    expected = functions["step"](**state, targets=targets)
    state["burst"] = tf.constant([0, -7, 2**31 - 1, 0])
    found = functions["step"](**state, targets=targets)
    for name, x in found.items():
        np.testing.assert_array_equal(x[::3], expected[name][::3], err_msg=name)


def test_functions_for_javascript_take_and_give_float32(functions):
    given = fit_inputs(2)
    given["tolerance"] = tf.fill([2], tf.constant(1e-8, tf.float64))
    wide = functions["fit"](**given)
    narrow = functions["fit_float32"](
        **{
            k: tf.cast(x, tf.float32) if k != "max_steps" else x
            for k, x in given.items()
        }
    )
    for name, value in wide.items():
        expected = tf.float32 if value.dtype == tf.float64 else value.dtype
        assert narrow[name].dtype == expected
        np.testing.assert_allclose(narrow[name], value, rtol=1e-6, atol=1e-6)


def two_blocks():
    s = structures()
    return ef.Problem([ef.Block(s["b"], label="b b"), ef.Block(s["k"], label="k")])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(two_blocks, marks=pytest.mark.slow),
        pytest.param(joint_problem, marks=pytest.mark.slow),
        pytest.param(lambda: joint_problem(modes=True), marks=pytest.mark.slow),
    ],
)
def test_several_blocks_reload_with_the_same_numbers(tmp_path, make):
    problem = make()
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="graph")
    loaded = load_model(save_model(solver, tmp_path, warmup_batches=(1,)))
    probe = record_probes(solver, only=("fit", "hessian_vector_product"))
    given = {k: x[:2] for k, x in probe["fit"].inputs.items()}
    ours, theirs = solver.fit(**given)[:6], loaded.fit(**given)[:6]
    assert isinstance(theirs[1], tuple)
    assert len(theirs[1]) == len(problem.labels)
    assert theirs[1][problem.labels.index("k")].dtype == tf.complex128
    assert theirs[2].shape[-1] == problem.num_levels
    for x, y in zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-12)
    # Of problems that observe mode shapes there is no Hessian.
    product = probe.get("hessian_vector_product")
    assert (product is None) == problem.has_modes
    if product is not None:
        np.testing.assert_allclose(
            loaded.hessian_vector_product(**product.inputs),
            product.outputs["product"],
            atol=1e-9,
        )
    names = [block["matrix"] for block in loaded.manifest["blocks"]]
    assert names == [f"matrix_{label.replace(' ', '_')}" for label in problem.labels]
    answer = loaded.eigengradient(theirs[1][problem.labels.index("k")], [0, -1])
    G = answer["gradient"].numpy()
    np.testing.assert_allclose(G @ G, G, atol=1e-12)  # the projector v v^H
    np.testing.assert_allclose(G, G.conj().swapaxes(1, 2), atol=1e-15)


@pytest.mark.slow  # test_verify.py has what probes must catch
def test_probes_are_of_use():
    # A probe whose fit does nothing, or is cut off, or that rounding decides, would
    # let any model pass.
    for case in zoo.CASES:
        solver = ef.Solver(case.problem())
        probe = record_probes(solver, only=("fit",))["fit"]
        outputs, allowed = probe.outputs, probe.allowed["parameters"]
        assert outputs["result"][-1] == ef.Result.invalid_input
        assert (outputs["num_steps"][:-1] >= 1).all(), case
        moved = np.abs(outputs["parameters"] - probe.inputs["initial"]).max(axis=1)
        assert (moved[:-1] > 1e-4).all(), case
        assert (allowed[:-1] < 1e-3 * moved[:-1]).all(), case
        # One step solves a Hermitian matrix of order 2 from anywhere.
        if isinstance(solver.method, ef.Alternating) and case.name[:7] != "complex":
            assert outputs["num_steps"][0] > 3, case
