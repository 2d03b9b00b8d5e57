"""Snapshots of a running fit."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.problem.problem import Point
from eigenfit.tensors.batching import select


class Recorder(NamedTuple):
    """Snapshots in buffers of fixed size c, thinned when they are full.

    The snapshots of a member stop when it ends, so they do not depend on the others.
    """

    stride: tf.Tensor  # [b] int32, steps between snapshots
    size: tf.Tensor  # [b] int32, snapshots held
    values: dict[str, tf.Tensor]  # [c, b, ...] each, fields of a `Point` by name


def start(
    stride: tf.Tensor, capacity: int, point: Point, fields: tuple[str, ...]
) -> Recorder:
    """Takes the first snapshot.

    Args:
        stride: `[]` int32, steps between snapshots.
        capacity: Most snapshots kept; even.
        point: Where the run begins.
        fields: Names of the fields of a point to keep.
    """

    def buffer(x: tf.Tensor) -> tf.Tensor:
        zeros = tf.zeros(tf.concat([[capacity], tf.shape(x)], axis=0), x.dtype)
        return tf.ensure_shape(zeros, [capacity, *x.shape])

    none = tf.zeros_like(point.loss, tf.int32)
    recorder = Recorder(
        stride=none + stride,
        size=none,
        values={name: buffer(getattr(point, name)) for name in fields},
    )
    return _record(recorder, none == 0, point)


def record_when_due(
    recorder: Recorder, step: tf.Tensor, running: tf.Tensor, point: Point
) -> Recorder:
    """Takes a snapshot if a step is a multiple of the stride.

    Args:
        recorder: Snapshots so far.
        step: `[]` int32, number of the step.
        running: `[b]` bool, members that have not ended. They all have the same
            stride, the largest of all members.
        point: Where the members are now.
    """
    due = step % tf.reduce_max(recorder.stride) == 0
    return tf.cond(due, lambda: _record(recorder, running, point), lambda: recorder)


def snapshots(
    recorder: Recorder, num_steps: tf.Tensor, end: Point
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Reads the snapshots, filled up with the end of each member.

    Args:
        recorder: Recorder of a run that has ended.
        num_steps: `[b]` int32, steps of each member.
        end: Where the members ended.

    Returns:
        The steps `[b, c + 1]` int32, and the fields there, `[b, c + 1, ...]` each.
    """
    capacity = next(iter(recorder.values.values())).shape[0]
    place = tf.range(capacity + 1)
    held = place < recorder.size[:, tf.newaxis]
    steps = place * recorder.stride[:, tf.newaxis]
    steps = tf.where(held, steps, num_steps[:, tf.newaxis])

    def filled(name: str, buffer: tf.Tensor) -> tf.Tensor:
        last = getattr(end, name)[tf.newaxis]
        whole = tf.concat([buffer, last], axis=0)
        whole = select(tf.transpose(held), whole, last)
        return tf.transpose(whole, [1, 0, *range(2, whole.shape.rank)])

    return steps, {name: filled(name, x) for name, x in recorder.values.items()}


def _record(recorder: Recorder, running: tf.Tensor, point: Point) -> Recorder:
    """Takes a snapshot; full buffers first drop every second one.

    The capacity is even, so that the snapshots stay evenly spaced from step 0 on.
    """
    capacity = next(iter(recorder.values.values())).shape[0]

    def thin() -> Recorder:
        def halve(x: tf.Tensor) -> tf.Tensor:
            half = tf.concat([x[::2], tf.zeros_like(x[1::2])], axis=0)
            return select(running[tf.newaxis], half, x)

        return Recorder(
            stride=tf.where(running, recorder.stride * 2, recorder.stride),
            size=tf.where(running, recorder.size // 2, recorder.size),
            values=tf.nest.map_structure(halve, recorder.values),
        )

    full = tf.reduce_any(running & (recorder.size >= capacity))
    recorder = tf.cond(full, thin, lambda: recorder)
    at = tf.reduce_max(tf.where(running, recorder.size, 0))
    # An empty batch has no members to record.
    number = tf.minimum(tf.size(running), 1)
    places = tf.fill([number, 1], at)

    def put(name: str, buffer: tf.Tensor) -> tf.Tensor:
        new = getattr(point, name)[tf.newaxis]
        rows = select(running[tf.newaxis], new, tf.gather_nd(buffer, places))
        return tf.tensor_scatter_nd_update(buffer, places, rows)

    return Recorder(
        stride=recorder.stride,
        size=recorder.size + tf.cast(running, tf.int32),
        values={name: put(name, x) for name, x in recorder.values.items()},
    )
