"""Models and matrices that the tests of the ONNX export share."""

import functools

import numpy as np
import tensorflow as tf

from eigenfit_export.onnx import programs
from eigenfit_export.onnx.check import Session

DTYPES = ["float32", "float64"]


@functools.cache
def model(name, dtype, order=None):
    return getattr(programs, name)(dtype, order).model()


@functools.cache
def session(name, dtype, order=None):
    return Session(model(name, dtype, order))


def symmetric(rng, n, batch):
    X = rng.normal(size=[batch, n, n])
    return (X + np.swapaxes(X, 1, 2)) / 2


def with_levels(rng, levels, batch):
    Q = np.linalg.qr(rng.normal(size=[batch, len(levels), len(levels)]))[0]
    A = (Q * levels) @ np.swapaxes(Q, 1, 2)
    return (A + np.swapaxes(A, 1, 2)) / 2


def graded(rng, n, batch, sign):
    d = 10.0 ** (sign * np.linspace(0, -4, n))
    return symmetric(rng, n, batch) * np.sqrt(np.outer(d, d))


def rank_one(rng, n, batch):
    v = rng.normal(size=[batch, n])
    return v[:, :, None] * v[:, None, :]


def laplacian(rng, n, batch):
    A = np.diag(np.full(n, 2.0)) - np.eye(n, k=1) - np.eye(n, k=-1)
    return np.broadcast_to(A, [batch, n, n])


def wilkinson(rng, n, batch):
    A = np.diag(np.abs(np.arange(n) - (n - 1) / 2)) + np.eye(n, k=1) + np.eye(n, k=-1)
    return np.broadcast_to(A, [batch, n, n])


FAMILIES = {
    "random": symmetric,
    "uniform": lambda rng, n, b: np.abs(symmetric(rng, n, b)),
    "two values": lambda rng, n, b: with_levels(rng, np.arange(n) % 2 + 1.0, b),
    "all equal": lambda rng, n, b: with_levels(rng, np.full(n, 3.0), b),
    "identity and noise": lambda rng, n, b: np.eye(n) + 1e-6 * symmetric(rng, n, b),
    "graded levels": lambda rng, n, b: with_levels(rng, np.geomspace(1, 1e-12, n), b),
    "graded down": lambda rng, n, b: graded(rng, n, b, 1),
    "graded up": lambda rng, n, b: graded(rng, n, b, -1),
    "rank one": rank_one,
    "diagonal": lambda rng, n, b: rng.normal(size=[b, n, 1]) * np.eye(n),
    "zero": lambda rng, n, b: np.zeros([b, n, n]),
    "large": lambda rng, n, b: 1e30 * symmetric(rng, n, b),
    "tiny": lambda rng, n, b: 1e-30 * symmetric(rng, n, b),
    "pairs": lambda rng, n, b: with_levels(rng, (-1.0) ** np.arange(n), b),
    "ones": lambda rng, n, b: np.ones([b, n, n]),
    "laplacian": laplacian,
    "wilkinson": wilkinson,
}
"""The 17 matrix families of the specification: rng, n, batch -> `[batch, n, n]`."""


def members(family, n, batch, dtype):
    rng = np.random.default_rng([n, batch])
    return np.asarray(FAMILIES[family](rng, n, batch), dtype)


def clusters(w, near):
    """Marks which levels `[b, n]` belong to one cluster, `[b, n, n]`.

    Neighbours closer than `near` times the largest level are in one.
    """
    size = np.abs(w).max(axis=1, keepdims=True, initial=0)
    new = np.diff(w, axis=1) > near * size
    label = np.concatenate([np.zeros_like(w[:, :1]), np.cumsum(new, axis=1)], axis=1)
    return label[:, :, None] == label[:, None, :]


def isolation(w, together):
    """Gives the gap of each cluster to the rest over the largest level, `[b, n]`."""
    size = np.abs(w).max(axis=1, initial=0)
    apart = np.abs(w[:, :, None] - w[:, None, :])
    gap = np.where(together, np.inf, apart).min(axis=2, initial=np.inf)
    # Also from where other levels of the cluster stand.
    gap = np.where(together, gap[:, None, :], np.inf).min(axis=2, initial=np.inf)
    return np.minimum(gap / np.where(size > 0, size, 1)[:, None], 1)


def tensorflow_gradient(A, chosen):
    """Differentiates the sum of chosen levels, `[b, n]` of 0 and 1, in float64."""
    A = tf.constant(A, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(A)
        w, _ = tf.linalg.eigh(A)
        total = tf.reduce_sum(w * tf.constant(chosen, tf.float64))
    return tape.gradient(total, A).numpy()
