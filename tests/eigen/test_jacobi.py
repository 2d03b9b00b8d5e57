"""Jacobi's method against NumPy: accuracy, shapes, ways of running, isolation."""

import numpy as np
import pytest
import tensorflow as tf

from eigenfit.eigen import jacobi
from eigenfit.eigen.jacobi import jacobi_eigh

REALS = [np.float32, np.float64]
DTYPES = [*REALS, np.complex64, np.complex128]
ORDERS = [1, 2, 3, 4, 5, 8, 33]


def tolerance(dtype, n):
    eps = np.finfo(dtype).eps
    return (2e-14 if eps < 1e-10 else 64 * eps) * np.sqrt(n)


def with_spectrum(rng, values, dtype):
    n = len(values)
    Q = rng.normal(size=(n, n))
    if np.dtype(dtype).kind == "c":
        Q = Q + 1j * rng.normal(size=(n, n))
    Q = np.linalg.qr(Q)[0]
    return (Q * values) @ Q.conj().T


def random_matrix(rng, n, dtype):
    A = rng.normal(size=(n, n))
    if np.dtype(dtype).kind == "c":
        A = A + 1j * rng.normal(size=(n, n))
    return A + A.conj().T


def zoo(rng, n, dtype):
    """The families of matrices, by name, exactly Hermitian in `dtype`."""
    levels = np.arange(n)
    random = random_matrix(rng, n, dtype)
    grades = np.logspace(0, -12, n)
    next_to = np.eye(n, k=1) + np.eye(n, k=-1)
    huge = 1e150 if np.finfo(dtype).eps < 1e-10 else 1e18
    families = {
        "random": random,
        "large": random * huge,
        "small": random / huge,
        "pairs": with_spectrum(rng, levels // 2 + 0.0, dtype),
        "plus and minus one": with_spectrum(rng, 1.0 - 2 * (levels % 2), dtype),
        "all equal": with_spectrum(rng, np.full(n, 3.0), dtype),
        "graded spectrum": with_spectrum(rng, grades, dtype),
        "graded matrix": random * np.sqrt(np.outer(grades, grades)),
        "Wilkinson": np.diag(np.abs(levels - (n - 1) / 2)) + next_to,
        "zero": np.zeros((n, n)),
        "identity": np.eye(n),
        "ones": np.ones((n, n)),
        "integers": np.rint(random.real),
    }
    for exponent in (3, 8, 10, 12, 14):
        values = 1 + levels * 10.0**-exponent
        families[f"gaps 1e-{exponent}"] = with_spectrum(rng, values, dtype)
        families[f"identity + 1e-{exponent}"] = np.eye(n) + random * 10.0**-exponent
    return {name: hermitian(A.astype(dtype)) for name, A in families.items()}


def hermitian(A):
    """Mirrors the lower triangle, as the solvers do."""
    below = np.tril(A, -1)
    diagonal = A.real * np.eye(A.shape[-1], dtype=A.dtype)
    return below + np.conj(np.swapaxes(below, -1, -2)) + diagonal


def check(A, w, V, name=""):
    """Compares one decomposition with NumPy's, in double precision."""
    limit = tolerance(A.dtype, A.shape[-1])
    largest = float(np.abs(A).max()) or 1.0
    double = np.complex128 if A.dtype.kind == "c" else np.float64
    A = A.astype(double) / largest
    w = w.astype(np.float64) / largest
    V = V.astype(double)
    size = max(np.linalg.norm(A, 2), 1e-300)
    assert np.all(np.diff(w) >= 0), name
    assert np.abs(w - np.linalg.eigvalsh(A)).max() <= limit * size, name
    assert np.linalg.norm(A @ V - V * w, 2) <= limit * size, name
    assert np.linalg.norm(V.conj().T @ V - np.eye(len(A)), 2) <= limit, name


def numbers(result):
    return [x.numpy() for x in result]


def same(left, right):
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(left, right, strict=True)
    )


