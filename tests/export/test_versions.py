"""Versions appear whole or not at all: kills, full disks, several writers."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest

import eigenfit as ef
from eigenfit_export import export_solver, load_model
from eigenfit_export.verification.verify import verify_export
from eigenfit_export.versions import STAGING, new_version


def solver_of():
    return ef.Solver(ef.Problem(ef.Symmetric(2)), compile="graph")


def write(base, text="new"):
    with new_version(base) as draft:
        (draft.folder / "a.txt").write_text(text)
    return draft.version


def test_exporting_twice_makes_version_2(tmp_path):
    assert write(tmp_path, "old") == tmp_path / "1"
    assert write(tmp_path) == tmp_path / "2"
    assert (tmp_path / "1" / "a.txt").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_a_failure_half_way_leaves_nothing(tmp_path):
    def interrupted():
        with new_version(tmp_path) as draft:
            (draft.folder / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_everything_is_on_the_disk_before_it_is_named(tmp_path, monkeypatch):
    seen = []
    fsync, rename = os.fsync, os.rename

    def spy_fsync(handle):
        seen.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    def spy_rename(source, target):
        seen.append(f"rename {target}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "rename", spy_rename)
    with new_version(tmp_path) as draft:
        (draft.folder / "deep").mkdir()
        (draft.folder / "deep" / "a.txt").write_text("")
    inside = str(draft.folder)
    # Each before what names it; what else is synced, and how often, is free.
    order = [f"{inside}/deep/a.txt", f"{inside}/deep", inside]
    order += [f"rename {tmp_path / '1'}", str(tmp_path)]
    last = {event: place for place, event in enumerate(seen)}
    places = [last.get(event) for event in order]
    assert None not in places, seen
    assert places == sorted(places), seen


def test_writers_at_the_same_time_get_different_versions(tmp_path):
    versions = []
    threads = [
        threading.Thread(target=lambda: versions.append(write(tmp_path)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(v.name) for v in versions) == list(range(1, 9))
    assert {p.name for p in tmp_path.iterdir()} == {v.name for v in versions}


def test_a_version_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    # Another writer takes number 1 after this one has looked.
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "theirs").write_text("")
    answers = [[], [1]]
    monkeypatch.setattr(
        "eigenfit_export.versions.version_numbers", lambda base: answers.pop(0)
    )
    assert write(tmp_path).name == "2"
    assert (tmp_path / "1" / "theirs").exists()


def test_a_file_with_a_number_for_a_name_is_passed_over(tmp_path):
    (tmp_path / "1").write_text("")
    assert write(tmp_path).name == "2"


def test_only_what_nobody_writes_any_more_is_removed(tmp_path):
    abandoned = tmp_path / f"{STAGING}dead" / "model"
    abandoned.mkdir(parents=True)
    with new_version(tmp_path) as draft:
        (draft.folder / "a.txt").write_text("first")
        assert not abandoned.exists()
        assert write(tmp_path, "second").name == "1"
        assert draft.folder.exists()
    assert draft.version == tmp_path / "2"
    assert (tmp_path / "2" / "a.txt").read_text() == "first"


# Each child exports until it comes to a moment, named by an event that Python reports
# to audit hooks and the end of its path, and kills itself there. Importing TensorFlow
# takes most of the time: children are forked after it, before it starts threads.
KILLED = """
import os, signal, sys
import eigenfit as ef
import eigenfit_export.savedmodel
from eigenfit_export import export_solver

