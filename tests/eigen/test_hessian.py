"""The Hessian of the loss, above all where eigenvalues coincide."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.combinations import each
from tests.eigen.degenerate import CASES

import eigenfit as ef
from eigenfit.problem.engines import OneMatrix

# Of what a central difference of an exact gradient loses: see zoo.finite_differences.
STEP = 6e-6


def reference(basis, A, t, c, positive=False):
    """The Lewis-Sendov formula, pair by pair.

    Pairs of equal targets and weights have the quotient 2 c without a division, so
    that nothing depends on how far rounding puts eigenvalues of a cluster apart.
    """
    w, V = np.linalg.eigh(A)
    g = 2 * c * (w - t)
    R = V.conj().T @ basis @ V
    H = np.zeros([len(basis)] * 2)
    for i in range(len(w)):
        for j in range(len(w)):
            equal = t[i] == t[j] and c[i] == c[j]
            L = 2 * c[i] if equal else (g[i] - g[j]) / (w[i] - w[j])
            L = max(L, 0) if positive else L
            H += L * np.real(np.outer(R[:, i, j], R[:, i, j].conj()))
    return H


def reference_of(case, positive=False):
    A = np.tensordot(case.point, case.basis, 1)
    return reference(case.basis, A, *case.spread(), positive)


def hessians(problem, r, t):
    """The Hessian at one point in three ways."""
    p = problem.num_parameters
    with tf.GradientTape() as outer:
        outer.watch(r)
        with tf.GradientTape() as inner:
            inner.watch(r)
            loss = problem.loss(r, t)
        gradient = inner.gradient(loss, r)
    rows = problem.hessian_vector_product(
        tf.broadcast_to(r, [p, p]),
        tf.broadcast_to(t, [p, problem.num_targets]),
        tf.eye(p, dtype=r.dtype),
    )
    return {
        "hessian": problem.hessian(r, t),
        "products": rows,
        "tapes": outer.jacobian(gradient, r),
    }


WAYS = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


def run(way, problem, r, t):
    dtype = problem.parameter_dtype
    r, t = tf.constant(r, dtype), tf.constant(t, dtype)
    return WAYS[way](lambda r, t: hessians(problem, r, t))(r, t)


def ways(names, compiled):
    """Each name in each way; of most the long tail has what XLA compiles for long."""
    for name, way in itertools.product(names, WAYS):
        slow = way == "xla" and name not in compiled
        yield pytest.param(name, way, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.sample(3)
@pytest.mark.sample(5)
@pytest.mark.parametrize(("name", "way"), list(ways(CASES, ["complete graph"])))
def test_is_exact_at_degenerate_solutions(name, way):
    case = CASES[name]
    expected = reference_of(case)
    largest = np.abs(expected).max()
    for key, H in run(way, case.problem(), case.point, case.targets).items():
        np.testing.assert_allclose(H, expected, atol=1e-8 * largest, err_msg=key)


def test_at_the_identity():
    problem = ef.Problem(ef.Symmetric(3))
    for H in run("eager", problem, [1, 1, 1, 0, 0, 0], [1, 1, 1]).values():
        np.testing.assert_array_equal(H, np.diag([2, 2, 2, 4, 4, 4]))


@pytest.mark.parametrize("name", CASES)
def test_the_reference_is_the_derivative_of_the_gradient(name):
    # In 50 digits: eigenvalues that a step of 1e-15 moves apart are told from each
    # other, and the central difference is right to 1e-14 relative to the gaps.
    mpmath = pytest.importorskip("mpmath")
    case = CASES[name]
    rng = np.random.default_rng(1)
    for direction in rng.normal(size=[2, len(case.basis)]):
        with mpmath.workdps(50):
            step = mpmath.mpf(10) ** -15
            gradients = [
                _exact_gradient(mpmath, case, sign * step, direction)
                for sign in (1, -1)
            ]
            pairs = zip(*gradients, strict=True)
            change = [float((a - b) / (2 * step)) for a, b in pairs]
        expected = reference_of(case) @ direction
        np.testing.assert_allclose(change, expected, atol=1e-9 * np.abs(expected).max())


def _exact_gradient(mpmath, case, step, direction):
    basis, (t, c) = case.basis, case.spread()
    n = basis.shape[1]
    # The given matrix in double precision splits its clusters by its own rounding; a
    # spectrum put back together makes them exact.
    V = mpmath.matrix(np.linalg.eigh(np.tensordot(case.point, basis, 1))[1].tolist())
    V, _ = mpmath.qr(V)
    A = V * mpmath.diag(_levels(case)) * V.H
    for k, X in enumerate(basis):
        A += step * mpmath.mpf(direction[k]) * mpmath.matrix(X.tolist())
    w, U = mpmath.eighe((A + A.H) / 2)
    order = sorted(range(n), key=lambda i: w[i])
    G = U.copy()
    for i, k in enumerate(order):
        for a in range(n):
            G[a, k] = U[a, k] * 2 * c[i] * (w[k] - mpmath.mpf(t[i]))
    G = G * U.H
    return [
        sum(
            mpmath.re(mpmath.mpmathify(X[a, b].item()) * G[b, a])
            for a, b in np.argwhere(X)
        )
        for X in basis
    ]


def _levels(case):
    w = np.linalg.eigvalsh(np.tensordot(case.point, case.basis, 1))
    parts = np.split(w, np.cumsum(case.multiplicities)[:-1])
    return [part.mean() for part in parts for _ in part]


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", CASES)
def test_single_precision(name):
    case = CASES[name]
    expected = reference_of(case)
    for key, H in run(
        "graph", case.problem(tf.float32), case.point, case.targets
    ).items():
        assert H.dtype == tf.float32
        np.testing.assert_allclose(
            H, expected, atol=1e-4 * np.abs(expected).max(), err_msg=key
        )


PROBLEMS = {
    "weights": ef.Problem(ef.Symmetric(4), ef.Levels(weights=[1.0, 0.5, 2.0, 3.0])),
    "some levels": ef.Problem(ef.Symmetric(4), ef.Levels([3, 0], weights=[2.0, 0.5])),
    "one level": ef.Problem(ef.Toeplitz(4), ef.Levels([1])),
    "complex": ef.Problem(ef.Hermitian(3), ef.Levels([0, 1])),
    "complex basis": ef.Problem(ef.Affine(zoo.hermitian_basis(3), np.eye(3))),
    "not linear": ef.Problem(
        ef.Parametric(zoo.exponential, 3, 3), ef.Levels([0, 2], weights=[1.0, 4.0])
    ),
    "not linear, one vector at a time": ef.Problem(
        ef.Parametric(
            lambda r: tf.linalg.diag(r * r) + tf.sin(r[0] * r[1]), 3, 3, batched=False
        )
    ),
    "offset": ef.Problem(ef.Additive(1e6 * np.ones([3, 3]))),
}


def some(rng, problem, batch=()):
    r = rng.normal(size=[*batch, problem.num_parameters])
    t = np.sort(rng.normal(size=[*batch, problem.num_targets]), axis=-1)
    return r, t if problem.observation.indices != (3, 0) else t[..., ::-1].copy()


@pytest.mark.sample(3)
@pytest.mark.sample(7)
@pytest.mark.parametrize(("name", "way"), list(ways(PROBLEMS, ["offset"])))
def test_agrees_with_differences_of_the_gradient(rng, name, way):
    problem = PROBLEMS[name]
    r, t = some(rng, problem)
    expected = zoo.finite_differences(
        lambda r: problem.gradient(tf.constant(r), t), r, STEP
    )
    largest = np.abs(expected).max()
    # The gradient of a matrix of norm 1e6 has a rounding of 1e-10.
    allowed = 1e-7 if name != "offset" else 1e-4
    ours = run(way, problem, r, t)
    for key, H in ours.items():
        np.testing.assert_allclose(H, expected, atol=allowed * largest, err_msg=key)
        np.testing.assert_allclose(H, ours["tapes"], atol=1e-9 * largest, err_msg=key)


@pytest.mark.parametrize("case", zoo.CASES, ids=str)
def test_batches(rng, case):
    kinds = (tf.float32, tf.float64)
    problems = {dtype: case.problem(dtype) for dtype in kinds}

    def check(dtype, batch):
        problem = problems[dtype]
        p = problem.num_parameters
        r, t = some(rng, problem, batch)
        vector = rng.normal(size=[*batch, p])
        r, t, vector = (tf.constant(x, dtype) for x in (r, t, vector))
        H = problem.hessian(r, t)
        product = problem.hessian_vector_product(r, t, vector)
        assert H.dtype == product.dtype == dtype
        assert H.shape == [*batch, p, p]
        assert product.shape == [*batch, p]
        scale = 1e-12 if dtype == tf.float64 else 1e-4
        for index in np.ndindex(*batch):
            one = problem.hessian(r[index], t[index]).numpy()
            largest = np.abs(one).max()
            np.testing.assert_allclose(H[index], one, atol=scale * largest)
            np.testing.assert_allclose(
                product[index],
                one @ vector[index].numpy(),
                atol=3 * p * scale * largest,
            )

    each(check, dtype=kinds, batch=[[], [1], [3], [2, 2], [0]])


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_an_unknown_batch(rng, xla):
    problem = PROBLEMS["not linear"]
    r, t = some(rng, problem, [3])
    signature = [tf.TensorSpec([None, x.shape[-1]], tf.float64) for x in (r, t)]
    compiled = tf.function(problem.hessian, signature, jit_compile=xla)
    np.testing.assert_allclose(compiled(r, t), problem.hessian(r, t), rtol=1e-9)


def test_the_positive_part(rng):
    # Levels closer than their targets: some entries of L are negative.
    X = rng.normal(size=[5, 4, 4])
    basis = X + X.swapaxes(-1, -2)
    problem = ef.Problem(ef.Affine(basis))
    r, t = rng.normal(size=5), np.array([-9.0, -3.0, 4.0, 8.0])
    point = problem.evaluate(r, t)
    engine = problem.engine
    assert isinstance(engine, OneMatrix)
    L = engine.loewner_at(point, t, False).numpy()
    assert L.min() < 0
    np.testing.assert_array_equal(engine.loewner_at(point, t, True), np.maximum(L, 0))
    H = problem.hessian_at(point, t, positive=True).numpy()
    A = problem.structure.assemble(tf.constant(r)).numpy()
    np.testing.assert_allclose(
        H, reference(basis, A, t, np.ones(4), positive=True), rtol=1e-10
    )
    assert np.linalg.eigvalsh(H).min() > -1e-12
    gram = 2 * np.einsum("kij,lij->kl", basis, basis)
    assert np.linalg.eigvalsh(gram - H).min() > -1e-12
    rows = problem.hessian_vector_product_at(
        ef.Evaluation(*(tf.stack([x] * 5) for x in point)),
        np.stack([t] * 5),
        np.eye(5),
        positive=True,
    )
    np.testing.assert_allclose(rows, H, atol=1e-12)


def kinked(indices, targets):
    """At twice the identity of order 3."""
    problem = ef.Problem(ef.Symmetric(3), ef.Levels(indices))
    r = tf.constant([2.0, 2.0, 2.0, 0.0, 0.0, 0.0], tf.float64)
    return problem, r, tf.constant(targets, tf.float64)


@pytest.mark.parametrize(
    ("indices", "targets", "off"),
    [
        (None, [1.0, 2.0, 3.0], 0),  # targets apart: L to minus infinity
        ([0], [1.0], [0, 0]),  # the lowest level falls away from the others
        ([0], [3.0], [1, 1]),  # the lowest level is held down by the others
    ],
)
def test_a_kink_is_nan_and_its_positive_part_finite(indices, targets, off):
    problem, r, t = kinked(indices, targets)
    assert np.isnan(problem.hessian(r, t)).any()
    assert np.isnan(problem.hessian_vector_product(r, t, tf.ones_like(r))).any()
    point = problem.evaluate(r, t)
    assert isinstance(problem.engine, OneMatrix)
    L = problem.engine.loewner_at(point, t, True).numpy()
    np.testing.assert_array_equal(L, L.T)
    np.testing.assert_array_equal(L[0, 1:], off)
    H = problem.hessian_at(point, t, positive=True).numpy()
    assert np.linalg.eigvalsh(H).min() >= 0


def test_a_kink_leaves_other_members_alone():
    problem = ef.Problem(ef.Symmetric(2))
    H = problem.hessian([[1.0, 1.0, 0.0], [1.0, 2.0, 0.0]], [[0.0, 1.0]] * 2).numpy()
    assert np.isnan(H[0]).any()
    assert np.isfinite(H[1]).all()


def test_targets_that_differ_by_rounding_make_no_kink():
    problem, r, _ = kinked(None, [2.0, 2.0, 2.0])
    t = tf.constant([2.0 - 4e-16, 2.0, 2.0 + 4e-16], tf.float64)
    for H in hessians(problem, r, t).values():
        np.testing.assert_allclose(H, np.diag([2, 2, 2, 4, 4, 4]), atol=1e-14)


def test_gaps_from_none_to_wide():
    # Equal targets: no quotient, the same answer however close the levels are.
    problem = ef.Problem(ef.Symmetric(3))
    for gap in (0.0, 1e-15, 1e-12, 1e-10, 1e-9, 1e-6, 0.1):
        r = [1.0, 1.0 + gap, 1.0, 0.0, 0.0, 0.0]
        for H in run("eager", problem, r, [1, 1, 1]).values():
            np.testing.assert_allclose(H, np.diag([2, 2, 2, 4, 4, 4]), atol=1e-14)


def test_a_member_that_is_not_finite_is_nan():
    problem = ef.Problem(ef.Symmetric(2))
    H = problem.hessian([[np.nan, 1.0, 0.0], [1.0, 2.0, 0.0]], [[0.0, 1.0]] * 2)
    assert np.isnan(H[0]).all()
    assert np.isfinite(H[1]).all()
