import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import tensorflow as tf
from tests import zoo
from tests.combinations import each

import eigenfit as ef

EDGES = [(0, 1), (1, 2), (3, 0), (1, 3)]
ASSEMBLY = {
    "rows": [0, 0, 1, 1, 2, 3, 0],
    "columns": [0, 0, 1, 0, 3, 2, 0],
    "parameters": [0, 1, 1, 1, 2, 2, 1],
    "coefficients": [1.0, 2.0, 1.0, -1.0, 0.5, 0.25, -0.5],
}


def random_hermitian(order, dtype, seed=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=[order, order]) * (1 + 0j)
    if dtype.is_complex:
        X += 1j * rng.normal(size=[order, order])
    else:
        X = X.real
    return X + X.conj().T


def complex_of(dtype):
    return tf.complex64 if dtype == tf.float32 else tf.complex128


STRUCTURES = {case.name: case.structure for case in zoo.CASES} | {
    "additive": lambda d: ef.Additive(random_hermitian(4, d), d),
    "additive complex": lambda d: ef.Additive(
        random_hermitian(3, tf.complex128), complex_of(d)
    ),
    "tridiagonal": lambda d: ef.Tridiagonal(5, d),
    "tridiagonal 1": lambda d: ef.Tridiagonal(1, d),
    "banded": lambda d: ef.Banded(5, 2, d),
    "diagonal": lambda d: ef.Banded(3, 0, d),
    "toeplitz": lambda d: ef.Toeplitz(5, d),
    "toeplitz 1": lambda d: ef.Toeplitz(1, d),
    "laplacian": lambda d: ef.Laplacian(EDGES, dtype=d),
    "laplacian with a vertex alone": lambda d: ef.Laplacian(EDGES, 5, dtype=d),
    "hermitian": lambda d: ef.Hermitian(4, complex_of(d)),
    "hermitian 1": lambda d: ef.Hermitian(1, complex_of(d)),
    "assembly": lambda d: ef.Assembly(**ASSEMBLY, dtype=d),
    "assembly with offset": lambda d: ef.Assembly(
        **ASSEMBLY, order=5, num_parameters=4, offset=random_hermitian(5, d), dtype=d
    ),
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


@pytest.mark.parametrize("name", STRUCTURES)
def test_assembles_hermitian_matrices_in_batches(rng, name):
    kinds = (tf.float32, tf.float64)
    structures = {dtype: STRUCTURES[name](dtype) for dtype in kinds}

    def check(dtype, batch):
        structure = structures[dtype]
        assert structure.parameter_dtype == dtype
        r = tf.constant(rng.normal(size=[*batch, structure.num_parameters]), dtype)
        A = structure.assemble(r)
        assert A.dtype == structure.dtype
        assert A.shape == [*batch, structure.order, structure.order]
        np.testing.assert_array_equal(A, np.conj(np.swapaxes(A, -1, -2)))
        if batch == [5]:
            one = structure.assemble(r[3])
            np.testing.assert_allclose(A[3], one, rtol=1e-6, atol=1e-6)

    each(check, dtype=kinds, batch=[[], [1], [5], [2, 3], [0]])


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


@pytest.mark.parametrize("name", STRUCTURES)
def test_derivatives_take_batches(rng, name):
    structure = STRUCTURES[name](tf.float64)
    p, n = structure.num_parameters, structure.order

    def check(batch):
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

    each(check, batch=[[1], [2, 3], [0]])


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


LINEAR = [
    name
    for name in STRUCTURES
    if not isinstance(STRUCTURES[name](tf.float64), ef.Parametric)
]


@pytest.mark.parametrize("name", LINEAR)
def test_linear_structures_agree_with_affine_over_their_dense_basis(rng, name):
    fast = STRUCTURES[name](tf.float64)
    p, n = fast.num_parameters, fast.order
    offset = fast.assemble(tf.zeros([p], tf.float64)).numpy()
    basis = fast.assemble(tf.eye(p, dtype=tf.float64)).numpy() - offset
    dense = ef.Affine(basis, offset, fast.dtype)
    r = tf.constant(rng.normal(size=[2, p]))
    V = tf.constant(some_matrices(rng, [2, n, n], fast.dtype))
    np.testing.assert_allclose(fast.assemble(r), dense.assemble(r), atol=1e-14)
    np.testing.assert_allclose(fast.pullback(r, V), dense.pullback(r, V), atol=1e-13)
    np.testing.assert_allclose(
        fast.level_jacobian(r, V), dense.level_jacobian(r, V), atol=1e-13
    )
    np.testing.assert_allclose(fast.squared_norms(), dense.squared_norms())
    if isinstance(fast, ef.AbstractFullStructure):
        np.testing.assert_array_equal(fast.disassemble(fast.assemble(r)), r)


@pytest.mark.parametrize("name", STRUCTURES)
def test_structures_compile_by_xla(rng, name):
    structure = STRUCTURES[name](tf.float64)
    p, n = structure.num_parameters, structure.order
    r = tf.constant(rng.normal(size=[2, p]))
    V = tf.constant(some_matrices(rng, [2, n, n], structure.dtype))

    def everything(r, V):
        return (
            structure.assemble(r),
            structure.pullback(r, V),
            structure.level_jacobian(r, V),
        )

    compiled = tf.function(everything, jit_compile=True)(r, V)
    for ours, expected in zip(compiled, everything(r, V), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-13)


def test_complex_matrices_are_projected_in_one_step(rng):
    solver = ef.Solver(ef.Problem(ef.Hermitian(4)))
    targets = [-1.0, 0.0, 0.0, 3.0]
    solution = solver.fit(rng.normal(size=[5, 16]), targets, tolerance=1e-24)
    solution.raise_for_result()
    np.testing.assert_array_equal(solution.num_steps, 1)
    w = np.linalg.eigvalsh(solution.matrix.numpy())
    np.testing.assert_allclose(w, [targets] * 5, atol=1e-13)


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


def test_nearly_hermitian_input_is_made_hermitian():
    # The gradient takes both triangles for equal.
    nearly = np.array([[1.0, 1.0], [1.0 + 1e-7, 2.0]])
    for structure in (ef.Affine([nearly], nearly), ef.Additive(nearly)):
        A = structure.assemble(tf.ones([structure.num_parameters], tf.float64))
        np.testing.assert_array_equal(A, np.transpose(A))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ef.Additive([1.0, 2.0]), r"`offset` must have shape \[n, n\]"),
        (lambda: ef.Additive([[0.0, 1.0], [2.0, 0.0]]), "`offset` must be Hermitian"),
        (lambda: ef.Additive([[1e300]], tf.float32), "`offset` must be finite in its"),
        (lambda: ef.Banded(3, 3), "`bandwidth` must be an integer from 0 to 2"),
        (lambda: ef.Banded(3, -1), "`bandwidth` must be"),
        (lambda: ef.Banded(3, 1.0), "`bandwidth` must be"),
        (lambda: ef.Tridiagonal(0), "`order` must be"),
        (lambda: ef.Toeplitz(0), "`order` must be"),
        (lambda: ef.Hermitian(0), "`order` must be"),
        (lambda: ef.Laplacian([]), "`edges` must be a list of pairs"),
        (lambda: ef.Laplacian([(0, 0)]), r"the loop \(0, 0\)"),
        (lambda: ef.Laplacian([(0, 1), (1, 0)]), r"has \(1, 0\) twice"),
        (lambda: ef.Laplacian([(0, 3)], order=3), r"vertices are 0\.\.2"),
        (lambda: ef.Laplacian([(0, -1)]), "vertices are"),
        (lambda: ef.Laplacian([(0.5, 1)]), "`edges` must be a list of pairs"),
        (lambda: ef.Assembly([], [], [], []), "`rows` must be a list of at least one"),
        (lambda: ef.Assembly([0], [0, 1], [0], [1.0]), "`columns` must be as long"),
        (lambda: ef.Assembly([0], [0], [-1], [1.0]), "`parameters` must not be neg"),
        (lambda: ef.Assembly([0], [0], [0], [1.0, 2.0]), "`coefficients` must be 1"),
        (lambda: ef.Assembly([0], [0], [0], [np.nan]), "`coefficients` must be 1"),
        (lambda: ef.Assembly([0], [0], [0], [1j]), "`coefficients` must be real"),
        (lambda: ef.Assembly([2], [0], [0], [1.0], order=2), r"must lie in 0\.\.1"),
        (
            lambda: ef.Assembly([0], [0], [0], [1.0], offset=np.eye(2)),
            "`offset` must have order 1",
        ),
    ],
)
def test_bad_structures_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: ef.Hermitian(2, tf.float64),
        lambda: ef.Toeplitz(2, tf.complex64),
        lambda: ef.Tridiagonal(2, tf.complex64),
        lambda: ef.Laplacian([(0, 1)], dtype=tf.complex64),
        lambda: ef.Assembly([0], [0], [0], [1.0], dtype=tf.complex64),
    ],
)
def test_dtypes_that_do_not_suit_a_structure_are_refused(build):
    with pytest.raises(TypeError, match="`dtype`"):
        build()


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix", "coo_array", "dia_array"])
def test_sparse_matrices_of_scipy_are_taken(kind):
    sparse = getattr(scipy.sparse, kind)
    K = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]])
    M = np.diag([1.0, 2.0, 3.0])
    r = tf.constant([3.0, 5.0], tf.float64)
    for basis in ([sparse(K), sparse(M)], [sparse(K), M], (K.tolist(), sparse(M))):
        A = ef.Affine(basis, offset=sparse(np.eye(3))).assemble(r)
        np.testing.assert_array_equal(A, 3 * K + 5 * M + np.eye(3))
    additive = ef.Additive(sparse(K)).assemble(tf.ones([3], tf.float64))
    np.testing.assert_array_equal(additive, K + np.eye(3))
    pencil = ef.Generalized(ef.Affine([sparse(K)]), mass=sparse(M))
    levels = np.linalg.eigvalsh(pencil.assemble(tf.ones([1], tf.float64)))
    np.testing.assert_allclose(levels, scipy.linalg.eigh(K, M)[0], atol=1e-14)
    bloch = ef.Bloch([[0]], [[sparse(K)]], [0.5]).assemble(tf.ones([1], tf.float64))
    np.testing.assert_allclose(bloch, K)


