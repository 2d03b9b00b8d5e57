"""The long tests of batches: many rows, many deaths."""

import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables
from tests.serving.batch.processes import actors_of, workers_of
from tests.waiting import wait_for

from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.answers.report import BatchReport
from eigenfit_serving.batch.plan.run_folder import Places
from eigenfit_serving.batch.processes import quiet_environment

PARTS = 30
"""Of 60,000 rows by two workers: 2048 rows each."""


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
        ("local", "worker"),
        ("local", "driver"),
        ("ray", "worker"),
        ("ray", "driver"),
    ][number % 4]
    rows = 60_000
    source = tables.write(tables.mixed(rows, rng), tmp_path / "in.parquet")
    output = tmp_path / ("out" if number % 8 < 4 else "out.parquet")
    places = Places(output)
    driver = begin(additive_model, source, output, engine)

    def alive():
        assert driver.poll() is None, driver.communicate()[0].decode()
        return True

    def victims():
        if victim == "driver":
            return [driver.pid]
        return workers_of(driver.pid) if engine == "local" else actors_of(driver.pid)

    def parts():
        return len(list(places.parts.glob("part-*.parquet")))

    # From the start of the workers to shortly before the end of the work, when there
    # still is somebody to kill: the others have too much to do to end meanwhile.
    moment = int(rng.integers(PARTS - 6))
    wait_for(lambda: alive() and places.agreement.exists(), 100)
    wait_for(lambda: alive() and victims() and parts() >= moment, 100)
    found = victims()
    assert found, f"nobody to kill: {engine}, {victim}, after {moment} parts"
    os.kill(found[int(rng.integers(len(found)))], signal.SIGKILL)
    assert parts() < PARTS, "all the work was done before"
    if victim == "driver":
        text, _ = driver.communicate(timeout=60)
        assert driver.returncode == -signal.SIGKILL, text.decode()
        finish(begin(additive_model, source, output, engine))
        report = BatchReport.read(places.report)
        assert moment * 2048 <= report.rows_before < rows
    else:
        finish(driver)
    table = pq.read_table(output)
    wanted = [f"row {k}" for k in range(rows)]
    assert table.column("id").to_pylist() == wanted
    assert table.column("row").to_pylist() == list(range(rows))