def sample(n, dtype, count=6):
    """A batch of `count` matrices, the first ones with equal eigenvalues."""
    rng = np.random.default_rng(n)
    batch = [random_matrix(rng, n, dtype) for _ in range(count)]
    batch[1] = np.eye(n)
    batch[2] = np.diag(np.arange(n) // 2)
    return np.stack([hermitian(A.astype(dtype)) for A in batch])


@pytest.mark.sample(4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", ORDERS)
def test_every_family_is_solved_to_full_accuracy(n, dtype):
    families = zoo(np.random.default_rng(n), n, dtype)
    w, V = numbers(jacobi_eigh(np.stack(list(families.values()))))
    real = np.finfo(dtype).dtype
    assert w.dtype == real
    assert V.dtype == dtype
    for i, (name, A) in enumerate(families.items()):
        check(A, w[i], V[i], name)


def test_order_64_is_solved_to_full_accuracy():
    families = zoo(np.random.default_rng(64), 64, np.float64)
    w, V = numbers(tf.function(jacobi_eigh)(np.stack(list(families.values()))))
    for i, (name, A) in enumerate(families.items()):
        check(A, w[i], V[i], name)
    # Thousands of rotations leave no trace: the vectors are polished at the end.
    gram = np.swapaxes(V, 1, 2) @ V
    assert np.abs(gram - np.eye(64)).max() <= 10 * np.finfo(np.float64).eps


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("dtype", "n"),
    [
        (np.float32, 3),
        (np.float64, 4),
        (np.complex128, 9),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                (np.float32, 33),
                (np.float64, 2),
                (np.float64, 8),
                (np.float64, 12),
                (np.complex128, 3),
                (np.complex64, 5),
            ]
        ),
    ],
)
def test_xla_gives_full_accuracy(dtype, n):
    families = zoo(np.random.default_rng(n), n, dtype)
    compiled = tf.function(jacobi_eigh, jit_compile=True)
    w, V = numbers(compiled(tf.constant(np.stack(list(families.values())))))
    for i, (name, A) in enumerate(families.items()):
        check(A, w[i], V[i], name)


@pytest.mark.parametrize("exponent", [-960, -700, -200, 0, 200, 700, 1020])
@pytest.mark.parametrize("n", [3, 5])
def test_powers_of_two_change_nothing_but_the_scale(n, exponent):
    A = random_matrix(np.random.default_rng(0), n, np.float64)
    A /= 2 * np.abs(A).max() * n
    w, V = numbers(jacobi_eigh(A))
    scaled, vectors = numbers(jacobi_eigh(np.ldexp(A, exponent)))
    assert np.array_equal(np.ldexp(scaled, -exponent), w)
    assert np.array_equal(vectors, V)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("n", [1, 3, 6])
def test_diagonal_matrices_are_exact(n, dtype):
    d = np.random.default_rng(0).normal(size=n).astype(dtype) * dtype(1e-13)
    w, V = numbers(jacobi_eigh(np.diag(d)))
    assert np.array_equal(w, np.sort(d))
    assert np.array_equal(np.abs(V), np.eye(n)[:, np.argsort(d)])


@pytest.mark.parametrize("shape", [[], [1], [5], [2, 3], [0], [2, 0, 3]])
@pytest.mark.parametrize(("n", "dtype"), [(3, np.float64), (5, np.complex64)])
def test_batch_shapes(shape, n, dtype):
    count = int(np.prod(shape))
    batch = sample(n, dtype, 6)[:count].reshape([*shape, n, n])
    w, V = numbers(jacobi_eigh(batch))
    assert w.shape == (*shape, n)
    assert V.shape == (*shape, n, n)
    for index in np.ndindex(*shape):
        check(batch[index], w[index], V[index])


@pytest.mark.parametrize(
    ("n", "dtype"), [(3, np.float32), (5, np.float64), (9, np.float64)]
)
def test_an_empty_batch_compiles(n, dtype):
    w, V = tf.function(jacobi_eigh, jit_compile=True)(tf.zeros([0, n, n], dtype))
    assert w.shape == (0, n)
    assert V.shape == (0, n, n)


@pytest.mark.sample(6)
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("unknown", ["batch", "order", "rank"])
def test_unknown_dimensions(n, dtype, unknown):
    shape = {"batch": [None, n, n], "order": [None, None, None], "rank": None}[unknown]
    signature = [tf.TensorSpec(shape, dtype)]
    run = tf.function(jacobi_eigh, input_signature=signature)
    batch = sample(n, dtype)
    w, V = numbers(run(batch))
    for A, values, vectors in zip(batch, w, V, strict=True):
        check(A, values, vectors)
    assert run(batch[:0])[1].shape == (0, n, n)
    if unknown == "batch":
        static = run.get_concrete_function().structured_outputs
        assert static[0].shape.as_list() == [None, n]
        assert static[1].shape.as_list() == [None, n, n]


def test_unknown_order_compiles():
    signature = [tf.TensorSpec([None, None, None], tf.float64)]
    run = tf.function(jacobi_eigh, input_signature=signature, jit_compile=True)
    batch = sample(5, np.float64)
    w, V = numbers(run(batch))
    for A, values, vectors in zip(batch, w, V, strict=True):
        check(A, values, vectors)


