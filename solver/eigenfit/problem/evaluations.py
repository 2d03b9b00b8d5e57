"""A problem at one point: the results of one evaluation."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Point(NamedTuple):
    """The essentials of one point: the answer of a fit that ends there."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    loss: tf.Tensor  # [...]


class Evaluation(NamedTuple):
    """A problem at one point: everything that one eigendecomposition yields."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    eigenvectors: Any  # [..., n, n], in columns; a tuple for a `JointProblem`
    residual: tf.Tensor  # [..., m], weighted
    loss: tf.Tensor  # [...], sum of squares of the residual


def answer_at(point: Evaluation | Point) -> Point:
    """Drops what only further steps need."""
    return Point(point.parameters, point.eigenvalues, point.loss)


class JointEvaluation(NamedTuple):
    """A problem at one point; like `Evaluation`, for several matrices."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., N], ascending in each block
    eigenvectors: tuple[tf.Tensor, ...]  # [..., B, n, n] for each order
    residual: tf.Tensor  # [..., m + q], weighted; q priors at the end
    loss: tf.Tensor  # [...]
    targets: tf.Tensor  # [..., m], which fix the signs of mode shapes
