"""The long tests of batches: many rows, many deaths."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables
from tests.serving.batch.processes import processes, workers_of

from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.answers.report import BatchReport
from eigenfit_serving.batch.plan.places import Places
from eigenfit_serving.batch.processes import quiet_environment

RAY_ACTOR = "PartActor"
LOCAL_WORKER = "local worker"


def begin(model, table, output, engine) -> subprocess.Popen[bytes]:
    command = ["-m", "eigenfit_serving", "batch", model, table, output]
    options = ["--engine", engine, "--workers", "2", "--batch-size", "512", "--resume"]
    return subprocess.Popen(
        [sys.executable, *map(str, [*command, *options])],
        env=quiet_environment(1, None),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text.decode()


@pytest.mark.slow
def test_engines_agree_on_many_rows(additive_model, tmp_path):
    table = tables.mixed(100_000, np.random.default_rng(7), share=0.01)
    source = tables.write(table, tmp_path / "in.parquet")
    local = tmp_path / "local.parquet"
    report = run_batch(additive_model, source, local, workers=2)
    other = tmp_path / "ray.parquet"
    finish(begin(additive_model, source, other, "ray"))
    one, two = pq.read_table(local), pq.read_table(other)
    tables.assert_same(one, two)
    assert one.column("id").to_pylist() == table.column("id").to_pylist()
    written = BatchReport.read(tmp_path / "ray.parquet.report.json")
    codes = np.bincount(one.column("result").to_numpy(), minlength=6)
    counts = {"converged": codes[0], "stationary": codes[1], "invalid_input": codes[5]}
    assert report.counts == written.counts == counts
    assert 800 < counts["invalid_input"] < 1200
    assert 800 < counts["stationary"] < 1200


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_deaths_at_random_moments(additive_model, tmp_path, number):
    rng = np.random.default_rng(100 + number)
    engine, victim = [
        ("local", LOCAL_WORKER),
        ("local", "driver"),
        ("ray", RAY_ACTOR),
        ("ray", "driver"),
    ][number % 4]
    rows = 60_000
    source = tables.write(tables.mixed(rows, rng), tmp_path / "in.parquet")
    output = tmp_path / ("out" if number % 8 < 4 else "out.parquet")
    places = Places(output)
    known = set(processes(RAY_ACTOR))
    driver = begin(additive_model, source, output, engine)
    end = time.monotonic() + 100
    while not (places.state / "run.json").exists():
        assert time.monotonic() < end
        assert driver.poll() is None, driver.communicate()[0].decode()
        time.sleep(0.01)
    # From the start of the workers to after the end of the work.
    time.sleep(rng.uniform(0, 14))
    if victim == "driver":
        driver.kill()
        driver.communicate()
        finish(begin(additive_model, source, output, engine))
    else:
        found = workers_of(driver.pid)
        if victim == RAY_ACTOR:
            found = [k for k in processes(RAY_ACTOR) if k not in known]
        for pid in found[:1]:
            os.kill(pid, signal.SIGKILL)
        finish(driver)
    table = pq.read_table(output)
    wanted = [f"row {k}" for k in range(rows)]
    assert table.column("id").to_pylist() == wanted
    assert table.column("row").to_pylist() == list(range(rows))
