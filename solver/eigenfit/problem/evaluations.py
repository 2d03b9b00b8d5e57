"""A problem at one point: what one evaluation tells."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Point(NamedTuple):
    """What is known of one point: the answer of a fit that ends there."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    loss: tf.Tensor  # [...]


class Evaluation(NamedTuple):
    """A problem at one point: all that one eigendecomposition tells."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., n], ascending
    eigenvectors: Any  # [..., n, n], in columns; a tuple of a `JointProblem`
    residual: tf.Tensor  # [..., m], weighted
    loss: tf.Tensor  # [...], sum of squares of the residual


def answer_at(point: Evaluation | Point) -> Point:
    """Leaves out what only further steps need."""
    return Point(point.parameters, point.eigenvalues, point.loss)


class JointEvaluation(NamedTuple):
    """A problem at one point; as `Evaluation`, of several matrices."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., N], ascending in each block
    eigenvectors: tuple[tf.Tensor, ...]  # [..., B, n, n] for each order
    residual: tf.Tensor  # [..., m + q], weighted; q priors at the end
    loss: tf.Tensor  # [...]
    targets: tf.Tensor  # [..., m], which decide on signs of mode shapes
