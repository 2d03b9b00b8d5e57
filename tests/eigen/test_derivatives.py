import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

STEP = 6e-6  # see zoo.finite_differences


def gradient(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


def hessian(function, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        g = gradient(function, x)
    return tape.jacobian(g, x)


def directions(order, complex_):
    """A basis of Hermitian matrices, so that one vector holds a matrix."""
    if complex_:
        return zoo.hermitian_basis(order)
    basis = zoo.hermitian_basis(order)
    return np.real(basis[np.abs(np.imag(basis)).max(axis=(1, 2)) == 0])


def matrix_of(x, basis):
    return tf.tensordot(tf.cast(x, basis.dtype), tf.constant(basis), axes=1)


LOSSES = {
    "eigenvalues": lambda A: tf.reduce_sum(
        tf.sin(ef.eigvalsh(A)) * tf.range(1.0, 5.0, dtype=tf.float64)
    ),
    "eigenvalues of eigh": lambda A: tf.reduce_sum(ef.eigh(A)[0] ** 3),
    "loss": lambda A: ef.spectral_loss(A, np.array([-1.0, 0.0, 0.5, 2.0])) ** 2,
    "weighted loss": lambda A: ef.spectral_loss(
        A, np.array([-1.0, 0.0, 0.5, 2.0]), np.array([1.0, 0.0, 3.0, 0.5])
    ),
}


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("name", LOSSES)
def test_first_and_second_derivatives_agree_with_finite_differences(
    rng, name, complex_
):
    basis = directions(4, complex_)
    x = rng.normal(size=len(basis))

    def function(x):
        return LOSSES[name](matrix_of(x, basis))

    first = gradient(function, tf.constant(x))
    expected = zoo.finite_differences(function, x, STEP)
    np.testing.assert_allclose(first, expected, rtol=1e-7, atol=1e-7)
    second = hessian(function, tf.constant(x))
    expected = zoo.finite_differences(
        lambda x: gradient(function, tf.constant(x)), x, STEP
    )
    np.testing.assert_allclose(second, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_derivatives_by_targets_and_weights(rng, complex_):
    basis = directions(3, complex_)
    p = len(basis)
    x = np.concatenate([rng.normal(size=p), [-1.0, 0.0, 1.0], [0.5, 1.0, 2.0]])

    def function(x):
        A = matrix_of(x[:p], basis)
        return tf.exp(-ef.spectral_loss(A, x[p : p + 3], x[p + 3 :]) / 4)

    first = gradient(function, tf.constant(x))
    expected = zoo.finite_differences(function, x, STEP)
    np.testing.assert_allclose(first, expected, rtol=1e-7, atol=1e-7)
    second = hessian(function, tf.constant(x))
    expected = zoo.finite_differences(
        lambda x: gradient(function, tf.constant(x)), x, STEP
    )
    np.testing.assert_allclose(second, expected, rtol=1e-6, atol=1e-6)


def projector_loss(A):
    """Sees the eigenvectors only through a projector: invariant in clusters."""
    _, V = ef.eigh(A)
    P = tf.linalg.matmul(V[..., :2], V[..., :2], adjoint_b=True)
    weights = tf.cast(tf.reshape(tf.range(16.0), [4, 4]), A.dtype)
    return tf.math.real(tf.reduce_sum(weights * P))


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_gradient_through_eigenvectors(rng, complex_):
    basis = directions(4, complex_)
    x = rng.normal(size=len(basis))

    def function(x):
        return projector_loss(matrix_of(x, basis))

    expected = zoo.finite_differences(function, x, STEP)
    np.testing.assert_allclose(
        gradient(function, tf.constant(x)), expected, rtol=1e-6, atol=1e-6
    )


def test_gradient_through_eigenvectors_of_a_cluster(rng):
    # The two lowest levels coincide; the loss sees only their common projector.
    Q = np.linalg.qr(rng.normal(size=[4, 4]))[0]
    basis = directions(4, False)
    A = Q @ np.diag([1.0, 1.0, 2.0, 3.5]) @ Q.T
    x = np.array([np.sum(A * X) / np.sum(X * X) for X in basis])

    def function(x):
        return projector_loss(matrix_of(x, basis))

    expected = zoo.finite_differences(function, x, STEP)
    np.testing.assert_allclose(
        gradient(function, tf.constant(x)), expected, rtol=1e-6, atol=1e-6
    )


COEFFICIENTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])


def sees_the_basis(A):
    C = tf.constant(COEFFICIENTS, A.dtype)
    return tf.math.real(tf.reduce_sum(C * ef.eigh(A)[1]))


@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_a_loss_that_sees_the_basis_of_a_cluster_gets_nan_when_compiled(xla):
    A = tf.constant(np.stack([np.eye(3), np.diag([1.0, 2.0, 3.0])]))
    compiled = tf.function(lambda A: gradient(sees_the_basis, A), jit_compile=xla)
    g = compiled(A)
    assert np.isnan(g[0]).all()
    assert np.isfinite(g[1]).all()


def test_a_loss_that_sees_the_basis_of_a_cluster_is_refused_when_eager():
    A = tf.constant(np.diag([3.0, 1.25, 1.25]))
    message = (
        r"depends on the basis chosen for the eigenvectors of the coinciding "
        r"eigenvalues 1\.25, 1\.25, which .* V1 V1\^H, .*`degenerate_rtol`"
    )
    with pytest.raises(ValueError, match=message):
        gradient(sees_the_basis, A)
    stack = tf.stack([[A + np.diag([0.0, 1.0, 0.0]), A]])
    with pytest.raises(ValueError, match=r"1\.25 \(member \[0, 1\] of the batch\)"):
        gradient(sees_the_basis, stack)
    assert np.isfinite(gradient(sees_the_basis, stack[:, :1])).all()


def test_a_loss_that_sees_the_phase_is_refused_when_eager(rng):
    X = rng.normal(size=[3, 3]) + 1j * rng.normal(size=[3, 3])
    A = tf.constant(X + X.conj().T)
    message = (
        r"phase of the complex eigenvector at eigenvalue -?\d+\.\d+, .*tf.abs\(v\)"
    )
    with pytest.raises(ValueError, match=message):
        gradient(sees_the_basis, A)
    compiled = tf.function(lambda A: gradient(sees_the_basis, A))
    assert np.isnan(compiled(A)).all()
    C = tf.constant(COEFFICIENTS)
    g = gradient(lambda A: tf.reduce_sum(C * tf.abs(ef.eigh(A)[1])), A)
    assert np.isfinite(g).all()


def test_a_member_that_is_not_finite_is_not_refused():
    A = tf.constant([np.diag([1.0, np.nan, 2.0]), np.diag([1.0, 2.0, 3.0])])
    g = gradient(sees_the_basis, A)
    assert np.isnan(g[0]).all()
    assert np.isfinite(g[1]).all()


def test_second_derivatives_that_are_not_known_are_nan():
    A = tf.constant(np.diag([1.0, 1.0, 3.0]))
    # Inside a cluster the function's own second derivative would be needed.
    H = hessian(lambda A: tf.reduce_sum(ef.eigvalsh(A) ** 2), A).numpy()
    assert np.isnan(H[0, 1]).any()
    simple = tf.constant(np.diag([1.0, 2.0, 3.0]))
    H = hessian(lambda A: tf.reduce_sum(ef.eigh(A)[1] ** 4), simple).numpy()
    assert np.isnan(H).all()


def test_third_derivatives_are_nan():
    A = tf.constant(np.diag([1.0, 2.0]))

    def curvature(A):
        with tf.GradientTape() as tape:
            tape.watch(A)
            g = gradient(lambda A: ef.spectral_loss(A, [0.0, 0.0]) ** 2, A)
        return tape.gradient(g, A)

    assert np.isnan(gradient(curvature, A)).all()


@pytest.mark.parametrize("order", [2, 3, 5])
def test_gradient_is_finite_and_right_where_all_eigenvalues_coincide(order):
    A = 2.0 * tf.eye(order, dtype=tf.float64)
    g = gradient(lambda A: tf.reduce_sum(ef.eigvalsh(A) ** 2), A)
    np.testing.assert_allclose(g, 4 * np.eye(order), atol=1e-14)
    g = gradient(lambda A: ef.spectral_loss(A, np.full(order, 0.5)), A)
    np.testing.assert_allclose(g, 3 * np.eye(order), atol=1e-14)


@pytest.mark.parametrize("dtype", [tf.float64, tf.complex128], ids=lambda d: d.name)
def test_both_conventions_of_the_gradient(rng, dtype):
    X = rng.normal(size=[4, 4]).astype(dtype.as_numpy_dtype)
    if dtype.is_complex:
        X += 1j * rng.normal(size=[4, 4])
    A = tf.constant((X + X.conj().T) / 2)
    symmetric = gradient(lambda A: ef.eigvalsh(A)[0], A).numpy()
    lower = gradient(lambda A: ef.eigvalsh(A, gradient="lower")[0], A).numpy()
    v = np.linalg.eigh(A.numpy())[1][:, 0]
    np.testing.assert_allclose(symmetric, np.outer(v, v.conj()), atol=1e-13)
    expected = np.tril(2 * symmetric, -1) + np.diag(np.diag(symmetric))
    np.testing.assert_allclose(lower, expected, atol=1e-13)


def test_one_decomposition_and_its_gradient():
    @tf.function
    def loss_and_gradient(A):
        with tf.GradientTape() as tape:
            tape.watch(A)
            loss = tf.reduce_sum(ef.eigvalsh(A) ** 2)
        return loss, tape.gradient(loss, A)

    graph = loss_and_gradient.get_concrete_function(
        tf.TensorSpec([None, 4, 4], tf.float64)
    ).graph
    kinds = [op.type for op in graph.get_operations()]
    assert kinds.count("SelfAdjointEigV2") == 1
    assert kinds.count("BatchMatMulV2") == 1


@pytest.mark.sample(1)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
def test_jacobian_of_a_batch_of_one(dtype):
    # TensorFlow 2.21 (oneDNN) crashes on a right factor broadcast from [1, 1, n, n].
    A = tf.constant(np.diag([1.0, 2.0, 4.0])[None], dtype)
    for _ in range(50):
        with tf.GradientTape() as tape:
            tape.watch(A)
            w = ef.eigvalsh(A)
        J = tape.jacobian(w, A)
        expected = np.zeros([1, 3, 1, 3, 3])
        expected[0, range(3), 0, range(3), range(3)] = 1
        np.testing.assert_allclose(J, expected, atol=1e-6)


def test_batches_broadcast():
    A = tf.constant(np.diag([1.0, 2.0]))
    loss = ef.spectral_loss(A, np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 4.0]]))
    np.testing.assert_allclose(loss, [0, 5, 4])


