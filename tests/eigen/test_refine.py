"""Refinement and warm starts: what they repair, and what they leave alone."""

import numpy as np
import pytest
import tensorflow as tf
from tests.eigen.families import (
    assert_accurate,
    errors,
    families,
    hermitian,
    unitary,
    with_spectrum,
)

from eigenfit.eigen import decompose
from eigenfit.eigen import refine as module
from eigenfit.eigen.refine import refine, warm_start

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
WAYS = {
    "eager": lambda f: f,
    "graph": tf.function,
    "xla": lambda f: tf.function(f, jit_compile=True),
}


def hermitian_batch(rng, shape, dtype):
    X = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.normal(size=shape)
    return hermitian(X).astype(dtype)


def near(rng, A, size):
    """Eigenvectors of `A` plus something of the relative size `size`."""
    noise = hermitian_batch(rng, A.shape, A.dtype)
    unit = np.abs(A).max(axis=(-2, -1), keepdims=True)
    return decompose(tf.constant(A + (size * unit).astype(A.real.dtype) * noise))[1]


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("way", "dtype"),
    [("eager", np.complex128), ("graph", np.float64), ("xla", np.complex128)],
)
def test_a_step_squares_the_error(rng, dtype, way):
    A = with_spectrum(rng, np.arange(1.0, 7.0), dtype)
    V = near(rng, A, 1e-5)
    before = errors(A, decompose(tf.constant(A))[0], V)[0]
    after = errors(A, *WAYS[way](refine)(tf.constant(A), V))
    assert before > 1e-6
    assert max(after) < 10 * (before * np.linalg.norm(A)) ** 2  # the gaps are 1
    twice = refine(A, refine(A, V)[1])
    assert_accurate(A, *twice)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_clusters_are_solved_anew(rng, dtype, way):
    # From outside of its cluster alone a vector cannot be told from its neighbours.
    values = np.array([1.0, 1.0, 1 + 1e-9, 2.0, 2.0, 2 + 1e-7, 5.0])
    A = with_spectrum(rng, values, dtype)
    V = near(rng, A, 1e-6)
    step = WAYS[way](refine)
    A = tf.constant(A)
    _, V = step(A, V)
    for _ in range(5):  # and further steps spoil nothing
        w, V = step(A, V)
        assert_accurate(A, w, V)
        np.testing.assert_allclose(w, values, atol=2e-14)


def test_a_basis_in_any_order_comes_out_ascending(rng):
    A = hermitian_batch(rng, [4, 5, 5], np.float64)
    w, V = decompose(tf.constant(A))
    order = [3, 0, 4, 1, 2]
    refined, vectors = refine(A, tf.gather(V, order, axis=-1))
    np.testing.assert_allclose(refined, w, atol=1e-13)
    assert_accurate(A, refined, vectors)


@pytest.mark.parametrize("way", WAYS)
def test_it_repairs_the_vectors_of_xlas_own_solver(way):
    A = families(16, np.float64)["random"]
    w, V = tf.function(tf.linalg.eigh, jit_compile=True)(tf.constant(A))
    with pytest.raises(AssertionError, match="times the limit"):
        assert_accurate(A, w, V)
    step = WAYS[way](refine)
    assert_accurate(A, *step(A, step(tf.constant(A), V)[1]))


@pytest.mark.sample(4)
@pytest.mark.parametrize("way", ["graph", "xla"])
@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        (2, np.float64),
        (3, np.float32),
        (5, np.complex128),
        (8, np.float64),
        pytest.param(12, np.complex64, marks=pytest.mark.slow),
        pytest.param(33, np.float64, marks=pytest.mark.slow),
    ],
)
def test_a_warm_start_has_full_accuracy_on_every_family(rng, n, dtype, way):
    by_name = families(n, dtype)
    A = np.stack(list(by_name.values()))
    run = WAYS[way](warm_start)
    for size in (0, 1e-6, 1e-4, 1e-2):
        basis = near(rng, A, size)
        assert_accurate(A, *run(tf.constant(A), basis), list(by_name))
    strange = unitary(rng, n, dtype).astype(dtype)
    basis = tf.broadcast_to(strange, A.shape)
    assert_accurate(A, *run(tf.constant(A), basis), list(by_name))


