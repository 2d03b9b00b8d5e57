"""Processes and actors: the same rows, whoever dies."""

import shutil
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import fake_worker, mortal_worker, tables
from tests.serving.batch.fake_worker import DEADLY
from tests.serving.batch.processes import workers_of
from tests.waiting import wait_for

from eigenfit_serving import InputError
from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.engines import local, ray_engine, worker
from eigenfit_serving.batch.engines.ray_engine import PartActor, RayEngine
from eigenfit_serving.batch.plan.parts import Part
from eigenfit_serving.batch.plan.run_folder import Places
from eigenfit_serving.batch.processes import quiet_environment
from eigenfit_serving.batch.settings import Job, Settings, read_facts


def job_of(model, gpu=False):
    empty = pa.schema([])
    places = (Path("parts"), Path("drafts"))
    return Job(read_facts(model), Settings(), 64, 1, gpu, (), empty, *places)


def fault_of(job):
    """Has an actor do a part: why it cannot."""
    return PartActor(job)(asdict(Part(0, 1)))["fault"]


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(local, "load_kernel", fake_worker.load_kernel)


@pytest.fixture(scope="session")
def plain_file(tmp_path_factory):
    rng = np.random.default_rng(4)
    table = pa.table(
        {
            "id": np.arange(20_000),
            "targets": tables.lists(tables.good_targets(20_000, rng)),
        }
    )
    path = tmp_path_factory.mktemp("plain") / "in.parquet"
    return tables.write(table, path)


@pytest.mark.slow
def test_local_engine_replaces_a_killed_worker(
    additive_model, mixed_file, expected, tmp_path, monkeypatch
):
    died = tmp_path / "died"
    monkeypatch.setenv(mortal_worker.DIED, str(died))
    monkeypatch.setattr(local, "load_kernel", mortal_worker.load_kernel)
    output = tmp_path / "out.parquet"
    report = run_batch(additive_model, mixed_file, output, workers=2, batch_size=512)
    assert died.exists()
    assert report.deaths == 1
    assert report.rows == 10_000
    tables.assert_same(pq.read_table(output), pa.table(expected))
    assert not workers_of()


@pytest.mark.slow
def test_ray_engine(additive_model, mixed_file, expected, tmp_path):
    output = tmp_path / "out.parquet"
    # In a process of its own: Ray leaves threads behind.
    code = (
        "import sys; from eigenfit_serving.batch import run_batch;"
        "r = run_batch(*sys.argv[1:], engine='ray', workers=2, batch_size=512);"
        "print(r.counts)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(additive_model), str(mixed_file), str(output)],
        capture_output=True,
        text=True,
        env=quiet_environment(1, None),
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "'converged': " in done.stdout
    tables.assert_same(pq.read_table(output), pa.table(expected))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((3, 0, 1), "workers = 3: the cluster has 2 cores, enough for 2 workers"),
        ((2, 0, 2), "workers = 2: the cluster has 2 cores, enough for 1 workers"),
        ((1, 1, 1), "gpus = 1: the cluster has 0. Give fewer"),
    ],
)
def test_a_cluster_that_is_too_small(arguments, text):
    engine = RayEngine(*arguments)
    with pytest.raises(InputError, match=text):
        engine._claim({"CPU": 2.0, "memory": 1e9})
    RayEngine(2)._claim({"CPU": 2.0})
    whole = RayEngine(None, 1)
    whole._claim({"CPU": 3.0, "GPU": 1.0})
    assert whole.workers == 3


