"""Snapshots of a running fit."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.problem import Point


class Recorder(NamedTuple):
    """Snapshots in buffers of fixed size c, thinned when they are full."""

    stride: tf.Tensor  # [] int32, steps between snapshots
    size: tf.Tensor  # [] int32, snapshots held
    steps: tf.Tensor  # [c] int32
    loss: tf.Tensor  # [c, b]
    eigenvalues: tf.Tensor  # [c, b, n]


def start(stride: tf.Tensor, capacity: int, point: Point) -> Recorder:
    """Takes the first snapshot.

    Args:
        stride: `[]` int32, steps between snapshots.
        capacity: Even number of snapshots kept at most.
        point: Where the run begins.
    """

    def buffer(x: tf.Tensor) -> tf.Tensor:
        return tf.zeros(tf.concat([[capacity], tf.shape(x)], axis=0), x.dtype)

    recorder = Recorder(
        stride=stride,
        size=tf.constant(0),
        steps=tf.zeros([capacity], tf.int32),
        loss=tf.ensure_shape(buffer(point.loss), [capacity, *point.loss.shape]),
        eigenvalues=tf.ensure_shape(
            buffer(point.eigenvalues), [capacity, *point.eigenvalues.shape]
        ),
    )
    return _record(recorder, tf.constant(0), point)


def record_when_due(recorder: Recorder, step: tf.Tensor, point: Point) -> Recorder:
    """Takes a snapshot if `step` `[]` int32 is a multiple of the stride."""
    due = step % recorder.stride == 0
    return tf.cond(due, lambda: _record(recorder, step, point), lambda: recorder)


def _record(recorder: Recorder, step: tf.Tensor, point: Point) -> Recorder:
    """Takes a snapshot; from full buffers every second one is dropped first.

    The capacity is even, so that the snapshots stay evenly spaced from step 0 on.
    """
    capacity = recorder.steps.shape[0]

    def thin() -> Recorder:
        def halve(x: tf.Tensor) -> tf.Tensor:
            return tf.concat([x[::2], tf.zeros_like(x[1::2])], axis=0)

        return Recorder(
            stride=recorder.stride * 2,
            size=recorder.size // 2,
            steps=halve(recorder.steps),
            loss=halve(recorder.loss),
            eigenvalues=halve(recorder.eigenvalues),
        )

    recorder = tf.cond(recorder.size >= capacity, thin, lambda: recorder)
    at = recorder.size[tf.newaxis, tf.newaxis]

    def put(buffer: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(buffer, at, value[tf.newaxis])

    return Recorder(
        stride=recorder.stride,
        size=recorder.size + 1,
        steps=put(recorder.steps, step),
        loss=put(recorder.loss, point.loss),
        eigenvalues=put(recorder.eigenvalues, point.eigenvalues),
    )
