"""A servable that runs when it is let, and callers that wait for it."""

import threading
import time

import numpy as np
from tests.serving.server.fakes_life import FakeServable, context

from eigenfit_serving.server.status import Code, ServingError


class Observer:
    def __init__(self):
        self.batches = []

    def batch_input(self, rows):
        pass

    def batch_wait(self, pool, seconds):
        pass

    def batch_run(self, model, rows, size):
        self.batches.append((rows, size))


class Gated(FakeServable):
    """Runs when it is let, so that batches form while it holds the only thread."""

    def __init__(self):
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()
        self.contexts = []

    def run(self, feeds, fetches, context):
        self.contexts.append(context)
        self.entered.set()
        assert self.go.wait(10)
        for x in feeds.values():
            if x.dtype.kind == "f" and (x == 666).any():
                raise ServingError(Code.INVALID_ARGUMENT, "a row of the beast")
        return super().run(feeds, fetches, context)


def rows(*values, dtype=float):
    return {"x:0": np.array(values, dtype).reshape(len(values), 1)}


class Call(threading.Thread):
    def __init__(self, servable, feeds, **details):
        super().__init__()
        self.context = context(**details)
        self.error = self.outputs = None
        self._work = lambda: servable.run(feeds, ["y:0"], self.context)
        self.start()

    def run(self):
        try:
            self.outputs = self._work()
        except ServingError as error:
            self.error = error

    def result(self):
        self.join(10)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        return self.outputs[0].ravel().tolist()


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def occupy(servable, inner):
    """Keeps the only thread busy with a run of its own."""
    call = Call(servable, rows(0.0))
    assert inner.entered.wait(10)
    return call


def queue(servable, *feeds):
    """Hands runs in, one after the other."""
    calls = []
    for x in feeds:
        depth = servable.queue_depth
        calls.append(Call(servable, x))
        wait_for(lambda d=depth, c=calls: servable.queue_depth > d or c[-1].error)
    return calls
