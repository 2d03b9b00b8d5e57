"""First and second derivatives of eigenvalues along a direction."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef


def hermitian(rng, order, complex_, batch=()):
    X = rng.normal(size=[*batch, order, order])
    if complex_:
        X = X + 1j * rng.normal(size=[*batch, order, order])
    return (X + X.conj().swapaxes(-1, -2)) / 2


def unitary(rng, order, complex_):
    return np.linalg.eigh(hermitian(rng, order, complex_))[1]


def exact_derivatives(A, dA, d2A, step=1e-9):
    """One-sided differences in 60 digits, of A as it is in double precision.

    `levels(0), levels(h), levels(2 h)`: the error of both derivatives is of order h
    times the third one, over gaps of order 1.
    """
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(60):
        h = mpmath.mpf(step)
        A, dA, d2A = (mpmath.matrix(X.tolist()) for X in (A, dA, d2A))

        def levels(s):
            X = A + s * dA + s**2 / 2 * d2A
            return sorted(mpmath.eighe((X + X.H) / 2, eigvals_only=True))

        at = [levels(k * h) for k in range(4)]
        # Third order: -11/6, 3, -3/2, 1/3 and 2, -5, 4, -1.
        first = [
            (-11 * a + 18 * b - 9 * c + 2 * d) / (6 * h)
            for a, b, c, d in zip(*at, strict=True)
        ]
        second = [
            (2 * a - 5 * b + 4 * c - d) / h**2 for a, b, c, d in zip(*at, strict=True)
        ]
        return np.array(first, float), np.array(second, float)


def check(A, dA, d2A, atol=1e-6):
    first, second = exact_derivatives(A, dA, d2A)
    found = ef.level_derivatives(A, dA, d2A)
    np.testing.assert_allclose(found.first, first, atol=1e-8)
    np.testing.assert_allclose(found.second, second, atol=atol)
    return found


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_simple_eigenvalues(rng, order, complex_):
    A, dA, d2A = hermitian(rng, order, complex_, [3])
    found = check(A, dA, d2A)
    w, V = np.linalg.eigh(A)
    H = V.conj().T @ dA @ V
    np.testing.assert_allclose(found.levels, w, atol=1e-14)
    np.testing.assert_allclose(found.first, np.real(np.diag(H)), atol=1e-14)
    straight = ef.level_derivatives(A, dA)
    curved = np.real(np.diag(V.conj().T @ d2A @ V))
    np.testing.assert_allclose(found.second - straight.second, curved, atol=1e-11)


# Small integers and halves, so that clusters are exact in double precision.
CLUSTERS = {
    "double": [1.0, 1.0, 2.0, 4.0],
    "all": [1.0, 1.0, 1.0, 1.0],
    "two doubles": [-1.0, -1.0, 3.0, 3.0],
    "triple at zero": [-2.0, 0.0, 0.0, 0.0],
    "zero": [0.0, 0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("name", CLUSTERS)
def test_clusters_that_part_at_first_order(rng, name, complex_):
    A = np.diag(CLUSTERS[name]).astype(complex if complex_ else float)
    dA, d2A = hermitian(rng, 4, complex_, [2])
    found = check(A, dA, d2A)
    w = np.array(CLUSTERS[name])
    for level in set(w):
        inside = np.flatnonzero(w == level)
        block = np.linalg.eigvalsh(dA[np.ix_(inside, inside)])
        np.testing.assert_allclose(found.first.numpy()[inside], block, atol=1e-13)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_clusters_that_part_at_second_order(rng, complex_):
    # Inside the triple level dA is a multiple of 1: only what couples to the others
    # tells its members apart.
    A = np.diag([1.0, 1.0, 1.0, 2.0, 4.0]).astype(complex if complex_ else float)
    dA, d2A = hermitian(rng, 5, complex_, [2])
    dA[:3, :3] = 0.5 * np.eye(3)
    found = check(A, dA, d2A)
    assert np.diff(found.second[:3]).min() > 0.01
    # A pair that stays together at first order, in a level that splits 2 + 1.
    dA[:3, :3] = np.diag([0.5, 0.5, -1.0])
    found = check(A, dA, d2A)
    np.testing.assert_allclose(found.first[:3], [-1, 0.5, 0.5], atol=1e-13)


def test_clusters_that_never_part():
    A = np.diag([1.0, 1.0, 3.0])
    found = ef.level_derivatives(A, 2 * np.eye(3), 5 * np.eye(3))
    np.testing.assert_allclose(found.first, [2, 2, 2], atol=1e-15)
    np.testing.assert_allclose(found.second, [5, 5, 5], atol=1e-14)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_any_basis_of_a_cluster_will_do(rng, complex_):
    # Turned, the double level comes out a few roundings apart.
    A = np.diag([1.0, 1.0, 2.0, 4.0])
    dA, d2A = hermitian(rng, 4, complex_, [2])
    expected = ef.level_derivatives(A.astype(dA.dtype), dA, d2A)
    for _ in range(20):
        Q = unitary(rng, 4, complex_)
        found = ef.level_derivatives(*(Q @ X @ Q.conj().T for X in (A, dA, d2A)))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_small_derivatives_beside_large_ones(rng):
    # Two clusters whose derivatives differ by 1e10 keep their own precision.
    dA = np.zeros([4, 4])
    dA[:2, :2] = [[0.0, 1e-10], [1e-10, 0.0]]
    dA[2:, 2:] = [[0.0, 1.0], [1.0, 0.0]]
    found = ef.level_derivatives(
        np.diag([1.0, 1.0, 2.0, 2.0]), dA, degenerate_rtol=1e-14
    )
    np.testing.assert_allclose(found.first, [-1e-10, 1e-10, -1, 1], rtol=1e-12)


def test_the_width_of_a_cluster_is_an_option():
    A, dA = np.diag([1.0, 1.001]), np.array([[0.0, 1.0], [1.0, 0.0]])
    apart = ef.level_derivatives(A, dA)
    np.testing.assert_allclose(apart.first, [0, 0], atol=1e-12)
    np.testing.assert_allclose(apart.second, [-2000, 2000], rtol=1e-9)
    for wide in ({"degenerate_atol": 0.01}, {"degenerate_rtol": 0.01}):
        together = ef.level_derivatives(A, dA, **wide)
        np.testing.assert_allclose(together.first, [-1, 1], atol=1e-12)
        np.testing.assert_allclose(together.second, [0, 0], atol=1e-12)


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "way", ["eager", "graph", pytest.param("xla", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_batches_in_every_way_of_running(rng, dtype, way):
    complex_ = np.issubdtype(dtype, np.complexfloating)
    A = np.stack([np.diag(w) for w in CLUSTERS.values()])
    dA, d2A = hermitian(rng, 4, complex_, [2, len(A)])
    arguments = [tf.constant(X.astype(dtype)) for X in (A, dA, d2A)]
    function = ef.level_derivatives
    if way != "eager":
        spec = tf.TensorSpec([None, 4, 4], arguments[0].dtype)
        function = tf.function(function, [spec] * 3, jit_compile=way == "xla")
    found = function(*arguments)
    assert found.second.dtype == arguments[0].dtype.real_dtype
    tolerance = 1e-10 if dtype in (np.float64, np.complex128) else 1e-3
    for k in range(len(A)):
        one = ef.level_derivatives(A[k].astype(dA.dtype), dA[k], d2A[k])
        for ours, theirs in zip(found, one, strict=True):
            np.testing.assert_allclose(ours[k], theirs, atol=tolerance)


def test_shapes_broadcast(rng):
    A, dA = np.diag([1.0, 2.0]), hermitian(rng, 2, False, [3, 1])
    found = ef.level_derivatives(A, dA, hermitian(rng, 2, False, [2]))
    assert found.levels.shape == found.first.shape == found.second.shape == [3, 2, 2]
    assert ef.level_derivatives(A, dA[:0]).second.shape == [0, 1, 2]


def test_a_member_that_is_not_finite_is_nan():
    A = np.stack([np.diag([1.0, np.nan]), np.diag([1.0, 2.0])])
    found = ef.level_derivatives(A, np.eye(2))
    for x in found:
        assert np.isnan(x[0]).all()
        assert np.isfinite(x[1]).all()


def test_tapes_find_nan():
    A = tf.constant(np.diag([1.0, 2.0]))
    with tf.GradientTape() as tape:
        tape.watch(A)
        found = ef.level_derivatives(A, tf.ones_like(A))
    assert np.isnan(tape.gradient(found.second, A)).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0], np.eye(1)), ValueError, r"`A` must have shape \[\.\.\., n, n\]"),
        ((np.eye(2), np.eye(3)), ValueError, "`dA` must have shape"),
        ((np.eye(2), [1.0, 2.0]), ValueError, "`dA` must have shape"),
        ((np.eye(2), np.eye(2), np.eye(3)), ValueError, "`d2A` must have shape"),
        (([[1]], [[1]]), TypeError, "`A` must be float32"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        ef.level_derivatives(*arguments)
