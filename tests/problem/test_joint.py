"""Several matrices with shared parameters against one loop over them in NumPy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import tensorflow as tf
from tests import zoo
from tests.structures.test_generalized import second_differences

import eigenfit as ef
from eigenfit.problem.differenced import hessian_at_solution
from eigenfit.problem.engines import ManyMatrices

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
    assert sorted(len(g.structures) for g in joint.engine.groups) == [1, 1, 3]
    dense = ef.Problem([structures()["a"]] * 4)
    assert isinstance(dense.engine, ManyMatrices)
    (group,) = dense.engine.groups
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
    H = hessian_at_solution(both[True], both[True].evaluate(r, t), t)
    np.testing.assert_allclose(H, expected, atol=1e-8 * np.abs(expected).max())


def test_a_block_without_observation_has_no_targets_beside_joint_ones(both):
    with_levels = ef.Problem([ef.Block(structures()["b"], label="b")])
    assert with_levels.num_targets == 2
    assert all(label != "b" for label, *_ in both[False].terms)


@pytest.mark.parametrize("batch", [[], [1], [4], [2, 2], [0]], ids=str)
def test_batches(rng, both, batch):
    joint = both[True]
    r = R + 0.1 * rng.normal(size=[*batch, P])
    t = targets(True) + 0.1 * rng.normal(size=[*batch, 12])
    point = joint.evaluate(r, t)
    J, loss = joint.jacobian_at(point), joint.loss(r, t)
    H = both[False].hessian(r, t[..., [*range(7), 9, 10, 11]])
    assert joint.eigenvalues(r).shape == [*batch, 14]
    assert J.shape == [*batch, 14, P]
    assert H.shape == [*batch, P, P]
    for index in np.ndindex(*batch):
        expected = residual(r[index], t[index], True)
        np.testing.assert_allclose(point.residual[index], expected, atol=1e-11)
        np.testing.assert_allclose(loss[index], np.sum(expected**2), rtol=1e-11)
        one = joint.jacobian(r[index], t[index])
        np.testing.assert_allclose(J[index], one, atol=1e-10)
        one = both[False].hessian(r[index], t[index][[*range(7), 9, 10, 11]])
        np.testing.assert_allclose(H[index], one, atol=1e-8)


def test_nan_stays_in_its_member(both):
    joint, t = both[True], targets(True)
    r = np.array([R, [np.nan, 0, 0], R, [0, np.inf, 0]])
    every = np.tile(t, [4, 1])
    every[2, 3] = np.nan
    for function in (joint.loss, joint.gradient, joint.jacobian):
        found = function(r, every).numpy().reshape(4, -1)
        np.testing.assert_allclose(found[0], np.ravel(function(R, t)), rtol=1e-11)
        assert np.isnan(found[1:]).any(axis=1).all() or function == joint.jacobian
    # The Jacobian does not depend on targets of levels.
    J = joint.jacobian(r, every).numpy()
    np.testing.assert_allclose(J[2], J[0], rtol=1e-11)
    assert np.isnan(J[[1, 3]]).any(axis=(1, 2)).all()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_eager_is_graph_is_xla(rng, both, mode):
    joint = both[True]

    def everything(r, t):
        point = joint.evaluate(r, t)
        levels = both[False].evaluate(r, tf.gather(t, [*range(7), 9, 10, 11], axis=-1))
        return (
            point.loss,
            joint.jacobian_at(point),
            joint.gradient_at(point),
            both[False].hessian_at(levels, levels.targets),
        )

    compiled = tf.function(
        everything,
        input_signature=[tf.TensorSpec([None, k], tf.float64) for k in (P, 12)],
        jit_compile=mode == "xla",
    )
    r = tf.constant(R + 0.1 * rng.normal(size=[3, P]))
    t = tf.constant(targets(True) + 0.1 * rng.normal(size=[3, 12]))
    for value, own in zip(compiled(r, t), everything(r, t), strict=True):
        np.testing.assert_allclose(value, own, rtol=1e-9, atol=1e-9)


def test_ties_and_fixed_values_are_the_chain_rule():
    # x = (A, C); B = 2 A - C + 0.5, and with B fixed.
    T = np.array([[1.0, 0.0], [2.0, -1.0], [0.0, 1.0]])
    offset = np.array([0.0, 0.5, 0.0])
    tied = problem(prior=False, ties={"B": {"A": 2.0, "C": -1.0, "": 0.5}})
    fixed = problem(prior=False, fixed={"B": -0.3})
    t, x = targets(), np.array([0.4, 0.2])
    for joint, T, offset in (  # noqa: B020
        (tied, T, offset),
        (fixed, T * [[1], [0], [1]], np.array([0, -0.3, 0])),
    ):
        assert joint.parameter_names == ("A", "C")
        assert joint.all_names == ("A", "B", "C")
        np.testing.assert_allclose(joint.expand(x), T @ x + offset, atol=1e-15)

        def own(x, T=T, offset=offset):
            return residual(T @ x + offset, t, prior=False)

        np.testing.assert_allclose(joint.residual(x, t), own(x), atol=1e-12)
        J = zoo.finite_differences(own, x, STEP)
        np.testing.assert_allclose(joint.jacobian(x, t), J, rtol=1e-7, atol=1e-7)
        H = second_differences(lambda x, own=own: np.sum(own(x) ** 2), x, SECOND)
        np.testing.assert_allclose(joint.hessian(x, t), H, atol=1e-6 * np.abs(H).max())


def test_ties_of_a_single_structure():
    s = structures()["m"]
    known = ef.Parameters(["A", "B", "C"], ties={"B": ("A", 2.0)}, fixed={"C": 0.1})
    plain = ef.Problem(s, parameters=known)
    block = ef.Problem([s], parameters=known)
    x, t = [0.3], [0.1, 0.5, 4.0]
    assert type(plain.engine) is not type(block.engine)
    levels = scipy.linalg.eigh(matrix("m", [0.3, 0.6, 0.1]), MASS, eigvals_only=True)
    for own in (plain, block):
        np.testing.assert_allclose(own.eigenvalues(x), levels, rtol=1e-12)
        np.testing.assert_allclose(own.expand(x), [0.3, 0.6, 0.1])
    np.testing.assert_allclose(block.jacobian(x, t), plain.jacobian(x, t), atol=1e-12)
    np.testing.assert_allclose(block.hessian(x, t), plain.hessian(x, t), atol=1e-10)


def test_the_adjoint_of_the_matrices(rng, both):
    G = [
        rng.normal(size=[n, n]) + (0j if name == "k" else 0)
        for name, n in SHAPES.items()
    ]
    G = [X + X.T for X in G]

    def product(r):
        A = both[False].matrix(r)
        return sum(
            np.sum(np.conj(X.numpy()) * g).real for X, g in zip(A, G, strict=True)
        )

    expected = zoo.finite_differences(product, R, STEP)
    pulled = both[False].pull_matrix(R, tuple(tf.constant(g) for g in G))
    np.testing.assert_allclose(pulled, expected, atol=1e-8)


# Where levels coincide: three matrices Q diag(...) Q^T + sum r_k A_k.


def degenerate(gap, observations, weights=None, seed=3):
    rng = np.random.default_rng(seed)
    levels = np.array([1.0, 1 + gap, 1 + 2 * gap, 3.0])
    Q = np.linalg.qr(rng.normal(size=[4, 4]))[0]
    A0 = Q @ np.diag(levels) @ Q.T
    basis = random_matrices(seed, 3, 4)
    small = random_matrices(seed + 1, 3, 2)
    blocks = [
        ef.Block(ef.Affine(basis, (A0 + A0.T) / 2), observations, "big"),
        ef.Block(ef.Affine(small, np.diag([0.0, 2.0])), ef.Levels(), "small"),
    ]

    def numpy_levels(r):
        big = np.linalg.eigvalsh((A0 + A0.T) / 2 + np.tensordot(r, basis, 1))
        other = np.linalg.eigvalsh(np.diag([0.0, 2.0]) + np.tensordot(r, small, 1))
        return big, other

    return blocks, numpy_levels


# Losses that do not tell the three lowest levels apart.
SMOOTH = {
    "levels": (
        lambda: ef.Levels(),
        [0.4, 0.4, 0.4, 2.0],
        lambda w, t: np.sum((w - t) ** 2),
    ),
    "frequencies": (
        lambda: ef.Frequencies(),
        [0.1, 0.1, 0.1, 0.3],
        lambda w, t: np.sum((np.sqrt(w) / (2 * np.pi) - t) ** 2),
    ),
    "means": (
        lambda: ef.ClusterMeans([[0, 1, 2], [3]]),
        [0.4, 2.0],
        lambda w, t: (w[:3].mean() - t[0]) ** 2 + (w[3] - t[1]) ** 2,
    ),
    "relative": (
        lambda: ef.RelativeTo(3),
        [-1.0, -1.0, -1.0],
        lambda w, t: np.sum((w[:3] - w[3] - t) ** 2),
    ),
    "top": (lambda: ef.Levels([3]), [2.0], lambda w, t: (w[3] - t[0]) ** 2),
    "free": (
        lambda: ef.FreeShift(ef.Levels()),
        [0.4, 0.4, 0.4, 2.0],
        lambda w, t: np.sum((w - t - np.mean(w - t)) ** 2),
    ),
}


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-9, 1e-5])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_and_hessian_where_levels_nearly_coincide(name, gap):
    make, t, loss = SMOOTH[name]
    blocks, levels = degenerate(gap, make())
    joint = ef.Problem(blocks)
    own = np.array([*t, 0.5, 1.0])

    def reference(r):
        big, small = levels(r)
        return loss(big, np.array(t)) + np.sum((small - own[-2:]) ** 2)

    r = np.zeros(3)
    gradient = zoo.finite_differences(reference, r, STEP)
    np.testing.assert_allclose(joint.gradient(r, own), gradient, atol=1e-8)
    hessian = second_differences(reference, r, SECOND)
    H = joint.hessian(r, own).numpy()
    np.testing.assert_allclose(H, hessian, atol=2e-6 * max(1, np.abs(hessian).max()))
    np.testing.assert_allclose(H, H.T, atol=1e-10)


KINKS = {
    "targets differ": (ef.Levels(), [0.4, 0.5, 0.4, 2.0]),
    "one of three": (ef.Levels([0]), [0.4]),
    "one of three, met": (ef.Levels([0]), [1.0]),
    "weights differ, met": (ef.Levels([0, 1, 2], [1.0, 2.0, 1.0]), [1.0, 1.0, 1.0]),
    "relative to one of them, met": (ef.RelativeTo(0), [0.0, 0.0, 2.0]),
    "difference, not met": (ef.Differences([(1, 0)]), [0.3]),
}


@pytest.mark.parametrize("name", KINKS)
def test_no_hessian_where_the_loss_tells_coinciding_levels_apart(name):
    observation, t = KINKS[name]
    blocks, _ = degenerate(0.0, observation)
    joint = ef.Problem(blocks)
    H = joint.hessian(np.array([[0.0] * 3, [0.1] * 3]), [*t, 0.5, 1.0])
    assert np.isnan(H[0]).any()
    assert np.isfinite(H[1]).all()


def test_a_difference_of_coinciding_levels_that_is_met_is_smooth():
    # (w1 - w0)^2 of a 2x2 matrix is its squared traceless part.
    joint = ef.Problem(ef.Symmetric(2), ef.Differences([(1, 0)]))
    H = joint.hessian([1.0, 1.0, 0.0], [0.0])
    np.testing.assert_allclose(H, [[2, -2, 0], [-2, 2, 0], [0, 0, 8]], atol=1e-12)


@pytest.mark.slow
def test_a_fit_of_blocks_with_priors_agrees_with_scipy(both):
    joint, t = both[False], targets()
    found = ef.Solver(joint, ef.LevenbergMarquardt()).fit([R, R + 0.1], t)
    reference = scipy.optimize.least_squares(
        residual, R, args=(t,), xtol=1e-12, ftol=1e-14, gtol=1e-12
    )
    assert (found.result.numpy() == ef.Result.minimum).all()
    np.testing.assert_allclose(found.loss[0], 2 * reference.cost, rtol=1e-8)
    np.testing.assert_allclose(found.parameters[0], reference.x, atol=1e-4)
    assert [A.shape for A in found.matrix] == [[2, n, n] for n in SHAPES.values()]


@pytest.mark.parametrize(
    ("blocks", "arguments", "kind", "message"),
    [
        ([], {}, TypeError, "must be a structure or a list of Blocks"),
        ([np.eye(2)], {}, TypeError, "must be a structure or a list of Blocks"),
        (
            [ef.Symmetric(2), ef.Symmetric(3)],
            {},
            ValueError,
            "Block 1 has 6 parameters, block 0 has 3: .* Use Reparametrized",
        ),
        (
            [ef.Symmetric(2), ef.Symmetric(2, tf.float32)],
            {},
            ValueError,
            "Block 1 has parameters of float32, block 0 of float64",
        ),
        (
            [ef.Block(ef.Symmetric(2), label="0"), ef.Block(ef.Symmetric(2))][::-1],
            {},
            ValueError,
            "`label` '0' belongs to two blocks",
        ),
        (
            [ef.Symmetric(2)] * 2,
            {"observations": [ef.Levels()]},
            ValueError,
            r"Levels\(\) observes one matrix: give it to its Block",
        ),
        (
            [ef.Symmetric(2)] * 2,
            {"observations": [ef.Differences([(1, 0)])]},
            ValueError,
            r"write \(label, 1\)",
        ),
        (
            [ef.Symmetric(2)] * 2,
            {"observations": [ef.Differences([(("0", 0), ("2", 1))])]},
            ValueError,
            "names the block '2', but there are '0', '1'",
        ),
        (
            [ef.Symmetric(2)] * 2,
            {"observations": [ef.Differences([(("0", 0), ("1", 2))])]},
            ValueError,
            "`pairs` contains 2, but a matrix of order 2",
        ),
        (
            [ef.Symmetric(2)] * 2,
            {"observations": [ef.Differences([(("0", 1), ("0", -1))])]},
            ValueError,
            "a level minus itself",
        ),
        (
            [ef.Symmetric(2)],
            {"observations": [3]},
            TypeError,
            "`observations` must be observations",
        ),
        (
            [ef.Symmetric(2)],
            {"observation": ef.Levels()},
            TypeError,
            "`observation` is of a single structure",
        ),
        (
            [ef.Block(ef.Symmetric(2), [])],
            {},
            ValueError,
            "No block has an observation",
        ),
        (
            [ef.Symmetric(2)],
            {"parameters": ["A", "B", "C"]},
            TypeError,
            "`parameters` must be Parameters",
        ),
    ],
)
def test_what_does_not_fit_is_refused(blocks, arguments, kind, message):
    with pytest.raises(kind, match=message):
        ef.Problem(blocks, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2),), "`structure` of a Block must be a structure"),
        ((ef.Symmetric(2), [0]), "`observations` of a Block must be observations"),
        ((ef.Symmetric(2), None, 3), "`label` must be a text"),
    ],
)
def test_what_is_no_block_is_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        ef.Block(*arguments)


def test_impossible_targets_name_the_block():
    joint = ef.Problem([ef.Block(ef.Symmetric(2), label=x) for x in ("low", "high")])
    with pytest.raises(ValueError, match=r"In block 'high', targets 2 to 3: .*ascend"):
        joint.check_targets(np.array([1.0, 2.0, 2.0, 1.0]))
    t = np.array([[1.0, 2.0, 2.0, 1.0], [1.0, 2.0, 0.0, 0.0]])
    np.testing.assert_array_equal(joint.ordered(t), [False, True])


def shapes_only():
    return ef.Problem(
        [ef.Block(ef.Symmetric(2), [ef.ModeShapes([0], normalisation="unit")])]
    )


def test_no_hessian_where_mode_shapes_are_observed():
    r, t = tf.constant([1.0, 2.0, 0.3], tf.float64), [0.5, -0.7]
    with pytest.raises(ValueError, match="mode shapes are not computed"):
        shapes_only().hessian(r, t)
    with pytest.raises(ValueError, match="mode shapes are not computed"):
        shapes_only().hessian_vector_product(r, t, r)


def test_the_hessian_of_met_shapes_is_that_of_finite_differences():
    problem, r = shapes_only(), np.array([1.0, 2.0, 0.3])
    met = problem.values(r, [0.5, -0.7])
    H = hessian_at_solution(problem, problem.evaluate(r, met), met).numpy()
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
    assert single.observation.indices == (0, 1)
    assert single.num_targets == 2
    # By its label it may be named as well.
    labelled = ef.Differences([(("0", 2), ("0", 0))])
    problem = ef.Problem(ef.Affine(basis), ef.Levels([0]), observations=[labelled])
    np.testing.assert_allclose(problem.values(r, wanted[:2]), wanted[:2], atol=1e-13)
    with pytest.raises(TypeError, match="Give all as `observations"):
        ef.Problem(ef.Affine(basis), ef.Levels([0]), observations=own)
    with pytest.raises(TypeError, match="must be observations such as"):
        ef.Problem(ef.Affine(basis), observations=[[0, 1]])
