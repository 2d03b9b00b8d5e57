"""A(offset + matrix @ r) against that matrix product in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.combinations import each
from tests.structures.test_generalized import PENCILS
from tests.structures.test_structures import STRUCTURES, some_matrices

import eigenfit as ef
from eigenfit.observations import Spectrum

STEP = 6e-6  # see `zoo.finite_differences`
INNER = {
    name: STRUCTURES[name]
    for name in ("seed", "complex Hermitian", "not linear", "laplacian")
} | {name: PENCILS[name].make for name in ("M(r)", "full")}


def wrapped(name, dtype=tf.float64, p=2):
    inner = INNER[name](dtype)
    rng = np.random.default_rng(3)
    T = rng.normal(size=[inner.num_parameters, p]) / 3
    q0 = rng.normal(size=inner.num_parameters) / 3
    return ef.Reparametrized(inner, T, q0), inner, T, q0


@pytest.mark.parametrize("name", INNER)
def test_assembles_the_inner_structure(rng, name):
    kinds = (tf.float64, tf.float32)
    made = {dtype: wrapped(name, dtype) for dtype in kinds}

    def check(dtype, batch):
        structure, inner, T, q0 = made[dtype]
        r = rng.normal(size=[*batch, 2])
        A = structure.assemble(tf.constant(r, dtype))
        q = tf.constant(r @ T.T + q0, dtype)
        atol = 1e-13 if dtype == tf.float64 else 1e-5
        np.testing.assert_allclose(A, inner.assemble(q), atol=atol)
        assert A.dtype == structure.dtype
        assert structure.parameter_dtype == dtype

    each(check, dtype=kinds, batch=[[], [1], [2, 3], [0]])


@pytest.mark.parametrize("name", INNER)
def test_derivatives_agree_with_finite_differences(rng, name):
    structure, *_ = wrapped(name)
    r, n = rng.normal(size=2) / 3, structure.order
    x = tf.constant(r)
    D = zoo.finite_differences(
        lambda r: structure.assemble(tf.constant(r)).numpy(), r, STEP
    )
    D = np.moveaxis(D, -1, 0)
    G, V = (some_matrices(rng, [n, n], structure.dtype) for _ in range(2))
    v = rng.normal(size=2)
    close = np.testing.assert_allclose
    close(structure.pullback(x, G), np.einsum("kij,ij->k", D.conj(), G).real, atol=1e-8)
    close(
        structure.pushforward(x, tf.constant(v)), np.tensordot(v, D, axes=1), atol=1e-8
    )
    close(structure.rotated_derivatives(x, V), V.conj().T @ D @ V, atol=1e-8)
    C = zoo.finite_differences(
        lambda r: structure.pullback(tf.constant(r), G).numpy(), r, STEP
    )
    close(structure.curvature(x, G), C, atol=1e-7)
    close(structure.curvature_product(x, G, tf.constant(v)), C @ v, atol=1e-7)
    norms = structure.squared_norms()
    if structure.is_linear:
        close(norms, np.sum(np.abs(D) ** 2, axis=(1, 2)), rtol=1e-7)
    else:
        assert norms is None


@pytest.mark.parametrize("name", ["seed", "M(r)", "full", "not linear"])
def test_modes_and_levels_have_the_derivatives_of_the_chain_rule(rng, name):
    structure, *_ = wrapped(name)
    r = rng.normal(size=2) / 3

    def spectrum(r):
        x = tf.constant(r)
        w, V = np.linalg.eigh(structure.assemble(x).numpy())
        J = structure.level_jacobian(x, tf.constant(V))
        return Spectrum(structure, x, tf.constant(w), tf.constant(V), J)

    here = spectrum(r)
    X = here.modes.numpy()

    def modes(r):
        found = spectrum(r).modes.numpy()
        return (found * np.sign(np.sum(found * X, axis=0))).T

    expected = zoo.finite_differences(modes, r, STEP)
    every = np.arange(structure.order)
    np.testing.assert_allclose(here.mode_jacobian(every), expected, atol=2e-7)
    levels = zoo.finite_differences(lambda r: spectrum(r).eigenvalues.numpy(), r, STEP)
    np.testing.assert_allclose(here.level_jacobian, levels, atol=1e-8)


def test_one_entry_in_each_column_keeps_constant_scales():
    # Also of a structure that is not linear but has them.
    picked = ef.Reparametrized(ef.Symmetric(2), [[2.0, 0], [0, 0], [0, -3.0]])
    np.testing.assert_allclose(picked.squared_norms(), [4.0, 18.0])


def test_structures_in_each_other():
    inner = ef.Reparametrized(ef.Symmetric(2), np.eye(3), [1.0, 2.0, 3.0])
    outer = ef.Reparametrized(inner, [[1.0], [0.0], [2.0]])
    A = outer.assemble(tf.constant([10.0], tf.float64))
    np.testing.assert_allclose(A, [[11.0, 23.0], [23.0, 2.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones([2, 1]),), r"`matrix` must have shape \[3, p\]"),
        ((np.ones([3, 0]),), "`matrix` must have shape"),
        ((np.ones(3),), "`matrix` must have shape"),
        ((np.full([3, 1], np.nan),), "`matrix` must hold real finite numbers"),
        ((np.full([3, 1], 1j),), "`matrix` must hold real finite numbers"),
        ((np.ones([3, 1]), [1.0]), r"`offset` must have shape \[3\]"),
        ((np.ones([3, 1]), [1.0, np.inf, 0]), "`offset` must hold real finite"),
        (([[1.0], [2.0, 3.0], [4.0]],), "`matrix` must be a full array"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.Reparametrized(ef.Symmetric(2), *arguments)
    with pytest.raises(TypeError, match="`structure` must be a structure"):
        ef.Reparametrized(np.eye(2), np.eye(2))
