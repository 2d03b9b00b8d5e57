"""Several matrices with shared parameters against one loop over them in NumPy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import tensorflow as tf
from tests import zoo
from tests.structures.test_generalized import second_differences

import eigenfit as ef

STEP = 6e-6  # see `zoo.finite_differences`
SECOND = 2e-4  # see `test_generalized`
P = 3


def random_matrices(seed, p, order, is_complex=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=[p, order, order]) + 0j
    if is_complex:
        X += 1j * rng.normal(size=X.shape)
    X = (X + X.conj().swapaxes(-1, -2)) / 2
    return X if is_complex else X.real


SHAPES = {"a": 3, "b": 2, "c": 3, "k": 3, "m": 3}
BASES = {
    name: random_matrices(10 * seed, P + 1, order, name == "k")
    for seed, (name, order) in enumerate(SHAPES.items())
}
SPREAD = {name: np.diag(2.0 * np.arange(order)) for name, order in SHAPES.items()}
MASS = np.diag([1.0, 2.0, 0.5]) + 0.1
TIE = np.array([[1.0, 0.0, 0.5], [0.0, 2.0, 0.0], [0.0, 0.0, -1.0]])
LAST = np.array([0.1, -0.2, 0.3])


def matrix(name, r):
    return BASES[name][P] + SPREAD[name] + np.tensordot(r, BASES[name][:P], 1)


def spectrum(name, r):
    """Levels and modes of a block by NumPy and SciPy."""
    if name == "m":
        return scipy.linalg.eigh(matrix("m", r), MASS)
    if name == "c":  # through a Reparametrized
        r = TIE @ r + LAST
    return np.linalg.eigh(matrix(name, r))


def structures():
    def dense(name):
        return ef.Affine(BASES[name][:P], BASES[name][P] + SPREAD[name])

    return {
        "a": dense("a"),
        "b": dense("b"),
        "c": ef.Reparametrized(dense("c"), TIE, LAST),
        "k": dense("k"),
        "m": ef.Generalized(dense("m"), MASS),
    }


PRIOR = {"B": (0.3, 0.5), "C": (-1.0, 2.0)}


def problem(modes=False, prior=True, **known):
    """Orders 3, 2, 3, a complex one, a pencil; joint lines; priors."""
    s = structures()
    own = [ef.Frequencies([2], sigma=0.1)]
    if modes:
        own.append(ef.ModeShapes([0], [0, 2], "unit"))
    blocks = [
        ef.Block(s["a"], [ef.Levels([0, 2], weights=[2.0, 1.0])], "a"),
        ef.Block(s["b"], label="b"),
        ef.Block(s["c"], ef.ClusterMeans([[0, 1]]), "c"),
        ef.Block(s["k"], [ef.RelativeTo(0), ef.Levels([1])], "k"),
        ef.Block(s["m"], own, "m"),
    ]
    lines = [(("a", 1), ("b", 0)), (("k", -1), ("a", 0)), (("c", 2), ("c", 0))]
    parameters = ef.Parameters(["A", "B", "C"], prior=PRIOR if prior else None, **known)
    joint = [ef.Differences(lines, sigma=[1.0, 0.5, 0.2])]
    return ef.Problem(blocks, observations=joint, parameters=parameters)


def residual(r, t, modes=False, prior=True):
    (a, _), (b, _), (c, _), (k, _), (m, X) = (spectrum(x, r) for x in SHAPES)
    values = [a[0], a[2], (c[0] + c[1]) / 2, k[1] - k[0], k[2] - k[0], k[1]]
    roots = [np.sqrt(2), 1, 1, 1, 1, 1]
    values.append(np.sqrt(m[2]) / (2 * np.pi))
    roots.append(10)
    if modes:
        x = X[[0, 2], 0] / np.hypot(*X[[0, 2], 0])
        values += list(x * np.sign(x @ t[7:9]))
        roots += [1, 1]
    values += [a[1] - b[0], k[2] - a[0], c[2] - c[0]]
    roots += [1, 2, 5]
    found = np.array(roots) * (np.array(values) - t)
    if prior:
        found = [*found, (r[1] - 0.3) / 0.5, (r[2] + 1) / 2]
    return np.array(found)


R = np.array([0.4, -0.3, 0.7])


def targets(modes=False):
    found = residual(R, np.zeros(12 if modes else 10), modes, prior=False)
    return 0.3 + np.linspace(-0.5, 0.8, len(found)) + 0 * found


@pytest.fixture(scope="module")
def both():
    return {modes: problem(modes) for modes in (False, True)}


def test_the_order_of_levels_and_targets(both):
    joint = both[True]
    assert joint.num_levels == 14
    assert joint.order == 3
    assert joint.num_targets == 12
    assert joint.labels == ("a", "b", "c", "k", "m")
    expected = [spectrum(name, R)[0] for name in SHAPES]
    np.testing.assert_allclose(joint.eigenvalues(R), np.concatenate(expected))
    for own, w in zip(joint.split(joint.eigenvalues(R)), expected, strict=True):
        np.testing.assert_allclose(own, w)
    blocks = [(label, where.start, where.stop) for label, _, where in joint.terms]
    assert blocks == [
        ("a", 0, 2),
        ("c", 2, 3),
        ("k", 3, 5),
        ("k", 5, 6),
        ("m", 6, 7),
        ("m", 7, 9),
        (None, 9, 12),
    ]
    assert [A.shape.as_list() for A in joint.matrix(R)] == [
        [order, order] for order in SHAPES.values()
    ]


def test_equal_orders_run_as_one_group(both):
    joint = both[True]
    # Order 3 real (a, c, m), order 2 real, order 3 complex.
    assert sorted(len(g.structures) for g in joint.groups) == [1, 1, 3]
    dense = ef.Problem([structures()["a"]] * 4)
    (group,) = dense.groups
    w = dense.eigenvalues(R).numpy().reshape(4, 3)
    np.testing.assert_array_equal(w, np.tile(w[0], [4, 1]))
    assert type(group).__name__ == "DenseGroup"


@pytest.mark.parametrize("modes", [False, True], ids=["levels", "shapes"])
def test_residual_jacobian_gradient(both, modes):
    joint, t = both[modes], targets(modes)
    expected = residual(R, t, modes)
    np.testing.assert_allclose(joint.residual(R, t), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(joint.loss(R, t), np.sum(expected**2), rtol=1e-12)
    J = zoo.finite_differences(lambda r: residual(r, t, modes), R, STEP)
    np.testing.assert_allclose(joint.jacobian(R, t), J, rtol=1e-7, atol=1e-7)
    gradient = 2 * expected @ J
    np.testing.assert_allclose(joint.gradient(R, t), gradient, rtol=1e-6)
    r = tf.constant(R)
    with tf.GradientTape() as tape:
        tape.watch(r)
        loss = joint.loss(r, t)
    np.testing.assert_allclose(tape.gradient(loss, r), gradient, rtol=1e-6)


def test_hessian(both):
    joint, t = both[False], targets()
    expected = second_differences(lambda r: np.sum(residual(r, t) ** 2), R, SECOND)
    H = joint.hessian(R, t)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(H, expected, atol=1e-6 * scale)
    product = joint.hessian_vector_product(R, t, [1.0, -2.0, 0.5])
    np.testing.assert_allclose(product, H.numpy() @ [1.0, -2.0, 0.5], rtol=1e-10)
    r = tf.constant(np.tile(R, [P, 1]))
    with tf.GradientTape() as outer:
        outer.watch(r)
        with tf.GradientTape() as inner:
            inner.watch(r)
            loss = joint.loss(r, np.tile(t, [P, 1]))
        rows = tf.linalg.diag_part(inner.gradient(loss, r))
    np.testing.assert_allclose(outer.gradient(rows, r), H, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="`positive` is for a single matrix"):
        joint.hessian_at(joint.evaluate(R, t), t, positive=True)


def test_the_hessian_with_shapes_is_that_of_differences(both):
    r, t = np.array(R, float), targets(True)
    step = 1e-4 * np.eye(len(r))

    def rule(h):
        rise = [
            both[True].gradient(r + h * d, t) - both[True].gradient(r - h * d, t)
            for d in step
        ]
        return np.stack(rise) / (2e-4 * h)

    expected = (4 * rule(1) - rule(2)) / 3
    H = both[True].hessian_at_solution(both[True].evaluate(r, t), t)
    np.testing.assert_allclose(H, expected, atol=1e-8 * np.abs(expected).max())


def shapes_only():
    return ef.Problem(
        [ef.Block(ef.Symmetric(2), [ef.ModeShapes([0], normalisation="unit")])]
    )


def test_second_derivatives_of_shapes_are_not_computed():
    r, t = tf.constant([1.0, 2.0, 0.3], tf.float64), [0.5, -0.7]
    with pytest.raises(ValueError, match="mode shapes are not computed"):
        shapes_only().hessian(r, t)
    with pytest.raises(ValueError, match="mode shapes are not computed"):
        shapes_only().hessian_vector_product(r, t, r)


def test_the_hessian_of_met_shapes_is_that_of_finite_differences():
    problem, r = shapes_only(), np.array([1.0, 2.0, 0.3])
    met = problem.values(r, [0.5, -0.7])
    H = problem.hessian_at_solution(problem.evaluate(r, met), met).numpy()
    step = 1e-5 * np.eye(3)
    rise = [(problem.gradient(r + d, met) - problem.gradient(r - d, met)) for d in step]
    np.testing.assert_allclose(H, np.stack(rise) / 2e-5, atol=1e-8)


def test_a_start_without_a_derivative_is_told():
    """The mode of a level that coincides with another one has none."""
    frozen = ef.Affine([np.eye(2)])
    problem = ef.Problem([ef.Block(frozen, [ef.ModeShapes([0])])])
    solution = ef.Solver(problem).fit([0.0], [1.0, 0.5])
    assert solution.result == ef.Result.nonfinite


def test_complex_matrices_raise_no_warning_of_lost_parts(caplog):
    K = np.array([[1.0, 0.5j], [-0.5j, 2.0]])
    mass = ef.Affine([0 * K, np.eye(2)], offset=2 * np.eye(2), dtype="complex128")
    problem = ef.Problem(ef.Generalized(ef.Affine([K, np.eye(2)]), mass))
    problem.gradient([0.3, 0.5], [0.1, 0.2])
    problem.hessian([0.3, 0.5], [0.1, 0.2])
    assert "discard the imaginary part" not in caplog.text


def test_several_observations_of_a_single_structure(rng):
    basis = random_matrices(7, 2, 3)
    own = [ef.Levels([0]), ef.Differences([(2, 0), (1, 0)])]
    problem = ef.Problem(ef.Affine(basis), observations=own)
    assert problem.num_targets == 3
    r = rng.normal(size=2)
    w = np.linalg.eigvalsh(np.tensordot(r, basis, 1))
    wanted = [w[0], w[2] - w[0], w[1] - w[0]]
    np.testing.assert_allclose(problem.values(r, wanted), wanted, atol=1e-13)
    # One in a list is one: methods for plain problems take it.
    single = ef.Problem(ef.Affine(basis), observations=[ef.Levels([0, 1])])
    assert single.is_plain
    assert single.num_targets == 2
    # By its label it may be named as well.
    labelled = ef.Differences([(("0", 2), ("0", 0))])
    problem = ef.Problem(ef.Affine(basis), ef.Levels([0]), observations=[labelled])
    np.testing.assert_allclose(problem.values(r, wanted[:2]), wanted[:2], atol=1e-13)
    with pytest.raises(TypeError, match="Give all as `observations"):
        ef.Problem(ef.Affine(basis), ef.Levels([0]), observations=own)
    with pytest.raises(TypeError, match="must be observations such as"):
        ef.Problem(ef.Affine(basis), observations=[[0, 1]])