@pytest.mark.parametrize("dtype", [np.float64, np.complex64])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 33])
def test_a_member_does_not_depend_on_its_batch(n, dtype):
    batch = sample(n, dtype, 7)
    run = tf.function(jacobi_eigh, input_signature=[tf.TensorSpec([None, n, n], dtype)])
    together = numbers(run(batch))
    order = [3, 0, 6, 2, 1, 5, 4]
    assert same(numbers(run(batch[order])), [x[order] for x in together])
    for i in range(len(batch)):
        assert same(numbers(run(batch[i : i + 1])), [x[i : i + 1] for x in together])


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("n", "dtype", "count"),
    [
        (3, np.float32, 20_000),
        (4, np.complex64, 1_000),
        (8, np.float64, 3_000),
        (9, np.complex128, 200),
    ],
)
def test_neither_batch_size_nor_way_of_running_changes_a_bit(n, dtype, count):
    """The first call traces a known batch size, the second one an unknown size."""
    batch = np.stack([random_matrix(np.random.default_rng(1), n, dtype)] * count)
    batch = (batch * np.linspace(1, 2, count)[:, None, None]).astype(dtype)
    run = tf.function(jacobi_eigh, reduce_retracing=True)
    together = numbers(run(tf.constant(batch)))
    for i in (0, 1, count // 2, count - 1):
        expected = [x[i : i + 1] for x in together]
        assert same(numbers(run(tf.constant(batch[i : i + 1]))), expected)
        assert same(numbers(jacobi_eigh(batch[i : i + 1])), expected)
    assert run.experimental_get_tracing_count() == 2


@pytest.mark.sample(1)
@pytest.mark.parametrize("n", [3, 5, 12])
def test_neighbours_change_nothing_under_xla(n):
    batch = sample(n, np.float32)
    other = batch.copy()
    other[3:] = np.eye(n, dtype=np.float32) + 1e-3 * other[3:]
    run = tf.function(jacobi_eigh, jit_compile=True)
    first, second = numbers(run(batch)), numbers(run(other))
    assert same([x[:3] for x in first], [x[:3] for x in second])
    assert not same([x[3:] for x in first], [x[3:] for x in second])


@pytest.mark.sample(2)
@pytest.mark.sample(5)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("n", [3, 5, 9])
def test_members_that_are_not_finite_stay_alone(n, dtype, compiled):
    run = tf.function(jacobi_eigh, jit_compile=compiled)
    batch = sample(n, dtype)
    before = numbers(run(tf.constant(batch)))
    batch[3, n - 1, 0] = np.nan
    batch[4, n - 1, n - 1] = np.inf
    batch[5, n - 1, 0] = -np.inf
    after = numbers(run(tf.constant(batch)))
    assert same([x[:3] for x in after], [x[:3] for x in before])
    assert all(np.isnan(x[3:]).all() for x in after)


@pytest.mark.sample(4)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.complex64])
@pytest.mark.parametrize("n", [3, 5])
def test_only_the_lower_triangle_is_read(n, dtype, compiled):
    run = tf.function(jacobi_eigh, jit_compile=compiled)
    batch = sample(n, dtype)
    before = numbers(run(tf.constant(batch)))
    above = np.triu(np.ones((n, n), bool), 1)
    batch[:3, above] = np.nan
    batch[3:, above] = 7
    if np.dtype(dtype).kind == "c":
        np.imag(batch)[:, np.eye(n, dtype=bool)] = np.nan
    assert same(numbers(run(tf.constant(batch))), before)


@pytest.mark.sample(1)
@pytest.mark.sample(2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [9, pytest.param(12, marks=pytest.mark.slow)])
def test_both_layouts_agree(n, dtype):
    """In graph mode the layout by gathers runs, under XLA the one in halves."""
    batch = sample(n, dtype)
    w, V = numbers(tf.function(jacobi_eigh, jit_compile=True)(tf.constant(batch)))
    for A, values, vectors in zip(batch, w, V, strict=True):
        check(A, values, vectors)
    limit = tolerance(dtype, n) * np.abs(w).max()
    np.testing.assert_allclose(w, jacobi_eigh(batch)[0], atol=limit)


def test_it_runs_inside_a_compiled_loop():
    A = tf.constant(sample(3, np.float64)[:1])

    @tf.function(jit_compile=True)
    def shrink(A):
        def body(k, A):
            w, V = jacobi_eigh(A)
            squares = V * (0.5 * w)[:, tf.newaxis, :]
            return k + 1, tf.matmul(squares, V, transpose_b=True)

        return tf.while_loop(lambda k, _: k < 20, body, (0, A))[1]

    np.testing.assert_allclose(shrink(A), A * 0.5**20, rtol=1e-12, atol=1e-19)


def test_a_sweep_cap_that_is_too_low_is_noticed(monkeypatch):
    monkeypatch.setattr(jacobi, "MAX_SWEEPS", 1)
    A = random_matrix(np.random.default_rng(0), 8, np.float64)
    with pytest.raises(AssertionError):
        check(A, *numbers(jacobi_eigh(A)))


@pytest.mark.parametrize("shape", [[3], [2, 3], [0, 0], [4, 0, 0]])
def test_what_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match="`A` has shape"):
        jacobi_eigh(tf.zeros(shape))


@pytest.mark.parametrize("dtype", [tf.int32, tf.float16, tf.bfloat16])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="`A` has dtype"):
        jacobi_eigh(tf.zeros([2, 2], dtype))