def test_no_gpu(additive_model, mixed_file, tmp_path, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    job = job_of(additive_model, gpu=True)
    with pytest.raises(InputError, match="gpus: TensorFlow finds no GPU for a worker"):
        worker.load_kernel(job, "w")
    # Actors that cannot begin would be begun again and again.
    assert "finds no GPU" in fault_of(job)


def test_a_broken_model_is_said_by_actors(additive_model, tmp_path):
    folder = tmp_path / "model" / "1"
    shutil.copytree(additive_model, folder)
    (folder / "saved_model.pb").write_bytes(b"broken")
    job = job_of(folder)
    failed = fault_of(job)
    assert failed.startswith("a worker failed: ")
    assert "\n" not in failed


def test_last_words_of_ray():
    text = (
        "died because\n  File a\n    call()\n    ^^^^~~\nOSError: the reason \n\n  ^^\n"
    )
    assert ray_engine._last_line(text) == "OSError: the reason"
    assert ray_engine._last_line("") == "none"


def test_addresses_of_the_client_of_ray(additive_model, mixed_file, tmp_path):
    address = "ray://127.0.0.1:10001"
    with pytest.raises(InputError, match=r"cannot run Ray Data. .*address = 'auto'"):
        run_batch(
            additive_model,
            mixed_file,
            tmp_path / "out",
            engine="ray",
            address=address,
        )
    assert not list(tmp_path.iterdir())


def test_a_row_that_kills_its_workers_is_found(
    fake, additive_model, plain_file, tmp_path
):
    table = pq.read_table(plain_file).slice(0, 5000)
    targets = table.column("targets").to_pylist()
    targets[3210] = [DEADLY, 0.0]
    table = table.set_column(1, "targets", pa.array(targets))
    path = tables.write(table, tmp_path / "in.parquet")
    output = tmp_path / "out"
    report = run_batch(additive_model, path, output, workers=2)
    found = pq.read_table(output)
    assert found.column("id").to_pylist() == list(range(5000))
    codes = found.column("result").to_numpy()
    assert np.flatnonzero(codes).tolist() == [3210]
    assert codes[3210] == -1
    assert "died" in found.column("message")[3210].as_py()
    assert report.counts == {"converged": 4999, "worker_died": 1}
    # Twice the whole part of 2048, then its pieces of 256, 32, 4 and 1.
    assert report.deaths == 6


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_the_driver_is_killed(fake, additive_model, plain_file, tmp_path, name):
    output = tmp_path / name
    places = Places(output)
    module = "tests.serving.batch.fake_driver"
    arguments = map(str, (additive_model, plain_file, output))
    driver = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], env=quiet_environment(1, None)
    )
    wait_for(lambda: len(list(places.parts.glob("part-*.parquet"))) >= 2)
    workers = workers_of(driver.pid)
    assert workers
    driver.kill()
    driver.wait()
    # Workers do not outlive their driver.
    wait_for(lambda: not any(Path(f"/proc/{k}").exists() for k in workers))
    assert not output.exists() or output.is_dir()
    report = run_batch(additive_model, plain_file, output, workers=2, resume=True)
    assert 0 < report.rows_before < 20_000
    found = pq.read_table(output).column("id").to_pylist()
    assert found == list(range(20_000))


def test_workers_that_cannot_start(additive_model, plain_file, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "load_kernel", fake_worker.fail)
    with pytest.raises(InputError, match="a worker failed: RuntimeError: no luck"):
        run_batch(additive_model, plain_file, tmp_path / "out", workers=2)
    monkeypatch.setattr(local, "load_kernel", fake_worker.die)
    with pytest.raises(InputError, match="end before they are ready: last words"):
        run_batch(additive_model, plain_file, tmp_path / "other", workers=2)
    assert not workers_of()


def test_an_output_that_cannot_be_written_ends_the_workers(
    fake, additive_model, plain_file, tmp_path
):
    output = tmp_path / "out"
    places = Places(output)
    done = []

    def removing():
        # No part can be written any more.
        wait_for(lambda: done or list(places.parts.glob("part-*.parquet")))
        while not done:
            shutil.rmtree(places.drafts, ignore_errors=True)

    thread = threading.Thread(target=removing)
    thread.start()
    try:
        with pytest.raises(InputError, match=r"cannot be written .*--resume") as caught:
            run_batch(additive_model, plain_file, output, workers=2)
    finally:
        done.append(True)
        thread.join()
    assert "\n" not in str(caught.value)
    assert not workers_of()
    report = run_batch(additive_model, plain_file, output, workers=2, resume=True)
    assert report.rows_before > 0
    assert pq.read_table(output).column("id").to_pylist() == list(range(20_000))
