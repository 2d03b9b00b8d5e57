"""A problem at one point: the results of one evaluation."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Point(NamedTuple):
    """The essentials of one point: the answer of a fit that ends there."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., N], ascending in each matrix
    loss: tf.Tensor  # [...]


class Evaluation(NamedTuple):
    """A problem at one point: everything that one eigendecomposition yields."""

    parameters: tf.Tensor  # [..., p]
    eigenvalues: tf.Tensor  # [..., N], ascending in each matrix
    eigenvectors: Any  # in columns; see `Problem.eigenvectors_of`
    residual: tf.Tensor  # [..., m + q], weighted; q priors at the end
    loss: tf.Tensor  # [...], sum of squares of the residual
    targets: tf.Tensor | tuple[()] = ()  # [..., m]; () if only levels are observed


def answer_at(point: Evaluation | Point) -> Point:
    """Drops what only further steps need."""
    return Point(point.parameters, point.eigenvalues, point.loss)
