"""Derivatives of levels over dense bases: right, and without large products."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.problem.engines.groups import DenseGroup


def bases(rng, p, n, kind):
    basis = rng.normal(size=[p, n, n])
    if kind == "complex":
        basis = basis + 1j * rng.normal(size=[p, n, n])
    if kind == "sparse":
        basis *= np.abs(np.subtract.outer(np.arange(n), np.arange(n))) < 2
    return basis + basis.conj().swapaxes(-1, -2)


def vectors(rng, shape, kind):
    V = rng.normal(size=shape)
    return V + 1j * rng.normal(size=shape) if kind == "complex" else V


@pytest.mark.parametrize("kind", ["dense", "sparse", "complex"])
@pytest.mark.parametrize(("p", "n"), [(1, 1), (2, 7), (6, 4), (30, 4)])
def test_both_formulas_are_the_quadratic_form(rng, kind, p, n):
    stack = np.array([bases(rng, p, n, kind) for _ in range(3)])
    structures = [ef.Affine(basis) for basis in stack]
    for batch in ([], [2], [2, 3]):
        V = vectors(rng, [*batch, 3, n, n], kind)
        wanted = np.einsum("...gai,gkab,...gbi->...gik", V.conj(), stack, V).real
        together = DenseGroup(structures).level_jacobian(None, tf.constant(V))
        np.testing.assert_allclose(together, wanted, atol=1e-12)
        alone = structures[1].level_jacobian(None, tf.constant(V[..., 1, :, :]))
        np.testing.assert_allclose(alone, wanted[..., 1, :, :], atol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "sparse", "complex"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_single_group_in_batches(rng, kind, dtype):
    # TensorFlow 2.21 with oneDNN multiplies `[b, 1, k, s]` by `[1, s, p]` wrongly in
    # single precision: now and then numbers of other tensors, or a crash.
    p, n = 3, 3
    complex_dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
    own = complex_dtype if kind == "complex" else dtype
    basis = bases(rng, p, n, kind).astype(own)
    group = DenseGroup([ef.Affine(basis, dtype=own)])
    atol = {"float32": 1e-4, "float64": 1e-12}[dtype]
    for _ in range(20):
        V = vectors(rng, [8, 1, n, n], kind).astype(own)
        wanted = np.einsum("...gai,kab,...gbi->...gik", V.conj(), basis, V).real
        found = group.level_jacobian(None, tf.constant(V))
        np.testing.assert_allclose(found, wanted, atol=atol)


def largest_tensor(function, *arguments):
    """Numbers of the largest tensor that a function computes, by its graph."""
    graph = tf.function(function).get_concrete_function(*arguments).graph
    tensors = [t for op in graph.get_operations() for t in op.outputs]
    assert all(t.shape.is_fully_defined() for t in tensors)
    return max(t.shape.num_elements() for t in tensors)


def test_memory_is_that_of_the_bases_or_less(rng):
    p, n = 3, 40
    V = tf.TensorSpec([n, n], tf.float64)
    for kind, allowed in (("dense", p * n * n), ("sparse", 2 * n * n)):
        structure = ef.Affine(bases(rng, p, n, kind))
        used = largest_tensor(lambda V, s=structure: s.level_jacobian(None, V), V)
        assert used <= allowed
        several = DenseGroup([structure, structure])
        V2 = tf.TensorSpec([2, n, n], tf.float64)
        used = largest_tensor(lambda V, s=several: s.level_jacobian(None, V), V2)
        assert used <= 2 * allowed


def test_a_function_of_few_parameters_needs_no_copy_of_the_matrix_for_each_level():
    n, p = 160, 2

    def function(r):
        entries = tf.range(n * n, dtype=r.dtype) / n
        A = tf.sin(r[..., :1] * entries) + r[..., 1:] * tf.cos(entries)
        A = tf.reshape(A, tf.concat([tf.shape(r)[:-1], [n, n]], axis=0))
        return A + tf.linalg.matrix_transpose(A)

    structure = ef.Parametric(function, order=n, num_parameters=p)
    r = np.array([0.3, 0.7])
    arguments = [tf.TensorSpec([p], tf.float64), tf.TensorSpec([n, n], tf.float64)]
    graph = tf.function(structure.level_jacobian).get_concrete_function(*arguments)
    sizes = [t.shape for op in graph.graph.get_operations() for t in op.outputs]
    known = [s.num_elements() for s in sizes if s.is_fully_defined()]
    assert n * n <= max(known) <= 2 * p * n * n
    # The derivatives of the entries, written out.
    entries = np.arange(n * n) / n
    slopes = np.array([entries * np.cos(r[0] * entries), np.cos(entries)])
    slopes = slopes.reshape(p, n, n)
    slopes = slopes + slopes.swapaxes(-1, -2)
    V = np.linalg.eigh(structure.assemble(tf.constant(r)).numpy())[1]
    wanted = np.einsum("ai,kab,bi->ik", V, slopes, V)
    found = graph(tf.constant(r), tf.constant(V))
    np.testing.assert_allclose(found, wanted, atol=1e-9)
