"""Batch dimensions: choosing members, flattening and restoring."""

from __future__ import annotations

from typing import Any, TypeVar

import tensorflow as tf

T = TypeVar("T")


def select(mask: tf.Tensor, yes: T, no: T) -> T:
    """Takes members from one nest of tensors or another.

    Args:
        mask: `[...]` bool.
        yes: Tensors `[..., *]`, whose leading dimensions are those of `mask`.
        no: The same nest.

    Returns:
        The same nest: `yes` where `mask` is true. Never multiplies, so that a NaN in
        what is not taken does no harm.
    """

    def choose(y: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
        extra = [1] * (y.shape.rank - mask.shape.rank)
        shape = tf.concat([tf.shape(mask), tf.constant(extra, tf.int32)], axis=0)
        return tf.where(tf.reshape(mask, shape), y, n)

    return tf.nest.map_structure(choose, yes, no)


def flatten(nest: T, batch_rank: int) -> T:
    """Merges the leading `batch_rank` dimensions of every tensor into one."""

    def merge(x: tf.Tensor) -> tf.Tensor:
        if batch_rank == 1:
            return x
        # An explicit size: -1 is ambiguous for tensors without elements.
        size = tf.reduce_prod(tf.shape(x)[:batch_rank], keepdims=True)
        return tf.reshape(x, tf.concat([size, tf.shape(x)[batch_rank:]], axis=0))

    return tf.nest.map_structure(merge, nest)


def unflatten(nest: Any, batch: tf.TensorShape | tf.Tensor) -> Any:
    """Splits the first dimension of every tensor into the batch shape."""
    if isinstance(batch, tf.TensorShape):
        batch = tf.constant(batch.as_list(), tf.int32)

    def split(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, tf.concat([batch, tf.shape(x)[1:]], axis=0))

    return tf.nest.map_structure(split, nest)


def batch_rank(batch: tf.TensorShape | tf.Tensor) -> int:
    """Counts the dimensions of a batch shape."""
    return batch.rank if isinstance(batch, tf.TensorShape) else batch.shape[0]
