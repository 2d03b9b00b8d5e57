import os
import shutil
import time

import pytest
import tensorflow as tf
from tests.serving.server.fakes_life import Clock, write_version

from eigenfit_serving.server.models.polling import Watcher, is_complete

OLD = 10.0
ABANDONED = 100.0


@pytest.fixture
def clock():
    return Clock(time.time())


@pytest.fixture
def watcher(tmp_path, clock):
    return Watcher("m", tmp_path, clock=clock)


def test_old_complete_versions_count_at_once(tmp_path, watcher, clock):
    write_version(tmp_path, "0007")
    (tmp_path / "notes").mkdir()
    (tmp_path / "8").write_text("a file")
    clock.now += OLD
    assert {n: v.path.name for n, v in watcher.look().items()} == {7: "0007"}


def test_fresh_versions_must_rest_for_one_poll(tmp_path, watcher):
    folder = write_version(tmp_path, 1)
    assert watcher.look() == {}
    assert watcher.is_waiting
    (folder / "saved_model.pb").write_bytes(b"more")
    assert watcher.look() == {}
    assert list(watcher.look()) == [1]
    assert not watcher.is_waiting


def test_a_version_that_counts_stays_until_it_is_gone(tmp_path, watcher, clock):
    folder = write_version(tmp_path, 1)
    clock.now += OLD
    assert list(watcher.look()) == [1]
    clock.now = time.time()
    (folder / "note.txt").write_text("changed")
    (folder / "saved_model.pb").unlink()
    assert list(watcher.look()) == [1]
    os.rename(folder, tmp_path / "gone")
    assert watcher.look() == {}


def test_a_link_to_itself_hides_nothing(tmp_path, watcher, clock):
    write_version(tmp_path, 1)
    (tmp_path / "4").symlink_to("4")
    write_version(tmp_path, 5)
    clock.now += OLD
    assert sorted(watcher.look()) == [1, 5]


def test_who_looks_once_takes_what_is_complete(tmp_path, clock):
    write_version(tmp_path, 1)
    (tmp_path / "2").mkdir()
    assert list(Watcher("m", tmp_path, True, clock).look()) == [1]


@pytest.mark.parametrize(
    "missing",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    ],
)
def test_half_copied_versions_do_not_count(tmp_path, watcher, clock, missing):
    folder = write_version(tmp_path, 1)
    (folder / missing).unlink()
    assert not is_complete(folder)
    clock.now += OLD
    for _ in range(3):
        assert watcher.look() == {}
    (folder / missing).write_bytes(b"here")
    clock.now += OLD
    assert list(watcher.look()) == [1]


@pytest.mark.parametrize("variables", ["none", "empty"])
def test_variables_that_the_graph_restores_are_waited_for(tmp_path, clock, variables):
    source, base = tmp_path / "source", tmp_path / "base"
    module = tf.Module()
    module.x = tf.Variable(1.0)
    tf.saved_model.save(module, str(source))
    (base / "1").mkdir(parents=True)
    shutil.copy(source / "saved_model.pb", base / "1")
    if variables == "empty":
        (base / "1" / "variables").mkdir()
    watcher = Watcher("m", base, clock=clock)
    clock.now += OLD
    for _ in range(3):
        assert watcher.look() == {}
    shutil.copytree(source / "variables", base / "1" / "variables", dirs_exist_ok=True)
    clock.now += OLD
    assert list(watcher.look()) == [1]


def test_a_graph_without_variables_is_complete(tmp_path):
    builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "1"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.constant(1.0)
        builder.add_meta_graph_and_variables(session, ["serve"])
    builder.save()
    shutil.rmtree(tmp_path / "1" / "variables", ignore_errors=True)
    assert is_complete(tmp_path / "1")


def test_an_empty_graph_and_missing_shards_are_incomplete(tmp_path):
    folder = write_version(tmp_path, 1)
    data = folder / "variables" / "variables.data-00000-of-00001"
    data.rename(data.with_name("variables.data-00000-of-00002"))
    assert not is_complete(folder)
    (folder / "variables" / "variables.data-00001-of-00002").touch()
    assert is_complete(folder)
    (folder / "saved_model.pb").write_bytes(b"")
    assert not is_complete(folder)


def test_what_nobody_completes_counts_in_the_end_so_that_its_error_shows(
    tmp_path, watcher, clock
):
    (tmp_path / "3").mkdir()
    assert watcher.look() == {}
    clock.now += ABANDONED
    assert list(watcher.look()) == [3]


def test_a_missing_base_path_tells_nothing(tmp_path, watcher, caplog):
    watcher.base_path = tmp_path / "none"
    assert watcher.look() is None
    assert watcher.look() is None
    assert caplog.messages == [
        f"Could not find base path {tmp_path}/none for servable m with error "
        "No such file or directory"
    ]


def test_a_base_path_without_versions_tells_that_there_are_none(watcher):
    assert watcher.look() == {}


def test_changes_show_once(tmp_path, watcher, clock):
    folder = write_version(tmp_path, 1)
    clock.now += OLD
    version = watcher.look()[1]
    assert not watcher.has_changed(version)
    (folder / "saved_model.pb").write_bytes(b"repaired")
    assert watcher.has_changed(version)
    assert not watcher.has_changed(version)
    (folder / "variables" / "variables.index").unlink()
    assert not watcher.has_changed(version)
    (folder / "variables" / "variables.index").write_bytes(b"index")
    assert watcher.has_changed(version)
