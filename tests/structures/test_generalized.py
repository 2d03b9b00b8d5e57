"""K(r) x = lambda M x against SciPy's generalized eigensolver."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit.observations import Spectrum

STEP = 6e-6  # see `zoo.finite_differences`
SECOND = 2e-4  # of second differences: h^2 f''''/12 + 4 eps f/h^2 is about 1e-7


def random_matrix(seed, order, is_complex=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=[order, order]) + 0j
    if is_complex:
        X += 1j * rng.normal(size=[order, order])
    X = (X + X.conj().T) / 2
    return X if is_complex else X.real


def definite(seed, order, is_complex=False):
    X = random_matrix(seed, order, is_complex)
    return X @ X.conj().T / order + np.eye(order)


def affine(seed, p, order, is_complex=False):
    return np.array([random_matrix(seed + k, order, is_complex) for k in range(p)])


class Pencil:
    """The structure, and K(r) and M(r) written in NumPy."""

    def __init__(self, make, K, M, is_complex=False):
        self.make, self.K, self.M = make, K, M
        self.is_complex = is_complex

    def levels(self, r):
        return scipy.linalg.eigh(self.K(r), self.M(r), eigvals_only=True)

    def vectors(self, r):
        return scipy.linalg.eigh(self.K(r), self.M(r))

    def reduced(self, r):
        L = np.linalg.cholesky(self.M(r))
        half = scipy.linalg.solve_triangular(L, self.K(r), lower=True)
        return scipy.linalg.solve_triangular(L, half.conj().T, lower=True).conj().T

    def loss(self, r, t):
        return np.sum((self.levels(r) - t) ** 2)


def fixed(mass, is_complex=False, order=4, p=3):
    basis = affine(10, p, order, is_complex)
    offset = np.diag(np.arange(1.0, order + 1))
    full = np.diag(mass) if np.ndim(mass) == 1 else np.asarray(mass)
    dtypes = {
        tf.float64: tf.complex128 if is_complex else tf.float64,
        tf.float32: tf.complex64 if is_complex else tf.float32,
    }
    return Pencil(
        lambda d: ef.Generalized(ef.Affine(basis, offset, dtypes[d]), mass),
        lambda r: offset + np.tensordot(r, basis, 1),
        lambda r: full,
        is_complex,
    )


def varying(is_complex=False, order=4, p=3):
    K, M = affine(20, p, order, is_complex), 0.3 * affine(30, p, order, is_complex)
    M0 = definite(40, order, is_complex) + np.eye(order)
    K0 = np.diag(np.arange(1.0, order + 1))
    double = tf.complex128 if is_complex else tf.float64
    single = tf.complex64 if is_complex else tf.float32

    def make(d):
        dtype = double if d == tf.float64 else single
        return ef.Generalized(ef.Affine(K, K0, dtype), ef.Affine(M, M0, dtype))

    return Pencil(
        make,
        lambda r: K0 + np.tensordot(r, K, 1),
        lambda r: M0 + np.tensordot(r, M, 1),
        is_complex,
    )


def not_linear(both):
    M0 = definite(50, 3)

    def stiffness(r):
        return np.diag(np.exp(r)) + r.sum() / 4 * np.ones([3, 3])

    def mass(r):
        n = r.shape[-1]
        ones = tf.ones([n, n], r.dtype) / 5
        return tf.linalg.diag(2 + tf.sin(r)) + ones

    def make(d):
        own = ef.Parametric(mass, 3, 3, d) if both else M0
        return ef.Generalized(ef.Parametric(zoo.exponential, 3, 3, d), own)

    def numpy_mass(r):
        return np.diag(2 + np.sin(r)) + 0.2 if both else M0

    return Pencil(make, stiffness, numpy_mass)


PENCILS = {
    "diagonal": fixed([1.0, 2.0, 0.5, 3.0]),
    "whole numbers": fixed([[2, 1, 0, 0], [1, 3, 0, 0], [0, 0, 1, 0], [0, 0, 0, 4]]),
    "full": fixed(definite(1, 4)),
    "complex": fixed(definite(2, 4, True), True),
    "complex with a real mass": fixed(definite(3, 4), True),
    "complex with a diagonal mass": fixed([1.0, 2.0, 0.5, 3.0], True),
    "M(r)": varying(),
    "complex M(r)": varying(True),
    "K not linear": not_linear(False),
    "neither linear": not_linear(True),
    "order 1": fixed([2.0], order=1, p=2),
}
R = np.array([0.3, -0.4, 0.2])


def start(structure):
    return R[: structure.num_parameters]


@pytest.fixture(params=PENCILS)
def pencil(request):
    return PENCILS[request.param]


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32], ids=lambda d: d.name)
def test_levels_are_those_of_the_pencil_in_every_batch_shape(rng, pencil, dtype):
    structure = pencil.make(dtype)
    tolerance = 1e-12 if dtype == tf.float64 else 2e-5
    for batch in ([], [1], [2, 3], [0]):
        r = 0.3 * rng.normal(size=[*batch, structure.num_parameters])
        C = structure.assemble(tf.constant(r, dtype))
        assert C.dtype == structure.dtype
        assert C.shape == [*batch, structure.order, structure.order]
        np.testing.assert_array_equal(C, tf.linalg.adjoint(C))
        for index in np.ndindex(*batch):
            w = np.linalg.eigvalsh(C[index].numpy())
            expected = pencil.levels(r[index])
            np.testing.assert_allclose(w, expected, rtol=tolerance, atol=tolerance)


def test_modes_solve_the_pencil_and_are_mass_normalised(pencil):
    structure = pencil.make(tf.float64)
    r = start(structure)
    w, V = np.linalg.eigh(structure.assemble(tf.constant(r)).numpy())
    X = structure.modes(tf.constant(r), tf.constant(V)).numpy()
    K, M = pencil.K(r), pencil.M(r)
    np.testing.assert_allclose(X.conj().T @ M @ X, np.eye(len(w)), atol=1e-12)
    np.testing.assert_allclose(K @ X, M @ X * w, atol=1e-11)
    _, expected = pencil.vectors(r)
    overlap = np.abs(np.diag(expected.conj().T @ M @ X))
    np.testing.assert_allclose(overlap, 1, atol=1e-12)


def test_level_jacobian_agrees_with_finite_differences_of_scipy(pencil):
    structure = pencil.make(tf.float64)
    r = start(structure)
    _, V = np.linalg.eigh(structure.assemble(tf.constant(r)).numpy())
    J = structure.level_jacobian(tf.constant(r), tf.constant(V))
    expected = zoo.finite_differences(pencil.levels, r, STEP)
    np.testing.assert_allclose(J, expected, atol=1e-8)
    some = structure.level_jacobian(tf.constant(r), tf.constant(V[:, :1]))
    np.testing.assert_allclose(some, J[:1], atol=1e-13)


def test_derivatives_of_the_reduced_matrix(rng, pencil):
    structure = pencil.make(tf.float64)
    r, n = start(structure), structure.order
    D = np.moveaxis(zoo.finite_differences(pencil.reduced, r, STEP), -1, 0)
    shape = [n, n]
    G, V = rng.normal(size=shape), rng.normal(size=shape)
    if pencil.is_complex:
        G, V = G + 1j * rng.normal(size=shape), V + 1j * rng.normal(size=shape)
    G = G + G.conj().T
    v = rng.normal(size=len(r))
    x, g = tf.constant(r), tf.constant(G)
    pulled = np.einsum("kij,ij->k", D.conj(), G).real
    np.testing.assert_allclose(structure.pullback(x, g), pulled, atol=1e-7)
    np.testing.assert_allclose(
        structure.pushforward(x, tf.constant(v)), np.tensordot(v, D, 1), atol=1e-8
    )
    np.testing.assert_allclose(
        structure.rotated_derivatives(x, tf.constant(V)), V.conj().T @ D @ V, atol=1e-7
    )
    norms = structure.squared_norms()
    if norms is not None:
        np.testing.assert_allclose(
            norms, np.sum(np.abs(D) ** 2, axis=(1, 2)), rtol=1e-7
        )


def second_differences(function, x, step):
    """By central differences of central differences, [p, p]."""
    return zoo.finite_differences(
        lambda x: zoo.finite_differences(function, x, step), x, step
    )


def test_curvature(rng, pencil):
    structure = pencil.make(tf.float64)
    r = start(structure)
    G = rng.normal(size=[structure.order] * 2)
    if pencil.is_complex:
        G = G + 1j * rng.normal(size=G.shape)
    G = G + G.conj().T
    expected = second_differences(
        lambda r: np.sum(pencil.reduced(r).conj() * G).real, r, SECOND
    )
    x, v = tf.constant(r), rng.normal(size=len(r))
    np.testing.assert_allclose(structure.curvature(x, G), expected, atol=1e-5)
    np.testing.assert_allclose(
        structure.curvature_product(x, tf.constant(G), tf.constant(v)),
        expected @ v,
        atol=1e-5,
    )
    assert structure.is_linear == (np.abs(expected).max() < 1e-5)


@pytest.mark.parametrize("name", [k for k in PENCILS if "complex" not in k])
def test_derivatives_of_modes_keep_the_mass_normalisation(name):
    pencil = PENCILS[name]
    structure = pencil.make(tf.float64)
    r = start(structure)
    n = structure.order
    x = tf.constant(r)
    w, V = np.linalg.eigh(structure.assemble(x).numpy())
    J = structure.level_jacobian(x, tf.constant(V))
    spectrum = Spectrum(structure, x, tf.constant(w), tf.constant(V), J)
    X = spectrum.modes.numpy()

    def modes(r):
        # Of SciPy, mass-normalised, with the signs of X.
        found = pencil.vectors(r)[1]
        return (found * np.sign(np.sum(found * (pencil.M(r) @ X), axis=0))).T

    expected = zoo.finite_differences(modes, r, STEP)
    dX = spectrum.mode_jacobian(np.arange(n)).numpy()
    np.testing.assert_allclose(dX, expected, atol=1e-7)
    # d(x^T M x) = 0: what fails where vectors are normalised otherwise.
    dM = zoo.finite_differences(pencil.M, r, STEP)
    change = 2 * np.einsum("kap,ab,bk->kp", dX, pencil.M(r), X)
    change += np.einsum("ak,abp,bk->kp", X, dM, X)
    np.testing.assert_allclose(change, 0, atol=1e-8)


@pytest.mark.parametrize("gap", [1.0, 1e-2, 1e-4, 1e-6, 1e-8])
def test_derivative_of_a_mode_near_degeneracy_in_closed_form(gap):
    # K = [[1, r], [r, 1 + gap]], M = m I: at r = 0 dx_0/dr = -e_1 / (gap sqrt(m)).
    m = 4.0
    K = ef.Affine([[[0.0, 1.0], [1.0, 0.0]]], np.diag([m, m * (1 + gap)]))
    structure = ef.Generalized(K, [m, m])
    gap = (m * (1 + gap) - m) / m  # as rounded
    r = tf.constant([0.0], tf.float64)
    w = tf.constant([1.0, 1 + gap], tf.float64)
    V = tf.eye(2, dtype=tf.float64)
    spectrum = Spectrum(structure, r, w, V, structure.level_jacobian(r, V))
    dX = spectrum.mode_jacobian(np.array([0, 1])).numpy()[..., 0]
    expected = np.array([[0, -1], [1, 0]]) / (m * gap * np.sqrt(m))
    np.testing.assert_allclose(dX, expected, rtol=1e-12 + 1e-15 / gap)


def test_no_derivative_of_a_mode_inside_a_cluster():
    structure = ef.Generalized(ef.Symmetric(3), [1.0, 2.0, 3.0])
    r = tf.constant([1.0, 2.0, 6.0, 0.0, 0.0, 0.0], tf.float64)  # levels 1, 1, 2
    w, V = tf.constant([1.0, 1.0, 2.0], tf.float64), tf.eye(3, dtype=tf.float64)
    spectrum = Spectrum(structure, r, w, V, structure.level_jacobian(r, V))
    dX = spectrum.mode_jacobian(np.arange(3)).numpy()
    assert np.isnan(dX[:2]).any(axis=(1, 2)).all()
    assert np.isfinite(dX[2]).all()


MODES = ["eager", "graph", "xla"]


def run(mode, function, *arguments):
    if mode != "eager":
        function = tf.function(function, jit_compile=mode == "xla")
    return function(*(tf.constant(x, tf.float64) for x in arguments))


def derivatives(problem, r, t):
    """Gradient and Hessian by our functions, and by nested tapes."""
    # A member of the batch for each row of the Hessian: cheaper than `jacobian`.
    copies = tf.tile(r[tf.newaxis], [r.shape[0], 1])
    targets = tf.tile(t[tf.newaxis], [r.shape[0], 1])
    with tf.GradientTape() as outer:
        outer.watch(copies)
        with tf.GradientTape() as inner:
            inner.watch(copies)
            loss = problem.loss(copies, targets)
        gradient = inner.gradient(loss, copies)
        rows = tf.linalg.diag_part(gradient)
    taped = outer.gradient(rows, copies)
    return gradient[0], problem.gradient(r, t), taped, problem.hessian(r, t)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("full", "eager"),
        ("full", "graph"),
        ("complex", "eager"),
        ("M(r)", "eager"),
        ("neither linear", "eager"),
        ("complex M(r)", "graph"),
        pytest.param("M(r)", "xla", marks=pytest.mark.slow),
        pytest.param("neither linear", "xla", marks=pytest.mark.slow),
        pytest.param("complex M(r)", "xla", marks=pytest.mark.slow),
    ],
)
def test_gradient_and_hessian_of_the_loss(name, mode):
    pencil = PENCILS[name]
    structure = pencil.make(tf.float64)
    problem, r = ef.Problem(structure), start(structure)
    t = pencil.levels(r) + np.linspace(-0.5, 0.7, structure.order)
    gradient = zoo.finite_differences(lambda r: pencil.loss(r, t), r, STEP)
    hessian = second_differences(lambda r: pencil.loss(r, t), r, SECOND)
    found = run(mode, lambda r, t: derivatives(problem, r, t), r, t)
    for value in found[:2]:
        np.testing.assert_allclose(value, gradient, atol=1e-7)
    for value in found[2:]:
        np.testing.assert_allclose(value, hessian, atol=1e-5)
    np.testing.assert_allclose(found[2], found[3], atol=1e-9)
    block = ef.Problem([ef.Block(structure)])
    np.testing.assert_allclose(block.gradient(r, t), found[1], atol=1e-11)
    np.testing.assert_allclose(block.hessian(r, t), found[3], atol=1e-9)


def coinciding(gap, with_mass, seed=7):
    """A pencil with levels 1, 1 + gap, 1 + 2 gap, 3 at r = 0, from its modes."""
    order, p = 4, 3
    M0 = definite(seed, order)
    X = np.linalg.inv(np.linalg.cholesky(M0)).T
    X = X @ np.linalg.qr(random_matrix(seed + 1, order))[0]
    K0 = M0 @ X @ np.diag([1.0, 1.0 + gap, 1.0 + 2 * gap, 3.0]) @ X.T @ M0
    K0 = (K0 + K0.T) / 2
    K, M = affine(seed + 2, p, order), 0.2 * affine(seed + 20, p, order)
    mass = ef.Affine(M, M0) if with_mass else M0
    return Pencil(
        lambda d: ef.Generalized(ef.Affine(K, K0), mass),
        lambda r: K0 + np.tensordot(r, K, 1),
        lambda r: M0 + (np.tensordot(r, M, 1) if with_mass else 0),
    )


@pytest.mark.parametrize("gap", [0.0, 1e-13, 1e-11, 1e-9, 1e-6, 1e-3])
@pytest.mark.parametrize("with_mass", [False, True], ids=["M", "M(r)"])
def test_gradient_and_hessian_where_levels_nearly_coincide(gap, with_mass):
    # Equal targets in the cluster: the loss is smooth whatever the gap.
    pencil = coinciding(gap, with_mass)
    structure = pencil.make(tf.float64)
    r, t = np.zeros(3), np.array([0.4, 0.4, 0.4, 2.0])
    gradient = zoo.finite_differences(lambda r: pencil.loss(r, t), r, STEP)
    hessian = second_differences(lambda r: pencil.loss(r, t), r, SECOND)
    problem = ef.Problem(structure)
    found = run("eager", lambda r, t: derivatives(problem, r, t), r, t)
    block = ef.Problem([ef.Block(structure)])
    for value in (*found[:2], block.gradient(r, t)):
        np.testing.assert_allclose(value, gradient, atol=1e-7)
    for value in (*found[2:], block.hessian(r, t)):
        np.testing.assert_allclose(value, hessian, atol=2e-5)
    assert np.abs(hessian).max() > 1


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        ([1.0, 0.0], "`mass` must be positive and finite, got 0.0 at 1"),
        ([1.0, -2.0], "got -2.0 at 1"),
        ([np.nan, 1.0], "got nan at 0"),
        ([np.inf, 1.0], "got inf at 0"),
        ([1.0, 1j], "`mass` must be positive"),
        ([1.0, 2.0, 3.0], r"must have shape \[2\] \(a diagonal\) or \[2, 2\]"),
        (2.0, "must have shape"),
        ("heavy", "must be a full array of numbers"),
        ([[1.0, 2.0], [2.0, 1.0]], "must be positive definite; .* eigenvalue is -1,"),
        ([[1.0, 1.0], [1.0, 1.0]], "must be positive definite"),
        (np.array([[4.0, 2.0], [2.0, 1 + 1e-16]]), "must be positive definite"),
        ([[1.0, 0.5], [0.2, 1.0]], "`mass` must be Hermitian: entry"),
        ([[1.0, np.nan], [np.nan, 1.0]], "must be finite"),
        (ef.Symmetric(3), "`mass` must have the order 2, 3 parameters"),
        (ef.Symmetric(2, tf.float32), "dtype float64 of the stiffness"),
        (ef.Tridiagonal(1), "Use Reparametrized"),
    ],
)
def test_a_mass_that_does_not_fit_is_refused(mass, message):
    with pytest.raises(ValueError, match=message):
        ef.Generalized(ef.Symmetric(2), mass)


def test_other_kinds_are_refused():
    with pytest.raises(TypeError, match="`stiffness` must be a structure"):
        ef.Generalized(np.eye(2), [1.0, 1.0])
    with pytest.raises(TypeError, match="`mass` is complex, the stiffness float64"):
        ef.Generalized(ef.Symmetric(2), [[2.0, 1j], [-1j, 2.0]])


MASS = ef.Affine([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])])  # diag(r)
PAIR = ef.Generalized(ef.Affine([np.eye(2), np.diag([1.0, -1.0])]), MASS)


@pytest.mark.parametrize("mode", MODES)
def test_a_member_whose_mass_is_not_definite_gets_nan_and_leaves_others_alone(mode):
    problem = ef.Problem(PAIR)
    r = np.array([[1.0, 2.0], [1.0, -2.0], [3.0, 0.5], [0.0, 1.0]])
    t = np.tile([0.5, 1.5], [4, 1])

    def everything(r, t):
        point = problem.evaluate(r, t)
        found = [point.eigenvalues, point.loss, problem.gradient_at(point)]
        found.append(problem.jacobian_at(point))
        if mode != "xla":  # which takes long to compile
            found.append(problem.hessian_at(point, t))
        return found

    good = np.array([0, 2])
    expected = everything(tf.constant(r[good]), tf.constant(t[good]))
    levels = [np.sort([(a + b) / a, (a - b) / b]) for a, b in r[good]]
    np.testing.assert_allclose(expected[0], levels, rtol=1e-13)
    for value, own in zip(run(mode, everything, r, t), expected, strict=True):
        np.testing.assert_allclose(value.numpy()[good], own, rtol=1e-12, atol=1e-12)
        rest = value.numpy()[[1, 3]].reshape(2, -1)
        assert np.isnan(rest).any(axis=1).all()


def test_a_fit_from_where_the_mass_is_not_definite_ends_nonfinite():
    solver = ef.Solver(ef.Problem(PAIR), ef.LevenbergMarquardt())
    found = solver.fit([[1.0, 2.0], [1.0, -2.0]], [0.5, 5 / 3])
    assert found.result.numpy().tolist() == [
        ef.Result.converged,
        ef.Result.nonfinite,
    ]
    a, b = found.parameters.numpy()[0]
    levels = np.sort([(a + b) / a, (a - b) / b])
    np.testing.assert_allclose(levels, [0.5, 5 / 3], atol=1e-4)


numbers = st.floats(-2.0, 2.0, allow_nan=False, width=32)


@st.composite
def pencils(draw):
    n = draw(st.integers(1, 4))
    draw_matrix = st.lists(numbers, min_size=n * n, max_size=n * n)
    K = np.reshape(draw(draw_matrix), [n, n])
    L = np.reshape(draw(draw_matrix), [n, n])
    if draw(st.booleans()):
        K = np.round(K)  # often with levels that coincide
    M = L @ L.T + 0.25 * np.eye(n)
    return K + K.T, M


@hypothesis.given(pencils(), st.floats(0.25, 4.0))
def test_properties_of_the_pencil(pencil, scale):
    K, M = pencil
    n = len(K)
    structure = ef.Generalized(ef.Symmetric(n), M)
    rows, columns = [], []
    for offset in range(n):
        rows += range(offset, n)
        columns += range(n - offset)
    r = tf.constant(K[rows, columns], tf.float64)
    w, V = np.linalg.eigh(structure.assemble(r).numpy())
    size = 1e-11 * (1 + np.abs(w).max())
    np.testing.assert_allclose(w, scipy.linalg.eigh(K, M, eigvals_only=True), atol=size)
    # A heavier mass lowers the levels, a change of units of x does not.
    heavier = ef.Generalized(ef.Symmetric(n), scale * M).assemble(r)
    np.testing.assert_allclose(np.linalg.eigvalsh(heavier), w / scale, atol=4 * size)
    # sum_i g_i dlambda_i = <X diag(g) X^T, dK>, also where levels coincide.
    X = structure.modes(r, tf.constant(V)).numpy()
    np.testing.assert_allclose(X.T @ M @ X, np.eye(n), atol=1e-11)
    g = np.where(np.abs(w) < 1, 1.0, -0.5)
    G = (X * g) @ X.T
    expected = np.where(np.equal(rows, columns), 1, 2) * G[rows, columns]
    pulled = structure.pullback(r, tf.constant((V * g) @ V.T))
    np.testing.assert_allclose(pulled, expected, atol=1e-10)
    J = structure.level_jacobian(r, tf.constant(V)).numpy()
    np.testing.assert_allclose(g @ J, expected, atol=1e-10)


@st.composite
def hermitian_pencils(draw):
    """Offset, basis and mass, of small whole numbers: levels often coincide."""
    n, p = draw(st.integers(1, 3)), 2
    whole = st.integers(-2, 2).map(float)
    size = (p + 2) * n * n
    real = st.lists(whole, min_size=size, max_size=size)
    X = np.reshape(draw(real), [p + 2, n, n])
    if draw(st.booleans()):
        X = X + 1j * np.reshape(draw(real), X.shape)
    M = X[0] @ X[0].conj().T + np.eye(n)
    A = X[1:] + X[1:].conj().swapaxes(-1, -2)
    dtype = tf.complex128 if np.iscomplexobj(X) else tf.float64
    return A[0], A[1:], M, dtype


@hypothesis.given(hermitian_pencils(), st.floats(-2, 2), st.floats(0, 1e-6))
def test_gradient_and_hessian_of_equal_targets_in_closed_form(pencil, t, apart):
    # sum (lambda_i - t)^2 = |C - t I|^2, whatever levels coincide: its gradient is
    # 2 <C_k, C - t I> and its Hessian 2 <C_k, C_l>.
    offset, basis, M, dtype = pencil
    n = len(M)
    offset = offset + apart * np.diag(np.arange(n))
    L = np.linalg.inv(np.linalg.cholesky(M))
    C = L @ offset @ L.conj().T - t * np.eye(n)
    D = L @ basis @ L.conj().T
    gradient = 2 * np.einsum("kij,ij->k", D.conj(), C).real
    hessian = 2 * np.einsum("kij,lij->kl", D.conj(), D).real
    structure = ef.Generalized(ef.Affine(basis, offset, dtype), M)
    r, targets = np.zeros(2), np.full(n, t)
    for problem in (ef.Problem(structure), ef.Problem([structure])):
        found = problem.gradient(r, targets)
        np.testing.assert_allclose(found, gradient, atol=1e-10)
        np.testing.assert_allclose(problem.hessian(r, targets), hessian, atol=1e-9)


@hypothesis.given(pencils(), st.integers(0, 100))
def test_derivatives_of_modes_solve_the_differentiated_pencil(pencil, seed):
    # (K - lambda M) dx + (dK - dlambda M - lambda dM) x = 0, 2 x^T M dx + x^T dM x = 0.
    K, M = pencil
    n = len(K)
    dK, dM = random_matrix(seed, n), 0.1 * random_matrix(seed + 1, n)
    structure = ef.Generalized(ef.Affine([dK], K), ef.Affine([dM], M))
    r = tf.constant([0.0], tf.float64)
    w, V = np.linalg.eigh(structure.assemble(r).numpy())
    J = structure.level_jacobian(r, tf.constant(V))
    spectrum = Spectrum(structure, r, tf.constant(w), tf.constant(V), J)
    X = spectrum.modes.numpy()
    dX = spectrum.mode_jacobian(np.arange(n)).numpy()[..., 0]
    for i in range(n):
        gap = np.abs(np.delete(w, i) - w[i]).min(initial=1.0)
        if gap < 1e-6:
            continue  # coinciding: tested above
        x, dx, dw = X[:, i], dX[i], J.numpy()[i, 0]
        size = 1e-10 * (1 + np.abs(w).max()) / gap
        rest = (K - w[i] * M) @ dx + (dK - dw * M - w[i] * dM) @ x
        np.testing.assert_allclose(rest, 0, atol=size)
        np.testing.assert_allclose(2 * x @ M @ dx + x @ dM @ x, 0, atol=size)


@pytest.mark.slow
@pytest.mark.sample(1)
@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
def test_a_batch_is_fitted_under_xla(method):
    structure = PENCILS["M(r)"].make(tf.float64)
    problem = ef.Problem(structure, ef.Levels(range(structure.num_parameters)))
    goal = start(structure)
    targets = problem.values(goal, np.zeros(problem.num_targets))
    starts = goal + 0.02 * np.arange(1, 3)[:, np.newaxis]
    found = ef.Solver(problem, method, compile="xla").fit(starts, targets)
    np.testing.assert_array_equal(found.result, ef.Result.converged)
    expected = ef.Solver(problem, method, compile="graph").fit(starts, targets)
    np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-8)
