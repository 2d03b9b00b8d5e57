"""A fit driven by the client, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigenfit_serving.client.errors import BadReply
from eigenfit_serving.client.solution import Progress


def tolerance_of(tolerance: Any, targets: Any, state: dict[str, np.ndarray]) -> Any:
    """Returns the loss at which members have converged, `[...]`.

    Args:
        tolerance: Tolerance of the caller; None for one relative to the targets.
        targets: Values to fit, `[..., m]`.
        state: State of the method, by name.
    """
    if tolerance is not None:
        return tolerance
    t = np.asarray(targets, np.float64)
    rtol = 1e-5 if state["loss"].dtype == np.float32 else 1e-10
    size = np.max(np.abs(t), axis=-1, initial=0.0)
    levels = np.max(np.abs(state["eigenvalues"]), axis=-1, initial=0.0)
    return t.shape[-1] * (rtol * np.where(size > 0, size, levels)) ** 2


class Iteration:
    """Keeps the state between steps; the caller makes the calls.

    A member ends when its loss is at or below the tolerance or not finite, when it has
    taken `max_steps`, or when a step left its state unchanged. Its state is then
    frozen, whatever its neighbours do.

    Attributes:
        state: State for the next step, arrays `[..., *]` by name.
    """

    def __init__(
        self, state: dict[str, np.ndarray], tolerance: Any, max_steps: Any
    ) -> None:
        if not {"parameters", "eigenvalues", "loss"} <= set(state):
            raise BadReply("The state of this model has no loss to follow.")
        self.state = state
        self._batch = state["loss"].shape
        self._tolerance = np.broadcast_to(tolerance, self._batch)
        self._max_steps = np.broadcast_to(max_steps, self._batch)
        self._step = 0
        self._taken = np.zeros(self._batch, np.int32)
        self._running = np.ones(self._batch, bool)
        self._end(np.zeros(self._batch, bool))

    @property
    def is_running(self) -> bool:
        """Whether any member has yet to end."""
        return bool(self._running.any())

    def advance(self, new: dict[str, np.ndarray]) -> None:
        """Takes over the state after one more step, except of ended members."""
        idle = np.ones(self._batch, bool)
        for name, before in self.state.items():
            wide = (...,) + (np.newaxis,) * (before.ndim - len(self._batch))
            after = np.where(self._running[wide], new[name], before)
            same = (after == before) | ((after != after) & (before != before))
            axes = tuple(range(len(self._batch), before.ndim))
            idle &= same.all(axis=axes)
            self.state[name] = after.astype(before.dtype, copy=False)
        self._step += 1
        self._taken = self._taken + self._running.astype(np.int32)
        self._end(idle)

    def progress(self) -> Progress:
        """Returns the progress so far."""
        return Progress(
            step=self._step,
            parameters=self.state["parameters"],
            eigenvalues=self.state["eigenvalues"],
            loss=self.state["loss"],
            num_steps=self._taken,
            running=self._running,
            state=dict(self.state),
        )

    def _end(self, idle: np.ndarray) -> None:
        loss = self.state["loss"]
        ended = ~np.isfinite(loss) | (loss <= self._tolerance) | idle
        self._running = self._running & ~ended & (self._taken < self._max_steps)