def count_calls(monkeypatch):
    calls = []

    def counted(A):
        calls.append(A.shape)
        return decompose(A)

    monkeypatch.setattr(module, "decompose", counted)
    return calls


def test_a_near_basis_needs_no_decomposition(rng, monkeypatch):
    A = hermitian_batch(rng, [3, 6, 6], np.float64)
    _, V = decompose(tf.constant(A))
    calls = count_calls(monkeypatch)
    assert_accurate(A, *warm_start(A, V))
    assert_accurate(A, *warm_start(A, near(rng, A, 1e-5)))
    assert_accurate(A, *warm_start(A, tf.reverse(V, [-1])))
    assert calls == []
    spoilt = tf.tensor_scatter_nd_update(V, [[1, 0, 0]], [np.nan])
    warm_start(A, spoilt)
    assert len(calls) == 1


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("way", "bad"), [("eager", 0.0), ("graph", np.inf), ("graph", 0.0), ("xla", np.nan)]
)
def test_members_with_a_bad_basis_are_decomposed_in_full(rng, way, bad):
    A = hermitian_batch(rng, [4, 5, 5], np.float64)
    V = near(rng, A, 1e-5).numpy()
    run = WAYS[way](warm_start)
    clean_w, clean_V = (x.numpy() for x in run(tf.constant(A), tf.constant(V)))
    V[1] = bad
    w, vectors = (x.numpy() for x in run(tf.constant(A), tf.constant(V)))
    full_w, full_V = WAYS[way](decompose)(tf.constant(A))
    np.testing.assert_array_equal(w[1], full_w[1])
    np.testing.assert_array_equal(vectors[1], full_V[1])
    others = [0, 2, 3]
    np.testing.assert_array_equal(w[others], clean_w[others])
    np.testing.assert_array_equal(vectors[others], clean_V[others])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("function", [refine, warm_start])
def test_members_that_are_not_finite_stay_alone(rng, function, way, monkeypatch):
    A = hermitian_batch(rng, [4, 5, 5], np.float64)
    V = near(rng, A, 1e-5)
    calls = count_calls(monkeypatch) if way == "eager" else []
    run = WAYS[way](function)
    clean = [x.numpy() for x in run(tf.constant(A), V)]
    A[1, 3, 0], A[2, 4, 4] = np.nan, np.inf
    spoilt = [x.numpy() for x in run(tf.constant(A), V)]
    for x, y in zip(spoilt, clean, strict=True):
        assert np.isnan(x[1:3]).all()
        np.testing.assert_array_equal(x[[0, 3]], y[[0, 3]])
    assert calls == []  # a matrix that has no decomposition asks for none


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_lower_triangle_is_read(rng, dtype):
    A = hermitian_batch(rng, [5, 5], dtype)
    V = near(rng, A, 1e-3)
    above = np.triu(np.ones([5, 5], bool), 1)
    spoilt = A.copy()
    spoilt[above] = np.nan
    for x, y in zip(warm_start(spoilt, V), warm_start(A, V), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("shape", [[], [1], [2, 3], [0]])
@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_shapes(rng, shape, dtype):
    A = hermitian_batch(rng, [*shape, 4, 4], dtype)
    _, V = decompose(tf.constant(A))
    for function in (refine, warm_start):
        w, vectors = function(A, V)
        assert w.shape == (*shape, 4)
        assert w.dtype == A.real.dtype
        assert vectors.shape == A.shape
        assert vectors.dtype == A.dtype
        assert_accurate(A, w, vectors)


def test_unknown_dimensions(rng):
    signature = [tf.TensorSpec([None, None, None], tf.float64)] * 2
    run = tf.function(warm_start, input_signature=signature)
    A = hermitian_batch(rng, [3, 4, 4], np.float64)
    assert_accurate(A, *run(A, near(rng, A, 1e-4)))


def test_a_long_chain_of_warm_starts_keeps_its_accuracy(rng):
    A = hermitian_batch(rng, [8, 8], np.float64)
    change = 1e-3 * hermitian_batch(rng, [8, 8], np.float64)
    run = tf.function(warm_start)
    w, V = decompose(tf.constant(A))
    for k in range(1, 201):
        w, V = run(tf.constant(A + k * change), V)
    assert_accurate(A + 200 * change, w, V)
