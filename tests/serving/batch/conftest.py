"""Models and tables that the tests of batches share."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables

import eigenfit as ef
from eigenfit_export import export_solver
from eigenfit_serving.batch import run
from eigenfit_serving.batch.engines import worker
from eigenfit_serving.batch.engines.kernel import Kernel
from eigenfit_serving.batch.engines.worker import Event
from eigenfit_serving.batch.settings import Settings, read_facts
from eigenfit_serving.batch.solving.fitting import Fitter


def exported(solver, base):
    """Exports what rows are solved by."""
    rows = ("serving_default", "fit", "fit_from_random")
    return export_solver(solver, base, warmup_batches=(), only=rows)


@pytest.fixture(scope="session")
def seed_model(tmp_path_factory):
    """Every symmetric matrix of order 3, solved directly: the folder of its version."""
    base = tmp_path_factory.mktemp("seed") / "model"
    return exported(ef.Solver(ef.Problem(ef.Symmetric(3))), base)


@pytest.fixture(scope="session")
def additive_model(tmp_path_factory):
    """A free diagonal of order 2 beside couplings of 1, solved by iteration."""
    base = tmp_path_factory.mktemp("additive") / "model"
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]])
    solver = ef.Solver(ef.Problem(structure), method=ef.LevenbergMarquardt())
    return exported(solver, base)


@pytest.fixture(scope="session")
def bounded_model(tmp_path_factory):
    """The same in float32, whose parameters lie between -4 and 4."""
    base = tmp_path_factory.mktemp("bounded") / "model"
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]], dtype="float32")
    problem = ef.Problem(structure, parameters=ef.Parameters(bounds=(-4.0, 4.0)))
    solver = ef.Solver(problem, method=ef.LevenbergMarquardt())
    return exported(solver, base)


@pytest.fixture(scope="session")
def seed_fitter(seed_model):
    return Fitter(read_facts(seed_model), 64)


@pytest.fixture(scope="session")
def additive_fitter(additive_model):
    return Fitter(read_facts(additive_model), 64)


@pytest.fixture
def mixed() -> pa.Table:
    """A table of 500 rows, some of which are malformed."""
    return tables.mixed(500, np.random.default_rng(1))


class InlineEngine:
    """An engine that works in this process, one part after the other."""

    name = "inline"
    workers = cores = 1

    def __init__(self, fitter, stop_after=None):
        self._fitter, self._stop_after = fitter, stop_after

    def run(self, job, pending):
        yield Event(ready=True)
        name = "inline"
        inline = worker.Worker(
            job, name, lambda *_: Kernel(self._fitter, job.settings, name)
        )
        number = 0
        while pending.waiting:
            if number == self._stop_after:
                raise KeyboardInterrupt
            number += 1
            part = pending.waiting.popleft()
            yield Event(part, inline.work(part))


@pytest.fixture
def inline(monkeypatch, additive_fitter, additive_model):
    """Runs a batch of the additive model in this process."""

    def run_inline(table, output, stop_after=None, model=additive_model, **arguments):
        engine = InlineEngine(additive_fitter, stop_after)
        monkeypatch.setattr(run, "make_engine", lambda *_: engine)
        return run.run_batch(model, table, output, **arguments)

    return run_inline


@pytest.fixture(scope="session")
def mixed_file(tmp_path_factory):
    """10000 rows in a Parquet file of several row groups, five parts of work."""
    table = tables.mixed(10_000, np.random.default_rng(2))
    path = tmp_path_factory.mktemp("mixed") / "mixed.parquet"
    return tables.write(table, path, row_group_size=3000)


@pytest.fixture(scope="session")
def expected(additive_fitter, mixed_file):
    """The answers to `mixed_file`, computed all at once."""
    (batch,) = pq.read_table(mixed_file).combine_chunks().to_batches()
    return Kernel(additive_fitter, Settings(max_steps=100)).solve(batch, 0).table
