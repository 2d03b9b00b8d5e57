"""Rotated derivatives, pushforward and curvature of every structure."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.combinations import each
from tests.structures.test_structures import LINEAR, STRUCTURES, some_matrices

import eigenfit as ef


class Curved(ef.AbstractStructure):
    """Complex, not linear, by automatic differentiation alone."""

    def __init__(self):
        super().__init__(3, 4, tf.complex128)

    def assemble(self, parameters):
        x, y = parameters[..., :3], parameters[..., 3:]
        v = tf.complex(tf.sin(x), x * y)
        diagonal = tf.linalg.diag(tf.cast(tf.exp(y * x[..., ::-1]), v.dtype))
        return v[..., :, None] * tf.math.conj(v)[..., None, :] + diagonal


ALL = STRUCTURES | {"curved": lambda dtype: Curved()}
CURVED = [name for name in ALL if name not in LINEAR]

# Central differences of A, whose error is 1e-10 (see zoo), and second ones by
# differences of the exact pullback.
STEP = 6e-6


def derivative(structure, r):
    D = zoo.finite_differences(
        lambda r: structure.assemble(tf.constant(r)).numpy(), r, STEP
    )
    return np.moveaxis(D, -1, 0)


def everything(structure, r, V, G, vector):
    return {
        "pushforward": structure.pushforward(r, vector),
        "rotated": structure.rotated_derivatives(r, V),
        "curvature": structure.curvature(r, G),
        "product": structure.curvature_product(r, G, vector),
    }


def some(rng, structure, batch):
    p, n = structure.num_parameters, structure.order
    return [
        tf.constant(rng.normal(size=[*batch, p])),
        tf.constant(some_matrices(rng, [*batch, n, n], structure.dtype)),
        tf.constant(some_matrices(rng, [*batch, n, n], structure.dtype)),
        tf.constant(rng.normal(size=[*batch, p])),
    ]


@pytest.mark.parametrize("name", ALL)
def test_agree_with_finite_differences(rng, name):
    structure = ALL[name](tf.float64)
    r, V, G, vector = some(rng, structure, [])
    D = derivative(structure, r.numpy())
    ours = everything(structure, r, V, G, vector)
    np.testing.assert_allclose(
        ours["pushforward"], np.tensordot(vector, D, 1), atol=1e-8
    )
    expected = np.conj(V).T @ D @ V.numpy()
    np.testing.assert_allclose(ours["rotated"], expected, atol=1e-8)
    curvature = zoo.finite_differences(
        lambda r: structure.pullback(tf.constant(r), G), r.numpy(), STEP
    )
    np.testing.assert_allclose(ours["curvature"], curvature, atol=1e-7)
    np.testing.assert_allclose(ours["product"], curvature @ vector.numpy(), atol=1e-7)
    assert structure.is_linear == (name in LINEAR)
    if name in CURVED:
        assert np.abs(curvature).max() > 0.01


@pytest.mark.parametrize("name", LINEAR)
def test_linear_structures_agree_with_affine_over_their_dense_basis(rng, name):
    fast = STRUCTURES[name](tf.float64)
    p = fast.num_parameters
    offset = fast.assemble(tf.zeros([p], tf.float64)).numpy()
    basis = fast.assemble(tf.eye(p, dtype=tf.float64)).numpy() - offset
    dense = ef.Affine(basis, offset, fast.dtype)
    arguments = some(rng, fast, [2])
    expected = everything(dense, *arguments)
    for key, value in everything(fast, *arguments).items():
        np.testing.assert_allclose(value, expected[key], atol=1e-13, err_msg=key)
    r, V, _, _ = arguments
    expected = np.einsum("...ai,kab,...bj->...kij", V.numpy().conj(), basis, V)
    np.testing.assert_allclose(dense.rotated_derivatives(r, V), expected, atol=1e-13)


@pytest.mark.parametrize("name", ALL)
def test_the_formulas_agree_with_automatic_differentiation(rng, name):
    structure = ALL[name](tf.float64)
    r, V, _, vector = some(rng, structure, [2])
    base = ef.AbstractStructure
    np.testing.assert_allclose(
        structure.pushforward(r, vector),
        base.pushforward(structure, r, vector),
        atol=1e-13,
    )
    np.testing.assert_allclose(
        structure.rotated_derivatives(r, V),
        base.rotated_derivatives(structure, r, V),
        atol=1e-13,
    )


def test_diagonals_are_the_derivatives_of_the_levels(rng):
    def check(name):
        structure = ALL[name](tf.float64)
        r, V, _, _ = some(rng, structure, [2])
        V = V[..., :2]  # some eigenvectors are enough
        diagonal = tf.linalg.diag_part(structure.rotated_derivatives(r, V))
        np.testing.assert_allclose(
            np.swapaxes(tf.math.real(diagonal), -1, -2),
            structure.level_jacobian(r, V),
            atol=1e-12,
        )

    each(check, name=ALL)


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ALL)
def test_take_batches(rng, name):
    structure = ALL[name](tf.float64)
    p, n = structure.num_parameters, structure.order

    def check(batch):
        arguments = some(rng, structure, batch)
        ours = everything(structure, *arguments)
        assert ours["pushforward"].shape == [*batch, n, n]
        assert ours["rotated"].shape == [*batch, p, n, n]
        assert ours["curvature"].shape == [*batch, p, p]
        assert ours["product"].shape == [*batch, p]
        for index in np.ndindex(*batch):
            one = everything(structure, *(x[index] for x in arguments))
            for key, value in one.items():
                np.testing.assert_allclose(
                    ours[key][index], value, atol=1e-12, err_msg=key
                )

    each(check, batch=[[1], [2, 3], [0]])


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ALL)
def test_compile_with_an_unknown_batch(rng, name):
    structure = ALL[name](tf.float64)
    p, n = structure.num_parameters, structure.order
    vector = tf.TensorSpec([None, p], tf.float64)
    matrix = tf.TensorSpec([None, n, n], structure.dtype)
    arguments = some(rng, structure, [3])
    expected = everything(structure, *arguments)

    def check(way):
        compiled = tf.function(
            lambda *arguments: everything(structure, *arguments),
            input_signature=[vector, matrix, matrix, vector],
            jit_compile=way == "xla",
        )
        for key, value in compiled(*arguments).items():
            np.testing.assert_allclose(value, expected[key], atol=1e-12, err_msg=key)

    each(check, way=["graph", "xla"])


# Those made in double precision whatever is asked have no single one.
SINGLE = [
    name
    for name, make in ALL.items()
    if make(tf.float32).dtype != make(tf.float64).dtype
]


def test_single_precision(rng):
    def check(name):
        single, double = (ALL[name](d) for d in (tf.float32, tf.float64))
        arguments = some(rng, double, [1])
        expected = everything(double, *arguments)
        vector, matrix = single.parameter_dtype, single.dtype
        kinds = [vector, matrix, matrix, vector]
        cast = [tf.cast(x, kind) for x, kind in zip(arguments, kinds, strict=True)]
        for key, value in everything(single, *cast).items():
            np.testing.assert_allclose(value, expected[key], atol=1e-4, err_msg=key)

    each(check, name=SINGLE)


def test_a_structure_that_does_not_depend_on_its_parameters():
    class Constant(ef.AbstractStructure):
        def assemble(self, parameters):
            one = tf.eye(2, dtype=self.dtype)
            return tf.broadcast_to(one, [*parameters.shape[:-1], 2, 2])

    r, V = tf.ones([3, 1], tf.float64), tf.ones([3, 2, 2], tf.float64)
    for value in everything(Constant(2, 1), r, V, V, r).values():
        np.testing.assert_array_equal(value, np.zeros_like(value))
