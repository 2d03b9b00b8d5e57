"""Full accuracy on hard families of matrices, whatever way a program runs."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.eigen.families import assert_accurate, families, with_spectrum

from eigenfit.eigen import decompose
from eigenfit.eigen.jacobi import jacobi_eigh

DTYPES = [np.float64, np.float32, np.complex128, np.complex64]
ORDERS = [2, 3, 4, 5, 8, 16, 33, 64, 128]
WAYS = {
    "graph": tf.function(decompose, reduce_retracing=True),
    "jacobi": tf.function(jacobi_eigh, reduce_retracing=True),
    "xla": tf.function(decompose, jit_compile=True),
}
# The largest order of the default run. XLA compiles each case for 1 to 8 s, and
# Jacobi's method in graph mode takes seconds a batch.
QUICK = {
    "graph": dict.fromkeys(DTYPES, 64),
    "jacobi": {np.float64: 16, np.float32: 16, np.complex128: 8, np.complex64: 5},
    "xla": {np.float64: 8, np.float32: 5, np.complex128: 5, np.complex64: 0},
}
CASES = [
    pytest.param(
        way,
        dtype,
        n,
        id=f"{way}-{np.dtype(dtype).name}-{n}",
        marks=[pytest.mark.slow] if n > QUICK[way][dtype] else [],
    )
    for way in WAYS
    for dtype in DTYPES
    for n in ORDERS
]


@pytest.mark.sample(4)
@pytest.mark.parametrize(("way", "dtype", "n"), CASES)
def test_every_family_is_decomposed_to_full_accuracy(way, dtype, n):
    by_name = families(n, dtype)
    A = np.stack(list(by_name.values()))
    if n == 128 and way != "graph":  # the unscaled ones take 16 s already
        A, by_name = A[::3], list(by_name)[::3]
    w, V = WAYS[way](tf.constant(A))
    assert_accurate(A, w, V, list(by_name))


STEPS = st.one_of(
    st.just(0.0),
    st.floats(-16, 0).map(lambda x: 10.0**x),
    st.sampled_from([1e-16, 1e-15, 1e-12, 1e-8, 0.5, 1.0]),
)


@st.composite
def spectra(draw, n):
    """Levels built of steps of any size, from one sign or both, at any scale."""
    steps = draw(st.lists(STEPS, min_size=n, max_size=n))
    values = np.cumsum(steps) - draw(st.sampled_from([0.0, 0.5, 1.0]))
    return values * 10.0 ** draw(st.integers(-150, 150))


@st.composite
def hard_matrices(draw, n, dtype=np.float64):
    """A random basis for such a spectrum, or rows and columns that are graded."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    A = with_spectrum(rng, draw(spectra(n)), dtype)
    if draw(st.booleans()):
        grades = 10.0 ** -np.array(
            draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)), float
        )
        A = A * grades[:, None] * grades
    return A.astype(dtype)


@settings(max_examples=200)
@given(data=st.data())
def test_no_spectrum_breaks_the_solver_in_graph_mode(data):
    n = data.draw(st.integers(1, 12))
    A = data.draw(hard_matrices(n, data.draw(st.sampled_from(DTYPES[::2]))))
    assert_accurate(A, *WAYS["graph"](tf.constant(A)))


# Few shapes, as XLA compiles each.
@pytest.mark.sample(3)
@pytest.mark.parametrize("way", ["jacobi", "xla"])
@pytest.mark.parametrize(
    ("n", "dtype"),
    [(3, np.float64), (4, np.complex128), (7, np.float64), (12, np.float64)],
    ids=lambda x: str(x) if isinstance(x, int) else np.dtype(x).name,
)
def test_no_spectrum_breaks_jacobi(way, n, dtype):
    @settings(max_examples=100)
    @given(st.lists(hard_matrices(n, dtype), min_size=2, max_size=2))
    def search(matrices):
        A = np.stack(matrices)
        assert_accurate(A, *WAYS[way](tf.constant(A)))

    search()
