"""Bloch Hamiltonians against the sum over all lattice vectors."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit.problem.engines import ManyMatrices
from eigenfit.structures.bloch import equal_or_opposite

VECTORS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [1, -1]])
KPOINTS = [[0.0, 0.0], [0.3, -1.1], [np.pi, np.pi], [2.0, np.pi / 2]]


def hoppings(p=3, n=3, seed=4):
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=[p + 1, len(VECTORS), n, n])
    basis = basis + 1j * rng.normal(size=basis.shape)
    basis[:, 0] += basis[:, 0].conj().swapaxes(-1, -2)
    return basis[:p], basis[p]


def direct_sum(r, basis, offset, kpoint):
    """Over +R and -R one by one, from H_-R = H_R^H."""
    H = np.zeros(offset.shape[1:], complex)
    for R, T in zip(VECTORS, offset + np.tensordot(r, basis, 1), strict=True):
        if not R.any():
            H += T
            continue
        for sign, hop in ((1, T), (-1, T.conj().T)):
            H += np.exp(1j * sign * np.dot(kpoint, R)) * hop
    return H


@pytest.mark.parametrize("kpoint", KPOINTS, ids=str)
def test_is_the_sum_over_all_lattice_vectors(rng, kpoint):
    basis, offset = hoppings()
    structure = ef.Bloch(VECTORS, basis, kpoint, offset)
    for batch in ([], [1], [2, 3], [0]):
        r = rng.normal(size=[*batch, 3])
        H = structure.assemble(tf.constant(r))
        assert H.shape == [*batch, 3, 3]
        np.testing.assert_array_equal(H, tf.linalg.adjoint(H))
        for index in np.ndindex(*batch):
            expected = direct_sum(r[index], basis, offset, kpoint)
            np.testing.assert_allclose(H[index], expected, atol=1e-13)


def test_single_precision(rng):
    basis, offset = hoppings()
    structure = ef.Bloch(VECTORS, basis, KPOINTS[1], offset, "complex64")
    assert structure.parameter_dtype == tf.float32
    r = rng.normal(size=3).astype(np.float32)
    expected = direct_sum(r, basis, offset, KPOINTS[1])
    np.testing.assert_allclose(structure.assemble(r), expected, atol=1e-5)


def test_gradients_agree_with_finite_differences(rng):
    basis, offset = hoppings()
    r, t = rng.normal(size=3), np.array([-3.0, 0.5, 4.0])

    def loss(r):
        w = np.linalg.eigvalsh(direct_sum(r, basis, offset, KPOINTS[1]))
        return np.sum((w - t) ** 2)

    problem = ef.Problem(ef.Bloch(VECTORS, basis, KPOINTS[1], offset))
    gradient = zoo.finite_differences(loss, r, 6e-6)
    np.testing.assert_allclose(problem.gradient(r, t), gradient, atol=1e-6)
    hessian = zoo.finite_differences(lambda r: problem.gradient(r, t), r, 6e-6)
    np.testing.assert_allclose(problem.hessian(r, t), hessian, atol=1e-6)


def test_opposite_wave_vectors_have_conjugate_matrices_for_real_hoppings(rng):
    basis, offset = (x.real for x in hoppings())
    r = tf.constant(rng.normal(size=3))
    one, other = (
        ef.Bloch(VECTORS, basis, k, offset).assemble(r)
        for k in (np.array([0.7, 0.2]), np.array([-0.7, -0.2]))
    )
    np.testing.assert_allclose(one, np.conj(other), atol=1e-13)
    levels = [np.linalg.eigvalsh(H.numpy()) for H in (one, other)]
    np.testing.assert_allclose(*levels, atol=1e-12)
    # And a reciprocal lattice vector changes nothing.
    far = ef.Bloch(VECTORS, basis, [0.7 + 2 * np.pi, 0.2 - 4 * np.pi], offset)
    np.testing.assert_allclose(far.assemble(r), one, atol=1e-12)


def test_the_zincblende_bands_of_vogl_s_sp3_model_at_gamma():
    # P. Vogl, H. P. Hjalmarson & J. D. Dow (1983), the s block of GaAs: at k = 0 the
    # levels are (Ea + Ec) / 2 +- sqrt(((Ea - Ec) / 2)^2 + V^2); at X, where the four
    # phases cancel, Ea and Ec.
    Ea, Ec, V = -8.3431, -2.6569, -6.4513
    vectors = np.array([[0.0, 0, 0], [0, -0.5, -0.5], [-0.5, 0, -0.5], [-0.5, -0.5, 0]])
    basis = np.zeros([3, 4, 2, 2])
    basis[0, 0, 0, 0] = basis[1, 0, 1, 1] = 1
    basis[2, :, 0, 1] = 0.25  # from the anion to the cation of cell R
    basis[2, 0, 1, 0] = 0.25
    r = tf.constant([Ea, Ec, V], tf.float64)
    gamma = ef.Bloch(vectors, basis, [0, 0, 0]).assemble(r).numpy()
    split = np.hypot((Ea - Ec) / 2, V)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(gamma), (Ea + Ec) / 2 + np.array([-split, split]), rtol=1e-13
    )
    X = ef.Bloch(vectors, basis, [2 * np.pi, 0, 0]).assemble(r).numpy()
    np.testing.assert_allclose(np.linalg.eigvalsh(X), [Ea, Ec], rtol=1e-13)


def test_blocks_of_several_wave_vectors_run_as_one_group(rng):
    basis, offset = hoppings()
    blocks = [ef.Block(ef.Bloch(VECTORS, basis, k, offset)) for k in KPOINTS]
    problem = ef.Problem(blocks)
    assert isinstance(problem.engine, ManyMatrices)
    assert len(problem.engine.groups) == 1
    r = rng.normal(size=[2, 3])
    expected = [
        np.concatenate(
            [np.linalg.eigvalsh(direct_sum(x, basis, offset, k)) for k in KPOINTS]
        )
        for x in r
    ]
    np.testing.assert_allclose(problem.eigenvalues(r), expected, atol=1e-12)


CHAIN = [[[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0], [1]], CHAIN, [1.0, 2.0]), r"`kpoint` must have shape \[1\]"),
        (([0, 1], CHAIN, [1.0]), r"`vectors` must have shape \[R, d\]"),
        (([[0], [0]], CHAIN, [1.0]), "`vectors` 0 and 1 are equal or opposite"),
        (([[-1], [1]], CHAIN, [1.0]), "are equal or opposite.*Give one of each pair"),
        (([[0], [1], [2]], CHAIN, [1.0]), r"must have shape \[p, 3, n, n\]"),
        (([[0], [1]], [[[1.0]]], [1.0]), "`basis` must have shape"),
        (([[0], [1]], CHAIN, [1.0], [[0.0]]), "`offset` must have shape"),
        (([[0]], [[[[0.0, 1.0], [2.0, 0.0]]]], [1.0]), "must be Hermitian"),
        (([[0], [1]], CHAIN, [np.nan]), "`kpoint` must hold real finite"),
        (([[0], [np.inf]], CHAIN, [1.0]), "`vectors` must hold real finite"),
        (([[0], [1]], np.multiply(CHAIN, np.nan), [1.0]), "`basis` must be finite"),
        (([[0], [1]], CHAIN, [1.0], None, "float64"), "Use complex128"),
        (([[0], [1]], CHAIN, [1j]), "`kpoint` must hold real"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.Bloch(*arguments)


@pytest.mark.parametrize("scale", [1e-150, 1e-10, 1.0, 1e150])
def test_vectors_are_compared_in_their_own_unit(rng, scale):
    basis, offset = hoppings()
    k = np.array([0.3, -1.1])
    structure = ef.Bloch(scale * VECTORS, basis, k / scale, offset)
    r = rng.normal(size=3)
    expected = direct_sum(r, basis, offset, k)
    np.testing.assert_allclose(structure.assemble(r), expected, atol=1e-12)
    twice = scale * np.array([[1.0, 2.0], [0.0, 1.0], [-1.0, -2.0 + 1e-9]])
    with pytest.raises(ValueError, match="`vectors` 0 and 2 are equal or opposite"):
        ef.Bloch(twice, np.ones([1, 3, 1, 1]), k)


def test_all_pairs_of_many_vectors_are_compared_at_once(rng):
    vectors = rng.integers(-9, 10, size=[2500, 5])
    vectors = np.unique(vectors * np.sign(vectors[:, :1]), axis=0)
    vectors = vectors[vectors[:, 0] != 0]
    assert len(vectors) > 2200
    assert equal_or_opposite(1e-10 * vectors) is None
    vectors[2100] = -vectors[1700]
    assert equal_or_opposite(1e-10 * vectors) == (1700, 2100)


def test_what_rounding_left_of_the_vector_zero_counts_once(rng):
    basis, offset = hoppings()
    near = VECTORS + 0.0
    near[0] = 1e-17, -3e-17
    structure = ef.Bloch(near, basis, KPOINTS[1], offset)
    r = rng.normal(size=3)
    expected = direct_sum(r, basis, offset, KPOINTS[1])
    np.testing.assert_allclose(structure.assemble(r), expected, atol=1e-12)


def test_small_matrices_of_the_vector_zero_are_checked_too():
    with pytest.raises(ValueError, match="vector 0 must be Hermitian"):
        ef.Bloch([[0]], [[[[0.0, 1e-10], [2e-10, 0.0]]]], [1.0])
