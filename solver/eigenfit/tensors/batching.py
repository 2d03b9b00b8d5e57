"""Batch dimensions: choosing members, flattening and restoring."""

from __future__ import annotations

from typing import Any, TypeVar

import tensorflow as tf

T = TypeVar("T")


def select(mask: tf.Tensor | bool, yes: T, no: T) -> T:
    """Takes members from one nest of tensors or another.

    Args:
        mask: `[...]` bool; or known before tracing, for all members.
        yes: Tensors `[..., *]`, whose leading dimensions are those of `mask`.
        no: The same nest.

    Returns:
        The same nest: `yes` where `mask` is true, else `no`. Nothing is multiplied, so
        a NaN in a member that is not taken does no harm.
    """
    if isinstance(mask, bool):
        return yes if mask else no
    masks = {mask.shape.rank: mask}

    def choose(y: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
        if y.shape.rank not in masks:
            widened = mask
            for _ in range(y.shape.rank - mask.shape.rank):
                widened = tf.expand_dims(widened, -1)
            masks[y.shape.rank] = widened
        return tf.where(masks[y.shape.rank], y, n)

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
    if isinstance(batch, tf.TensorShape) and batch.is_fully_defined():
        if batch.rank == 1:
            return nest
        if batch.rank == 0:  # squeezing is five times faster than a reshape
            return tf.nest.map_structure(lambda x: tf.squeeze(x, axis=0), nest)
        shape = batch.as_list()
        return tf.nest.map_structure(
            lambda x: tf.reshape(x, shape + _event_shape(x)), nest
        )

    def split(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, tf.concat([batch, tf.shape(x)[1:]], axis=0))

    return tf.nest.map_structure(split, nest)


def _event_shape(x: tf.Tensor) -> list[int]:
    return [-1 if size is None else size for size in x.shape.as_list()[1:]]


def batch_rank(batch: tf.TensorShape | tf.Tensor) -> int:
    """Counts the dimensions of a batch shape."""
    return batch.rank if isinstance(batch, tf.TensorShape) else batch.shape[0]
