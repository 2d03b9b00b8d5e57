import threading
import time

import pytest
from tests.serving.server.fakes_life import (
    Clock,
    FakeLoader,
    FakeServable,
    Inline,
    Later,
    not_found,
    write_version,
)

from eigenfit_serving.protocol.messages import ModelServerConfig, ModelVersionStatus
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import ModelSpec
from eigenfit_serving.server.models.manager import Manager
from eigenfit_serving.server.models.registry import Registry
from eigenfit_serving.server.options import Options


class World:
    """A registry whose time and threads are in the hands of the test."""

    def __init__(self, home, executor=None, **options):
        self.home = home
        self.clock = Clock()
        self.files = Clock(time.time() + 50)  # all files are old
        self.loader = FakeLoader()
        self.executor = executor or Inline()
        self.registry = Registry(
            Options(**options),
            Manager(
                Options(**options),
                self.loader,
                self.executor,
                self.clock,
                self.files,
            ),
        )

    def config(self, *names, policy="", labels=None):
        config = ModelServerConfig()
        config.model_config_list.SetInParent()
        for name in names:
            entry = config.model_config_list.config.add(
                name=name, base_path=str(self.home / name), model_platform="tensorflow"
            )
            if policy == "all":
                entry.model_version_policy.all.SetInParent()
            elif policy:
                entry.model_version_policy.specific.versions.extend(policy)
            entry.version_labels.update(labels or {})
        return config

    def start(self, *names, **details):
        for name in names:
            (self.home / name).mkdir(exist_ok=True)
        self.registry.start(self.config(*names, **details), runs_thread=False)
        self.registry.manager.tick()

    def tick(self, seconds=1.0):
        self.clock.now += seconds
        self.registry.manager.tick()
        self.registry.manager.tick()

    def states(self, name="m"):
        found = self.registry.status(name)
        return {x.version: ModelVersionStatus.State.Name(x.state) for x in found}

    def version(self, **spec):
        with self.registry.acquire(ModelSpec("m", **spec)) as servable:
            return servable.version


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def refusal(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


def acquire(registry, **spec):
    with registry.acquire(ModelSpec(**spec)):
        pass


def test_the_newest_version_serves(tmp_path, world):
    write_version(tmp_path / "m", 1)
    write_version(tmp_path / "m", 2)
    world.start("m")
    assert world.registry.check_started()
    assert world.states() == {2: "AVAILABLE"}
    assert world.version() == 2
    assert world.registry.names() == ["m"]


def test_what_is_not_there_is_named(tmp_path, world):
    write_version(tmp_path / "m", 1)
    world.start("m")
    registry = world.registry

    def asked(**spec):
        return refusal(lambda: acquire(registry, **spec))

    missing = "Servable not found for request: "
    assert asked(name="x") == (Code.NOT_FOUND, missing + "Latest(x)")
    assert asked(name="m", version=5) == (Code.NOT_FOUND, missing + "Specific(m, 5)")
    assert asked(name="m", version=0) == (Code.NOT_FOUND, missing + "Specific(m, 0)")
    assert asked(name="m", label="L") == (
        Code.INVALID_ARGUMENT,
        "Unrecognized servable version label: L",
    )
    assert asked(name="") == (
        Code.INVALID_ARGUMENT,
        "ModelSpec has no name specified.",
    )
    assert refusal(registry.status, "x") == (
        Code.NOT_FOUND,
        "Could not find any versions of model x",
    )
    assert refusal(registry.status, "m", 9) == (
        Code.NOT_FOUND,
        "Could not find version 9 of model m",
    )


def test_states_come_in_order_and_the_old_version_goes_last(tmp_path):
    executor = Later()
    world = World(tmp_path, executor)
    write_version(tmp_path / "m", 1)
    world.start("m")
    assert world.states() == {1: "LOADING"}
    executor.run()
    assert world.states() == {1: "AVAILABLE"}
    write_version(tmp_path / "m", 2)
    world.tick()
    assert world.states() == {2: "LOADING", 1: "AVAILABLE"}
    assert world.version() == 1
    executor.run()
    assert world.states() == {2: "AVAILABLE", 1: "AVAILABLE"}
    assert world.version() == 2
    world.tick()
    assert world.states() == {2: "AVAILABLE", 1: "UNLOADING"}
    executor.run()
    assert world.states() == {2: "AVAILABLE", 1: "END"}
    [old] = world.loader.loaded["m", 1]
    assert old.closed == 1


def test_a_version_in_use_is_closed_by_its_last_user(tmp_path, world):
    write_version(tmp_path / "m", 1)
    world.start("m")
    spec = ModelSpec("m")
    first, second = world.registry.acquire(spec), world.registry.acquire(spec)
    servable = first.__enter__()
    second.__enter__()
    write_version(tmp_path / "m", 2)
    world.tick()
    assert world.states() == {2: "AVAILABLE", 1: "UNLOADING"}
    assert world.version() == 2
    assert refusal(lambda: acquire(world.registry, name="m", version=1))[0] is (
        Code.NOT_FOUND
    )
    first.__exit__(None, None, None)
    assert not servable.closed
    second.__exit__(None, None, None)
    assert servable.closed == 1
    assert world.states()[1] == "END"


def test_a_bad_version_ends_with_its_error_while_the_old_one_serves(tmp_path):
    world = World(tmp_path, max_num_load_retries=2, load_retry_interval_micros=5e6)
    write_version(tmp_path / "m", 1)
    world.start("m")
    world.loader.bad["m", 2] = not_found("no such tags")
    write_version(tmp_path / "m", 2)
    world.tick()
    for _ in range(2):
        assert world.states() == {2: "LOADING", 1: "AVAILABLE"}
        calls = len(world.loader.calls)
        world.tick(1.0)
        assert len(world.loader.calls) == calls
        world.tick(5.0)
        assert len(world.loader.calls) == calls + 1
    newest = world.registry.status("m")[0]
    assert (newest.version, newest.state) == (2, ModelVersionStatus.END)
    assert newest.status.error_code == Code.NOT_FOUND
    assert newest.status.error_message == "no such tags"
    assert world.states()[1] == "AVAILABLE"
    assert world.version() == 1
    world.tick(500.0)
    assert world.loader.calls.count(("m", 2)) == 3
    write_version(tmp_path / "m", 3)
    world.tick()
    assert world.version() == 3
    assert world.states() == {3: "AVAILABLE", 2: "END", 1: "END"}


def test_a_bad_version_is_tried_again_when_its_files_change(tmp_path):
    world = World(tmp_path, max_num_load_retries=0)
    folder = write_version(tmp_path / "m", 1)
    world.loader.bad["m", 1] = not_found()
    world.start("m")
    assert world.states() == {1: "END"}
    world.tick()
    assert len(world.loader.calls) == 1
    world.loader.bad.clear()
    (folder / "saved_model.pb").write_bytes(b"repaired")
    world.tick()
    assert world.states() == {1: "AVAILABLE"}


def test_an_unexpected_error_ends_a_version_too(tmp_path):
    world = World(tmp_path, max_num_load_retries=0)
    write_version(tmp_path / "m", 1)
    world.loader.bad["m", 1] = KeyError("oops")
    world.start("m")
    status = world.registry.status("m")[0].status
    assert status.error_code == Code.INTERNAL
    assert status.error_message == "KeyError: 'oops'"


def test_a_base_path_without_versions_unloads_all_and_a_missing_one_none(
    tmp_path, world
):
    folder = write_version(tmp_path / "m", 1)
    world.start("m")
    (tmp_path / "m").rename(tmp_path / "away")
    world.tick()
    assert world.states() == {1: "AVAILABLE"}
    (tmp_path / "away").rename(tmp_path / "m")
    folder.rename(tmp_path / "1")
    world.tick()
    assert world.states() == {1: "END"}
    (tmp_path / "1").rename(folder)
    world.tick()
    assert world.states() == {1: "AVAILABLE"}


def test_a_missing_base_path_does_not_stop_other_models(tmp_path, world):
    world.start("a", "m")
    (tmp_path / "a").rmdir()
    write_version(tmp_path / "m", 4)
    world.tick()
    assert world.version() == 4
    assert world.registry.check_started()


def test_all_and_specific_versions(tmp_path, world):
    for number in (1, 2, 3):
        write_version(tmp_path / "m", number)
    world.start("m", policy="all")
    assert world.states() == dict.fromkeys((3, 2, 1), "AVAILABLE")
    assert world.loader.calls == [("m", 3), ("m", 2), ("m", 1)]
    world.registry.reload(world.config("m", policy=[1, 2, 8]))
    world.tick()
    assert world.states() == {3: "END", 2: "AVAILABLE", 1: "AVAILABLE"}
    assert world.version() == 2
    assert world.version(version=1) == 1


def test_folders_are_read_once_if_so_wished(tmp_path):
    world = World(tmp_path, file_system_poll_wait_seconds=0)
    write_version(tmp_path / "m", 1)
    world.start("m")
    write_version(tmp_path / "m", 2)
    world.tick(100)
    assert world.states() == {1: "AVAILABLE"}


def test_threads_of_its_own_load_and_switch(tmp_path):
    write_version(tmp_path / "m", 1)
    loader = FakeLoader()
    options = Options(file_system_poll_wait_seconds=1)
    registry = Registry(options, Manager(options, loader, file_clock=lambda: 4e9))
    config = World(tmp_path).config("m")
    registry.start(config)
    end = time.monotonic() + 10
    while not registry.check_started():
        registry.wait_changed(0.05)
        assert time.monotonic() < end
    failures, seen = [], []
    stop = threading.Event()

    def call():
        while not stop.is_set():
            try:
                with registry.acquire(ModelSpec("m")) as servable:
                    assert isinstance(servable, FakeServable)
                    assert not servable.closed
                    seen.append(servable.version)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    write_version(tmp_path / "m", 2)
    while registry.status("m")[-1].state != ModelVersionStatus.END:
        registry.wait_changed(0.05)
        assert time.monotonic() < end
    stop.set()
    for thread in threads:
        thread.join()
    registry.manager.close()
    assert not failures
    assert seen[-1] == 2
    assert [x.closed for x in loader.loaded["m", 2]] == [1]
    assert refusal(lambda: acquire(registry, name="m"))[0] is Code.NOT_FOUND