@pytest.mark.parametrize(
    ("targets", "weights", "name"),
    [([1.0], None, "targets"), (1.0, None, "targets"), ([1.0, 1.0], [1.0], "weights")],
)
def test_targets_and_weights_of_a_wrong_length_are_refused(targets, weights, name):
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \[..., 2\]"):
        ef.spectral_loss(np.eye(2), targets, weights)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_rounding_does_not_break_a_cluster_up(dtype):
    # A double level that comes out a few roundings apart: by dividing by that gap one
    # in thirty of these gradients was wrong by up to 66 %.
    C = np.diag([1.0, 2.0, 3.0])
    for seed in range(100):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=[3, 3]) * (1 + 0j)
        if dtype is np.complex128:
            X += 1j * rng.normal(size=[3, 3])
        Q = np.linalg.qr(X)[0] if dtype is np.complex128 else np.linalg.qr(X.real)[0]
        A = Q @ np.diag([2 / 3, 2 / 3, 1.0]) @ Q.conj().T

        def loss(A):
            V = ef.eigh(A)[1][:, :2]
            P = tf.linalg.matmul(V, V, adjoint_b=True)
            return tf.math.real(tf.reduce_sum(P * C))

        v = Q[:, 2:]
        P = np.eye(3) - v @ v.conj().T
        G = P @ C @ v @ v.conj().T / (2 / 3 - 1)
        g = gradient(loss, tf.constant((A + A.conj().T) / 2))
        np.testing.assert_allclose(g, G + G.conj().T, atol=1e-12)


