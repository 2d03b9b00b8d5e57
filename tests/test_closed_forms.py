"""Jacobi matrices from spectra: published answers, round trips, ways of running."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.linalg import eigvalsh_tridiagonal

import eigenfit as ef


def spectra(parameters):
    """Eigenvalues of a Jacobi matrix, whole and without its first row, by LAPACK."""
    r = np.asarray(parameters, np.float64)
    n = (len(r) + 1) // 2
    inner = eigvalsh_tridiagonal(r[1:n], r[n + 1 :]) if n > 1 else np.zeros(0)
    return np.asarray(eigvalsh_tridiagonal(r[:n], r[n:])), np.asarray(inner)


def random_jacobi(rng, n):
    """Parameters whose spectra interlace by much more than rounding."""
    while True:
        r = np.r_[0.3 * rng.normal(size=n), rng.uniform(0.8, 1.2, size=n - 1)]
        levels, inner = spectra(r)
        gaps = np.r_[inner - levels[:-1], levels[1:] - inner, 1.0]
        if gaps.min() > 1e-7:
            return r, levels, inner


def laplacian_spectra(n):
    """Of the second difference: diagonal 2, and -1 beside it up to a sign."""
    levels = 2 - 2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1))
    return levels, 2 - 2 * np.cos(np.arange(1, n) * np.pi / n)


def run(way, function, *arguments):
    if way == "eager":
        return function(*arguments)
    tensors = [tf.convert_to_tensor(x) for x in arguments]
    # Unknown batch sizes, as in a program that serves all.
    signature = [
        tf.TensorSpec([None] * (x.shape.rank - 1) + x.shape[-1:].as_list(), x.dtype)
        for x in tensors
    ]
    compiled = tf.function(
        function,
        jit_compile=way == "xla",
        autograph=False,
        input_signature=signature,
    )
    return compiled(*tensors)


WAYS = ["eager", "graph", "xla"]


def test_discrete_laplacian_from_two_spectra():
    # H. Hochstadt, Arch. Math. 18 (1967); closed form.
    n = 10
    parameters = ef.jacobi_from_two_spectra(*laplacian_spectra(n)).numpy()
    np.testing.assert_allclose(parameters[:n], 2, rtol=0, atol=1e-14)
    np.testing.assert_allclose(parameters[n:], 1, rtol=0, atol=1e-14)


@pytest.mark.parametrize("way", WAYS)
def test_clement_kac_matrix_from_its_spectrum(way):
    # b_i^2 = i (8 - i), diagonal 0.
    levels = np.arange(-7.0, 8.0, 2.0)
    parameters = run(way, ef.persymmetric_jacobi, levels).numpy()
    np.testing.assert_allclose(parameters[:8], 0, atol=2e-14)
    squares = [7, 12, 15, 16, 15, 12, 7]
    np.testing.assert_allclose(parameters[8:] ** 2, squares, rtol=1e-14)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
def test_round_trip(way, n, rng):
    exact, levels, inner = random_jacobi(rng, n)
    parameters = run(way, ef.jacobi_from_two_spectra, levels, inner).numpy()
    assert parameters.shape == (2 * n - 1,)
    assert (parameters[n:] > 0).all()
    answered, answered_inner = spectra(parameters)
    np.testing.assert_allclose(answered, levels, rtol=0, atol=4e-15 * n**0.5)
    np.testing.assert_allclose(answered_inner, inner, rtol=0, atol=4e-15 * n**0.5)
    # The gaps between the spectra are 1e-7 or more of the range.
    np.testing.assert_allclose(parameters, exact, rtol=0, atol=1e-7)
    if n <= 8:
        np.testing.assert_allclose(parameters, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 33])
def test_persymmetric_answer(way, n, rng):
    _, levels, _ = random_jacobi(rng, n)
    parameters = run(way, ef.persymmetric_jacobi, levels).numpy()
    a, b = parameters[:n], parameters[n:]
    assert (b > 0).all()
    np.testing.assert_array_equal(a, a[::-1])
    np.testing.assert_array_equal(b, b[::-1])
    np.testing.assert_allclose(spectra(parameters)[0], levels, atol=4e-15 * n**0.5)


def test_persymmetric_and_two_spectra_agree():
    levels, inner = laplacian_spectra(33)
    np.testing.assert_allclose(
        ef.persymmetric_jacobi(levels),
        ef.jacobi_from_two_spectra(levels, inner),
        rtol=0,
        atol=1e-13,
    )


def test_parameters_are_those_of_tridiagonal():
    levels, inner = laplacian_spectra(4)
    parameters = ef.jacobi_from_two_spectra(levels, inner)
    A = ef.Tridiagonal(4).assemble(parameters).numpy()
    np.testing.assert_allclose(np.linalg.eigvalsh(A), levels, atol=1e-14)
    np.testing.assert_allclose(np.linalg.eigvalsh(A[1:, 1:]), inner, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-150, 1e150])
@pytest.mark.parametrize("n", [10, 100])
def test_scales_do_not_overflow(scale, n):
    levels, inner = laplacian_spectra(n)
    for parameters in (
        ef.jacobi_from_two_spectra(scale * levels, scale * inner),
        ef.persymmetric_jacobi(scale * levels),
    ):
        r = parameters.numpy() / scale
        np.testing.assert_allclose(r[:n], 2, rtol=0, atol=1e-12)
        np.testing.assert_allclose(r[n:], 1, rtol=0, atol=1e-12)


def test_a_shift_moves_the_diagonal_only():
    levels, inner = laplacian_spectra(10)
    parameters = ef.jacobi_from_two_spectra(levels + 1e6, inner + 1e6).numpy()
    np.testing.assert_allclose(parameters[:10], 1e6 + 2, rtol=1e-14)
    # The levels are rounded to 1e-10.
    np.testing.assert_allclose(parameters[10:], 1, rtol=0, atol=1e-8)


@pytest.mark.parametrize("of", [np.asarray, tf.constant])
def test_float32(of):
    levels, inner = (of(x.astype(np.float32)) for x in laplacian_spectra(10))
    for parameters in (
        ef.jacobi_from_two_spectra(levels, inner),
        ef.persymmetric_jacobi(levels),
    ):
        assert parameters.dtype == tf.float32
        assert (parameters.numpy()[10:] > 0).all()
        found = spectra(parameters.numpy())[0]
        np.testing.assert_allclose(found, levels, rtol=0, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch", [[], [1], [3], [2, 2], [0]])
def test_batches(way, batch):
    levels, inner = laplacian_spectra(5)
    factors = np.arange(1.0, 1 + np.prod(batch)).reshape(batch)[..., None]
    expected = factors * np.r_[np.full(5, 2.0), np.ones(4)]
    parameters = run(way, ef.jacobi_from_two_spectra, factors * levels, factors * inner)
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-13)
    parameters = run(way, ef.persymmetric_jacobi, factors * levels)
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-13)


def test_batches_broadcast():
    levels = np.array([[0.0, 3.0], [-1.0, 4.0]])
    parameters = ef.jacobi_from_two_spectra(levels, np.array([1.0])).numpy()
    assert parameters.shape == (2, 3)
    alone = ef.jacobi_from_two_spectra(levels[1], [1.0])
    np.testing.assert_array_equal(parameters[1], alone)


@pytest.mark.parametrize("way", ["graph", "xla"])
def test_a_bad_member_gets_nan_and_disturbs_nobody(way):
    good, good_inner = np.array([1.0, 2.0, 4.0]), np.array([1.5, 3.0])
    levels = np.tile(good, [8, 1])
    inner = np.tile(good_inner, [8, 1])
    levels[1, 0] = np.nan
    levels[2] = [1.0, 4.0, 2.0]
    levels[3] = [1.0, 1.0, 4.0]
    inner[4] = [1.0, 3.0]
    inner[5, 1] = np.inf
    levels[6, 2] = np.inf
    parameters = run(way, ef.jacobi_from_two_spectra, levels, inner).numpy()
    assert np.isnan(parameters[1:7]).all()
    alone = run(way, ef.jacobi_from_two_spectra, good[None], good_inner[None])
    np.testing.assert_array_equal(parameters[[0, 7]], np.repeat(alone, 2, axis=0))
    parameters = run(way, ef.persymmetric_jacobi, levels).numpy()
    assert np.isnan(parameters[[1, 2, 3, 6]]).all()
    assert np.isfinite(parameters[[0, 4, 5, 7]]).all()


@pytest.mark.parametrize(
    ("levels", "inner", "message"),
    [
        ([[1.0, 2.0], [1.0, np.nan]], [1.5], r"`levels` of member \(1,\) must be fin"),
        ([2.0, 1.0], [1.5], "`levels` must ascend strictly, got .* Sort them"),
        ([1.0, 1.0], [1.0], "`levels` must ascend strictly"),
        ([1.0, 2.0], [np.inf], "`inner_levels` must be finite"),
        ([1.0, 2.0], [2.5], "`inner_levels` must lie one between"),
        ([1.0, 2.0], [1.0], "`inner_levels` must lie one between"),
        ([1.0, 2.0], [2.0], "`inner_levels` must lie one between"),
        ([1.0, 2.0, 3.0], [2.5, 1.5], "`inner_levels` must lie one between"),
        ([1.0, 2.0], [1.2, 1.5], r"`inner_levels` must have shape \[..., 1\]"),
        ([1.0, 2.0], 1.5, r"`inner_levels` must have shape \[..., 1\]"),
        ([], [], r"`levels` must have shape \[..., n\]"),
        (1.0, [], r"`levels` must have shape \[..., n\]"),
        (np.ones([2, 1]), np.ones([3, 0]), "do not broadcast"),
    ],
)
def test_refused(levels, inner, message):
    with pytest.raises(ValueError, match=message):
        ef.jacobi_from_two_spectra(levels, inner)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([2.0, 1.0], "`levels` must ascend strictly"),
        ([[0.0, 1.0], [0.0, np.inf]], r"`levels` of member \(1,\) must be finite"),
    ],
)
def test_persymmetric_refused(levels, message):
    with pytest.raises(ValueError, match=message):
        ef.persymmetric_jacobi(levels)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="`levels` must be real"):
        ef.persymmetric_jacobi([1.0 + 1j])
    with pytest.raises(TypeError, match="`levels` must be float32 or float64"):
        ef.persymmetric_jacobi(tf.constant([1, 2]))
    with pytest.raises(TypeError, match="`inner_levels` must be float64 like `levels`"):
        ef.jacobi_from_two_spectra([1.0, 2.0], tf.constant([1.5], tf.float32))
