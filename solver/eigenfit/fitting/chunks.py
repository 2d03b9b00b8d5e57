"""A fit in compiled chunks: for progress, history, and dropping finished members."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from eigenfit.fitting.compilation import Mode
from eigenfit.fitting.loop import (
    WORTH_COMPACTING,
    Run,
    gather,
    losses,
    scatter,
    snapshots,
)
from eigenfit.fitting.programs import Programs
from eigenfit.fitting.recording import Recorder
from eigenfit.results import RUNNING, History, Progress

_SECONDS = 0.25  # wanted duration of a chunk: short enough to look alive


def run_in_chunks(
    programs: Programs,
    mode: Mode,
    arguments: list[tf.Tensor],
    record_every: int,
    capacity: int,
    progress: Callable[[Progress], None] | None,
) -> Run:
    """Runs a fit, returning to Python between chunks if there is a `progress`.

    Args:
        programs: Programs of the solver.
        mode: Mode to run them in.
        arguments: Initial, targets, tolerance, max_steps, batch-major.
        record_every: Steps between snapshots.
        capacity: Most snapshots kept, even; 0 for none.
        progress: Called after each chunk.

    Returns:
        The finished run.
    """
    begin, advance, _ = (x.variant(mode) for x in programs.chunked(capacity))
    run = begin(*arguments, tf.constant(record_every))
    limit = int(tf.reduce_max(tf.concat([arguments[3], [0]], axis=0)))
    none = tf.constant(0)  # number of running members at which to stop
    if progress is None:
        return advance(run, *arguments[1:], tf.constant(limit), none)
    chunk = 1
    while True:
        running = run.members.result == RUNNING
        loss = tf.where(running, losses(run), 0)
        progress(
            Progress(
                step=int(run.step),
                max_steps=limit,
                num_running=int(tf.reduce_sum(tf.cast(running, tf.int32))),
                num_members=int(tf.size(running)),
                worst_loss=float(tf.reduce_max(tf.concat([loss, [0]], axis=0))),
            )
        )
        if not tf.reduce_any(running):
            return run
        started = time.perf_counter()
        until = min(int(run.step) + chunk, limit)
        run = advance(run, *arguments[1:], tf.constant(until), none)
        seconds = time.perf_counter() - started
        # At most doubled, since the first call of a program also traces it.
        chunk = max(1, round(chunk * min(2.0, _SECONDS / seconds)))


def run_in_buckets(programs: Programs, mode: Mode, arguments: list[tf.Tensor]) -> Run:
    """Runs a fit in batches of 2^k members, halved each time half of them have ended.

    The shapes of a program compiled by XLA are fixed. With sizes that are powers of
    two it is compiled at most once for each, whatever batches are fitted.

    Args:
        programs: Programs of the solver.
        mode: Mode to run them in.
        arguments: Initial, targets, tolerance, max_steps, batch-major.

    Returns:
        The finished run, its members in order.
    """
    begin, advance, _ = (x.variant(mode) for x in programs.chunked(0))
    whole = begin(*arguments, tf.constant(0))
    limit = tf.reduce_max(arguments[3])
    members, step = whole.members, whole.step
    while True:
        running = np.flatnonzero(members.result.numpy() == RUNNING)
        if not running.size:
            return whole._replace(step=step, members=members)
        size = 1 << (len(running) - 1).bit_length()
        # Filled up with copies of members, which give identical results.
        index = tf.constant(np.resize(running, size))
        part = whole._replace(
            step=step,
            members=gather(members, index),
            scales=gather(whole.scales, index),
        )
        enough = tf.constant(size // 2 if size >= WORTH_COMPACTING else 0)
        data = gather(arguments[1:], index)
        part = advance(part, *data, limit, enough)
        members, step = scatter(members, index, part.members), part.step


def history_of(run: Run) -> History:
    """Reads the snapshots of a run; the last one is the end of the fit.

    All members share the steps of the one that has run longest.

    Returns:
        `steps [h]`, `loss [b, h]`, `eigenvalues [b, h, n]`.
    """
    recorder = run.recorder
    assert isinstance(recorder, Recorder)
    _, values = snapshots(run)
    stride = tf.reduce_max(recorder.stride)
    size = tf.reduce_max(tf.where(recorder.stride == stride, recorder.size, 0))
    steps = tf.range(size) * stride
    # Beyond a member's last snapshot its end is used.
    place = steps // recorder.stride[:, tf.newaxis]
    if int(steps[-1]) != int(run.step):
        steps = tf.concat([steps, run.step[tf.newaxis]], axis=0)
        place = tf.pad(place, [[0, 0], [0, 1]], constant_values=tf.int32.max)
    place = tf.minimum(place, values["loss"].shape[1] - 1)
    taken = {name: tf.gather(x, place, batch_dims=1) for name, x in values.items()}
    return History(steps, **taken)