def test_a_stack_of_sparse_matrices_is_taken():
    stack = np.array([np.eye(2), [[0.0, 1.0], [1.0, 0.0]]])
    A = ef.Affine(scipy.sparse.coo_array(stack)).assemble(
        tf.constant([2.0, 3.0], tf.float64)
    )
    np.testing.assert_array_equal(A, [[2.0, 3.0], [3.0, 2.0]])


@pytest.mark.parametrize(
    ("matrix", "wanted", "unwanted"),
    [
        # M^-1 K: its symmetric part has other eigenvalues.
        ([[2.0, -1.0], [-4.0, 3.0]], "Generalized", "give the other"),
        ([[2.0, 1.0], [1.0002, 3.0]], "rounding", "Generalized"),
        ([[2.0, 1.0], [0.0, 3.0]], "Only one triangle", "Generalized"),
        ([[2.0, 1j], [1j, 3.0]], "not Hermitian are not fitted", "Only one"),
    ],
)
def test_a_matrix_that_is_not_hermitian_is_told_what_it_means(matrix, wanted, unwanted):
    for build in (lambda: ef.Affine([matrix]), lambda: ef.Additive(matrix)):
        with pytest.raises(ValueError, match=wanted) as caught:
            build()
        assert unwanted not in str(caught.value)
        assert "Symmetrise" not in str(caught.value)