for moment in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        event, _, end = moment.partition(" ")

        def hook(name, arguments):
            if name == event and str(arguments[0]).endswith(end):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        solver = ef.Solver(ef.Problem(ef.Symmetric(2)), compile="graph")
        export_solver(solver, sys.argv[1])
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(moment, status, sorted(os.listdir(sys.argv[1])), sep="|", flush=True)
"""

MOMENTS = [
    "os.mkdir /model",  # nothing written
    "open eigenfit_probes.npz",  # the SavedModel is complete
    "open eigenfit.json",  # so is all but the manifest
    "os.rename /model",  # on the disk, without its name
    "",  # not killed
]


@pytest.mark.slow  # many processes
def test_killing_an_export_leaves_the_old_version_and_no_new_one(tmp_path):
    base = tmp_path / "base"
    export_solver(solver_of(), base)
    before = snapshot(base / "1")
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(base), *MOMENTS],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    *killed, last = (line.split("|") for line in run.stdout.splitlines())
    assert [moment for moment, *_ in killed] == MOMENTS[:-1]
    for moment, status, names in killed:
        assert int(status) == signal.SIGKILL, moment
        staging, version = ast.literal_eval(names)
        assert staging.startswith(STAGING), moment  # it was killed while it wrote
        assert version == "1", moment
    # What the killed left behind is gone, and the next export is whole.
    assert last == ["", "0", "['1', '2']"]
    assert snapshot(base / "1") == before
    assert [x.status for x in verify_export(base / "2")] == ["ok", "ok"]


def snapshot(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# The limit on the size of a file stands for a full disk: the write call fails.
FULL = """
import resource, sys
import eigenfit as ef
from eigenfit_serving.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv = ["eigenfit", "export", *sys.argv[2:]]
main()
"""


@pytest.mark.slow
def test_a_full_disk_gives_one_line_and_no_version(tmp_path):
    size = 60_000  # of the files only saved_model.pb and the warm-up are larger
    base = tmp_path / "models"
    run = subprocess.run(
        [sys.executable, "-c", FULL, str(size), "examples/identity.toml", str(base)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert run.returncode == 2, run.stderr
    lines = [x for x in run.stderr.splitlines() if x and not x.startswith(NOISE)]
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith(f"eigenfit: FOLDER = {base}: cannot be written (")
    assert "File too large" in lines[0]
    assert os.listdir(base) == []


NOISE = ("WARNING: All log messages", "I0000", "W0000")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_full_file_system(tmp_path):
    # As the superuser of a private mount namespace, where that is allowed.
    script = (
        f"mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -m "
        f"eigenfit_serving export examples/identity.toml {tmp_path}/m"
    )
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in run.stderr or "mount:" in run.stderr:
        pytest.skip(f"no private mounts here: {run.stderr.strip()}")
    assert run.returncode == 2, run.stderr
    lines = [x for x in run.stderr.splitlines() if x and not x.startswith(NOISE)]
    assert len(lines) == 1, run.stderr
    assert "No space left on device" in lines[0]


def test_base_path_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        export_solver(solver_of(), tmp_path / "file")
    with pytest.raises(OSError, match=r"sys|proc"):
        export_solver(solver_of(), "/proc/eigenfit")
    assert os.listdir(tmp_path) == ["file"]


def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match=r"`solver` must be an eigenfit\.Solver"):
        export_solver(3, tmp_path / "m")
    for options, words in (
        ({"formats": ["zip"]}, "`formats` must be some of savedmodel, onnx"),
        ({"target": "tpu"}, '`target` must be "cpu" or "gpu", got \'tpu\''),
        ({"max_steps_limit": 0}, "`max_steps_limit` must be positive"),
        ({"warmup_batches": [0]}, "`warmup_batches` must be positive"),
        ({"stablehlo_batches": [1.5]}, "`stablehlo_batches` must be positive"),
    ):
        with pytest.raises(ValueError, match=words):
            export_solver(solver_of(), tmp_path / "m", **options)
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path)


@pytest.mark.parametrize("limit", [0, 2**31, True])
def test_limits_that_an_int32_does_not_hold_are_refused(tmp_path, limit):
    with pytest.raises(ValueError, match="`max_steps_limit` must be"):
        export_solver(solver_of(), tmp_path / "m", max_steps_limit=limit)
    assert not (tmp_path / "m").exists()