def test_levels_that_coincide_with_other_weights_make_a_kink():
    H = hessian(
        lambda A: ef.spectral_loss(A, [1.0, 1.0], [1.0, 3.0]),
        tf.eye(2, dtype=tf.float64),
    )
    assert np.isnan(H).any()
    problem = ef.Problem(ef.Symmetric(2), ef.Levels([0]))
    H = hessian(
        lambda r: problem.loss(r, [1.0]), tf.constant([1.0, 1.0, 0.0], tf.float64)
    )
    assert np.isnan(H).any()


@pytest.mark.parametrize(
    "wide", [{"degenerate_rtol": 0.01}, {"degenerate_atol": 0.01}], ids=str
)
def test_width_of_a_cluster_is_an_option(wide):
    A = tf.constant(np.diag([1.0, 1.001, 3.0]))
    # What each function cannot know inside a cluster.
    functions = {
        "eigvalsh": lambda A, **width: tf.reduce_sum(ef.eigvalsh(A, **width) ** 2),
        "eigh": lambda A, **width: tf.reduce_sum(ef.eigh(A, **width)[0] ** 2),
        "loss": lambda A, **width: ef.spectral_loss(A, [1.0, 1.5, 2.0], **width),
    }
    for function in functions.values():
        assert np.isfinite(hessian(function, A)).all()
        H = hessian(lambda A, f=function: f(A, **wide), A)
        assert np.isnan(H).any()
    with pytest.raises(ValueError, match=r"eigenvalues 1, 1\.001,"):
        gradient(lambda A: tf.reduce_sum(ef.eigh(A, **wide)[1] * COEFFICIENTS), A)


