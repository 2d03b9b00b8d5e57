import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

STRUCTURES = {case.name: case.structure for case in zoo.CASES} | {
    "symmetric 2": lambda dtype: ef.Symmetric(2, dtype),
    "symmetric 8": lambda dtype: ef.Symmetric(8, dtype),
    "one vector at a time": lambda dtype: ef.Parametric(
        lambda r: tf.linalg.diag(r * r) + tf.sin(r[0]), 3, 3, dtype, batched=False
    ),
}


def some_matrices(rng, shape, dtype):
    X = rng.normal(size=shape)
    if dtype.is_complex:
        X = X + 1j * rng.normal(size=shape)
    return X.astype(dtype.as_numpy_dtype)


def derivative(structure, r):
    """dA/dr_k by central differences, [p, n, n]."""
    D = zoo.finite_differences(
        lambda r: structure.assemble(tf.constant(r)).numpy(), r, 6e-6
    )
    return np.moveaxis(D, -1, 0)


@pytest.mark.parametrize("batch", [[], [1], [5], [2, 3], [0]])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
@pytest.mark.parametrize("name", STRUCTURES)
def test_assembles_hermitian_matrices_in_batches(rng, name, dtype, batch):
    structure = STRUCTURES[name](dtype)
    assert structure.parameter_dtype == dtype
    r = tf.constant(rng.normal(size=[*batch, structure.num_parameters]), dtype)
    A = structure.assemble(r)
    assert A.dtype == structure.dtype
    assert A.shape == [*batch, structure.order, structure.order]
    np.testing.assert_array_equal(A, np.conj(np.swapaxes(A, -1, -2)))
    if batch == [5]:
        one = structure.assemble(r[3])
        np.testing.assert_allclose(A[3], one, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", STRUCTURES)
def test_pullback_and_level_jacobian_are_adjoint_to_the_derivative(rng, name):
    structure = STRUCTURES[name](tf.float64)
    p, n = structure.num_parameters, structure.order
    r = rng.normal(size=p)
    D = derivative(structure, r)
    G = some_matrices(rng, [n, n], structure.dtype)
    expected = np.einsum("kij,ij->k", D.conj(), G).real
    np.testing.assert_allclose(
        structure.pullback(tf.constant(r), tf.constant(G)), expected, atol=1e-8
    )
    V = some_matrices(rng, [n, n], structure.dtype)
    expected = np.einsum("ai,kab,bi->ik", V.conj(), D, V).real
    J = structure.level_jacobian(tf.constant(r), tf.constant(V))
    np.testing.assert_allclose(J, expected, atol=1e-8)


@pytest.mark.parametrize("batch", [[1], [2, 3], [0]])
@pytest.mark.parametrize("name", STRUCTURES)
def test_derivatives_take_batches(rng, name, batch):
    structure = STRUCTURES[name](tf.float64)
    p, n = structure.num_parameters, structure.order
    r = tf.constant(rng.normal(size=[*batch, p]))
    G = tf.constant(some_matrices(rng, [*batch, n, n], structure.dtype))
    pulled = structure.pullback(r, G)
    J = structure.level_jacobian(r, G)
    assert pulled.shape == [*batch, p]
    assert J.shape == [*batch, n, p]
    for index in np.ndindex(*batch):
        one = structure.pullback(r[index], G[index])
        np.testing.assert_allclose(pulled[index], one, atol=1e-12)
        one = structure.level_jacobian(r[index], G[index])
        np.testing.assert_allclose(J[index], one, atol=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_squared_norms_are_those_of_the_derivative(rng, name):
    structure = STRUCTURES[name](tf.float64)
    D = derivative(structure, rng.normal(size=structure.num_parameters))
    norms = structure.squared_norms()
    if norms is None:
        assert isinstance(structure, ef.Parametric)
    else:
        expected = np.sum(np.abs(D) ** 2, axis=(1, 2))
        np.testing.assert_allclose(norms, expected, rtol=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3, 8, 33])
def test_symmetric_agrees_with_affine_over_its_dense_basis(rng, order):
    fast = ef.Symmetric(order)
    p = fast.num_parameters
    basis = np.array([zoo.numpy_symmetric(e, order) for e in np.eye(p)])
    dense = ef.Affine(basis)
    r = tf.constant(rng.normal(size=[2, p]))
    V = tf.constant(rng.normal(size=[2, order, order]))
    np.testing.assert_array_equal(fast.assemble(r), dense.assemble(r))
    np.testing.assert_allclose(fast.pullback(r, V), dense.pullback(r, V), atol=1e-13)
    np.testing.assert_allclose(
        fast.level_jacobian(r, V), dense.level_jacobian(r, V), atol=1e-13
    )
    np.testing.assert_array_equal(fast.disassemble(fast.assemble(r)), r)


def test_a_structure_of_ones_own_needs_only_assemble(rng):
    class Ring(ef.AbstractStructure):
        """r_0 on the diagonal, r_1 between neighbours on a ring."""

        def assemble(self, parameters):
            ring = np.roll(np.eye(4), 1, axis=0)
            basis = np.stack([np.eye(4), ring + ring.T])
            return tf.tensordot(parameters, tf.constant(basis), axes=1)

    ring = Ring(4, 2)
    solver = ef.Solver(ef.Problem(ring), compile="graph")
    targets = [-1.0, 1.0, 1.0, 3.0]  # 1 + 2 cos(2 pi j / 4)
    solution = solver.fit([0.3, 0.4], targets, tolerance=1e-20)
    solution.raise_for_result()
    np.testing.assert_allclose(solution.parameters, [1, 1], atol=1e-9)
    assert ring.squared_norms() is None


def test_hermitian_part_of_a_function_is_used():
    def nearly(r):
        A = r[..., None] * tf.constant([[1.0, 1.0], [1.0 + 1e-6, 0.0]], r.dtype)
        return A

    A = ef.Parametric(nearly, 2, 1).assemble(tf.constant([1.0], tf.float64))
    np.testing.assert_array_equal(A, np.transpose(A))


@pytest.mark.parametrize("order", [0, -1, 2.5, True, "3", None])
def test_order_must_be_a_positive_integer(order):
    with pytest.raises(ValueError, match="`order` must be an integer of at least 1"):
        ef.Symmetric(order)


@pytest.mark.parametrize("dtype", ["int32", "half", "nonsense", 7, None])
def test_dtype_must_be_one_of_four(dtype):
    with pytest.raises(TypeError, match="`dtype` must be float32"):
        ef.Symmetric(3, dtype)


def test_real_symmetric_matrices_are_not_complex():
    with pytest.raises(TypeError, match="must be float32 or float64, got complex64"):
        ef.Symmetric(3, tf.complex64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"basis": np.eye(2)}, r"`basis` must have shape \[p, n, n\].*\[2, 2\]"),
        ({"basis": np.zeros([2, 2, 3])}, r"`basis` must have shape"),
        ({"basis": np.zeros([0, 2, 2])}, r"`basis` must have shape"),
        ({"basis": [[[1.0, 2.0], [3.0]]]}, "`basis` must be a full array of numbers"),
        ({"basis": [[["a"]]]}, "`basis` must be a full array of numbers"),
        (
            {"basis": [[[1.0, 2.0], [3.0, 1.0]]]},
            r"must be Hermitian: entry \[0, 1\] is 2.0 but \[1, 0\] is 3.0",
        ),
        ({"basis": [[[np.nan]]]}, r"`basis\[0\]` must be finite"),
        ({"basis": [np.eye(2)], "offset": np.eye(3)}, "`offset` must have shape"),
        ({"basis": [np.eye(1) * 1j]}, r"`basis\[0\]` must be Hermitian"),
        (
            {"basis": zoo.hermitian_basis(2), "dtype": tf.float64},
            "complex but `dtype` is float64. Use complex128",
        ),
    ],
)
def test_bad_bases_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.Affine(**arguments)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda r: r, r"must return shape \[4, 5, 2, 2\].*batched=False"),
        (lambda r: None, "must return shape"),
        (lambda r: tf.eye(2, batch_shape=[4, 5]), "must return float64, got float32"),
        (
            lambda r: r[..., None] * tf.constant([[1.0, 2.0], [0.0, 1.0]], r.dtype),
            "must return a Hermitian matrix",
        ),
    ],
)
def test_bad_functions_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        ef.Parametric(function, order=2, num_parameters=1)


def test_a_function_for_one_vector_is_told_from_a_batched_one():
    def single(r):
        return tf.linalg.diag(tf.stack([r[0], r[1]]))

    with pytest.raises(ValueError, match="batched=False"):
        ef.Parametric(single, order=2, num_parameters=2)
    structure = ef.Parametric(single, order=2, num_parameters=2, batched=False)
    A = structure.assemble(tf.constant([[1.0, 2.0], [3.0, 4.0]], tf.float64))
    np.testing.assert_array_equal(A, [np.diag([1, 2]), np.diag([3, 4])])


def test_function_must_be_callable():
    with pytest.raises(TypeError, match="`function` must be callable"):
        ef.Parametric(3, order=2, num_parameters=2)
