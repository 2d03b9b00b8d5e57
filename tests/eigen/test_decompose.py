import numpy as np
import pytest
import tensorflow as tf
from tests.combinations import each

import eigenfit as ef
from eigenfit.eigen import decompose

DTYPES = [tf.float32, tf.float64, tf.complex64, tf.complex128]


def hermitian(rng, shape, dtype):
    X = rng.normal(size=shape)
    if dtype.is_complex:
        X = X + 1j * rng.normal(size=shape)
    return ((X + X.conj().swapaxes(-1, -2)) / 2).astype(dtype.as_numpy_dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_pairs_are_eigenpairs_in_ascending_order(rng, dtype):
    def check(order, batch):
        A = hermitian(rng, [*batch, order, order], dtype)
        w, V = (x.numpy() for x in ef.eigh(A))
        assert w.dtype == dtype.real_dtype.as_numpy_dtype
        assert V.dtype == dtype.as_numpy_dtype
        atol = 30 * order * np.finfo(dtype.as_numpy_dtype).eps
        np.testing.assert_allclose(A @ V, V * w[..., None, :], atol=atol)
        identity = np.broadcast_to(np.eye(order), V.shape)
        np.testing.assert_allclose(V.conj().swapaxes(-1, -2) @ V, identity, atol=atol)
        assert (np.diff(w, axis=-1) >= 0).all()
        reference = np.linalg.eigvalsh(A.astype(np.result_type(A, np.float64)))
        np.testing.assert_allclose(ef.eigvalsh(A), reference, atol=atol)

    each(check, order=[1, 2, 3, 8, 33], batch=[[], [1], [5], [2, 3], [0]])


@pytest.mark.parametrize("compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_only_the_lower_triangle_is_read(rng, dtype, compile):
    A = hermitian(rng, [4, 4], dtype)
    spoilt = A + np.triu(np.full([4, 4], np.nan), 1).astype(A.dtype)
    w = tf.function(ef.eigvalsh, jit_compile=compile)(spoilt)
    atol = 100 * np.finfo(A.dtype).eps
    np.testing.assert_allclose(w, np.linalg.eigvalsh(A), atol=atol)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("compile", [None, False, True], ids=["eager", "graph", "xla"])
def test_a_member_that_is_not_finite_gives_nan_and_disturbs_nobody(rng, compile, bad):
    A = hermitian(rng, [5, 3, 3], tf.float64)
    spoilt = A.copy()
    spoilt[2, 1, 0] = bad

    def run(A):
        return ef.eigh(A)

    if compile is not None:
        run = tf.function(run, jit_compile=compile)
    w, V = (x.numpy() for x in run(tf.constant(spoilt)))
    assert np.isnan(w[2]).all()
    assert np.isnan(V[2]).all()
    others = [0, 1, 3, 4]
    clean_w, clean_V = run(tf.constant(A))
    np.testing.assert_array_equal(w[others], clean_w.numpy()[others])
    np.testing.assert_array_equal(V[others], clean_V.numpy()[others])


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_every_place_below_the_diagonal_counts(rng, dtype, bad):
    A = hermitian(rng, [3, 3], dtype)
    rows, columns = np.indices([3, 3])
    spoilt = np.tile(A, [9, 1, 1])
    spoilt[np.arange(9), rows.ravel(), columns.ravel()] = bad
    above = (rows < columns).ravel()
    w, V = (x.numpy() for x in tf.function(ef.eigh)(tf.constant(spoilt)))
    assert np.isnan(w[~above]).all()
    assert np.isnan(V[~above]).all()
    alone = ef.eigh(tf.constant(A))
    for x, y in zip((w, V), alone, strict=True):
        np.testing.assert_array_equal(x[above], np.broadcast_to(y, x[above].shape))


def test_few_operations_stand_around_the_decomposition():
    # Around one matrix of order 3 they take longer than the decomposition itself.
    A = tf.TensorSpec([None, 3, 3], tf.float64)
    graph = tf.function(decompose).get_concrete_function(A).graph
    kinds = [op.type for op in graph.get_operations()]
    work = [k for k in kinds if k not in ("Const", "Placeholder", "Identity", "NoOp")]
    assert len(work) <= 9, work


def test_float64_keeps_its_accuracy_under_xla(rng):
    # TensorFlow's own solver under jit_compile misses this by a factor of 1e6.
    A = hermitian(rng, [8, 8], tf.float64)
    w, V = tf.function(ef.eigh, jit_compile=True)(tf.constant(A))
    residual = np.linalg.norm(A @ V.numpy() - V.numpy() * w.numpy())
    assert residual <= 2e-14 * np.sqrt(8) * np.linalg.norm(A)


@pytest.mark.parametrize(
    ("A", "error", "message"),
    [
        ([[1, 2], [2, 1]], TypeError, "`A` must be float32.*got int32"),
        ([1.0, 2.0], ValueError, r"`A` must have shape \[..., n, n\].*got \(2,\)"),
        ([[1.0, 2.0, 3.0]], ValueError, r"`A` must have shape.*got \(1, 3\)"),
        (np.zeros([4, 0, 0]), ValueError, "with n >= 1"),
    ],
)
def test_bad_matrices_are_refused(A, error, message):
    for function in (ef.eigh, ef.eigvalsh):
        with pytest.raises(error, match=message):
            function(A)


def test_unknown_convention_is_refused():
    with pytest.raises(ValueError, match='"symmetric" or "lower", got \'upper\''):
        ef.eigvalsh([[1.0]], gradient="upper")