def test_without_a_width_only_equal_eigenvalues_are_a_cluster():
    exact = {"degenerate_rtol": 0.0}
    for gap, unknown in ((0.0, True), (1e-13, False)):
        A = tf.constant(np.diag([1.0, 1.0 + gap, 3.0]))
        H = hessian(lambda A: ef.spectral_loss(A, [1.0, 1.5, 2.0], **exact), A)
        assert np.isnan(H).any() == unknown


@pytest.mark.parametrize("name", ["degenerate_atol", "degenerate_rtol"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "wide"])
def test_a_width_that_cannot_be_is_refused(name, value):
    A = np.eye(2)
    for call in (
        lambda **width: ef.eigvalsh(A, **width),
        lambda **width: ef.eigh(A, **width),
        lambda **width: ef.spectral_loss(A, [1.0, 1.0], **width),
        lambda **width: ef.level_derivatives(A, A, **width),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number of 0"):
            call(**{name: value})


def test_targets_of_levels_that_are_left_out_make_no_kink():
    A = tf.eye(3, dtype=tf.float64)
    H = hessian(
        lambda A: ef.spectral_loss(A, [-1.0, 2.0, 9.0], [0.0, 0.0, 0.0]) + A[0, 0] ** 2,
        A,
    )
    expected = np.zeros([3] * 4)
    expected[0, 0, 0, 0] = 2
    np.testing.assert_array_equal(H, expected)
