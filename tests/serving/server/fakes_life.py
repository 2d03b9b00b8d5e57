"""Stand-ins for what the life of the server is made of: models, clocks, threads."""

import threading
from types import SimpleNamespace

import numpy as np

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import RequestContext


class FakeServable:
    """Doubles what it is given."""

    def __init__(self, path="/m/1", name="m", version=1):
        self.signatures, self.compiled = {}, frozenset()
        self.path, self.name, self.version = path, name, version
        self.closed = 0
        self.runs = []

    def run(self, signature, inputs, outputs, context):
        assert not self.closed, "run after close"
        self.runs.append({name: np.array(x) for name, x in inputs.items()})
        return [2 * next(iter(inputs.values())) for _ in outputs]

    def close(self):
        self.closed += 1


class FakeLoader:
    """Loads `FakeServable`s; versions in `bad` fail with their error."""

    def __init__(self):
        self.bad = {}
        self.loaded = {}
        self.calls = []

    def __call__(self, path, name, version):
        self.calls.append((name, version))
        error = self.bad.get((name, version))
        if error is not None:
            raise error
        servable = FakeServable(path, name, version)
        self.loaded.setdefault((name, version), []).append(servable)
        return servable


class Clock:
    """A time that stands still unless moved."""

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now


class Inline:
    """An executor that does everything at once."""

    def submit(self, work, *arguments):
        work(*arguments)

    def shutdown(self, **options):
        pass


class Later(Inline):
    """An executor that does what it is given when told to."""

    def __init__(self):
        self.work = []

    def submit(self, work, *arguments):
        self.work.append(lambda: work(*arguments))

    def run(self):
        work, self.work = self.work, []
        for x in work:
            x()


def write_version(base, number, text=b"graph"):
    """Writes a version folder that looks complete."""
    folder = base / str(number)
    (folder / "variables").mkdir(parents=True)
    (folder / "variables" / "variables.data-00000-of-00001").write_bytes(b"data")
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / "saved_model.pb").write_bytes(text)
    return folder


def context(**changes):
    return RequestContext("predict", "GRPC", "id", **changes)


def tensor_info(name):
    return SimpleNamespace(name=name)


def not_found(text="no graph"):
    return ServingError(Code.NOT_FOUND, text)


def in_threads(count, work):
    """Runs `work(i)` in threads; returns results or exceptions in order."""
    results = [None] * count

    def run(i):
        try:
            results[i] = work(i)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=[i]) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    return results
