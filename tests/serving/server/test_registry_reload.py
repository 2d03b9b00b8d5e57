import threading

import pytest
from tests.serving.server.fakes_life import Later, not_found, write_version
from tests.serving.server.test_registry import World, refusal

from eigenfit_serving.protocol.messages import ModelServerConfig
from eigenfit_serving.protocol.status import Code


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path, max_num_load_retries=0)
    write_version(tmp_path / "m", 1)
    write_version(tmp_path / "m", 2)
    write_version(tmp_path / "n", 1)
    world.start("m")
    assert world.registry.check_started()
    return world


def test_a_reload_replaces_all_models_and_waits_for_new_ones(world):
    world.registry.reload(world.config("n"))
    assert world.registry.names() == ["n"]
    assert world.states("n") == {1: "AVAILABLE"}
    world.tick()
    assert world.states("m") == {2: "END"}


def test_an_empty_list_unloads_everything(world):
    world.registry.reload(world.config())
    world.tick()
    assert world.registry.names() == []
    assert world.states("m") == {2: "END"}


@pytest.mark.parametrize("change", ["custom", "nothing"])
def test_only_lists_of_models_are_taken(world, change):
    config = ModelServerConfig()
    if change == "custom":
        config.custom_model_config.SetInParent()
    assert refusal(world.registry.reload, config) == (
        Code.INVALID_ARGUMENT,
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
        "ModelConfigList is currently supported",
    )
    assert world.version() == 2


def test_a_wrong_list_changes_nothing(world):
    assert refusal(world.registry.reload, world.config("n", "n")) == (
        Code.INVALID_ARGUMENT,
        "Illegal to list model n multiple times in config list",
    )
    changed = world.config("m")
    changed.model_config_list.config[0].model_platform = "other"
    assert refusal(world.registry.reload, changed) == (
        Code.INVALID_ARGUMENT,
        "Illegal to change a model's platform. For model m platform was tensorflow "
        "and new platform requested is other",
    )
    added = world.config("m", "n")
    added.model_config_list.config[1].model_platform = "other"
    assert refusal(world.registry.reload, added) == (
        Code.FAILED_PRECONDITION,
        "PlatformConfigMap has no entry for platform other",
    )
    assert world.registry.names() == ["m"]
    world.tick()
    assert world.version() == 2


def test_a_new_model_that_cannot_be_loaded_is_told(world):
    world.loader.bad["n", 1] = not_found("no such tags")
    assert refusal(world.registry.reload, world.config("m", "n")) == (
        Code.UNKNOWN,
        "1 model(s) did not become available: {{{name: n version: 1} due to error: "
        "NOT_FOUND: no such tags}, }",
    )
    assert world.version() == 2


def test_a_new_model_without_versions_is_told(world):
    code, message = refusal(world.registry.reload, world.config("m", "none"))
    assert code is Code.NOT_FOUND
    assert message.startswith("No versions of servable none found under base path")


def test_the_platform_of_a_model_stays(world):
    changed = world.config("m")
    changed.model_config_list.config[0].ClearField("model_platform")
    assert refusal(world.registry.reload, changed)[0] is Code.INVALID_ARGUMENT


def test_labels_lead_to_versions_and_move(world):
    both = {"policy": [1, 2]}
    world.registry.reload(world.config("m", **both, labels={"stable": 1, "canary": 2}))
    assert world.version(label="stable") == 1
    assert world.version(label="canary") == 2
    world.registry.reload(world.config("m", **both, labels={"stable": 2}))
    assert world.version(label="stable") == 2
    assert refusal(lambda: world.version(label="canary"))[1] == (
        "Unrecognized servable version label: canary"
    )


def test_labels_need_versions_that_serve(world):
    text = (
        "Request to assign label to version 9 of model m, which is not currently "
        "available for inference"
    )
    wrong = world.config("m", policy=[1, 2], labels={"stable": 9})
    assert refusal(world.registry.reload, wrong) == (Code.FAILED_PRECONDITION, text)
    world.tick()
    assert world.states() == {2: "AVAILABLE"}


def test_labels_of_versions_that_fail_are_refused(world, tmp_path):
    write_version(tmp_path / "m", 5)
    world.loader.bad["m", 5] = not_found()
    wrong = world.config("m", policy="all", labels={"next": 5})
    assert refusal(world.registry.reload, wrong)[0] is Code.FAILED_PRECONDITION
    assert world.version() == 2


def test_new_labels_for_versions_to_come_if_so_wished(tmp_path):
    world = World(tmp_path, allow_version_labels_for_unavailable_models=True)
    write_version(tmp_path / "m", 1)
    world.start("m", labels={"next": 2, "now": 1})
    assert world.registry.check_started()
    assert refusal(lambda: world.version(label="next")) == (
        Code.NOT_FOUND,
        "Servable not found for request: Specific(m, 2)",
    )
    moved = world.config("m", labels={"next": 2, "now": 3})
    assert refusal(world.registry.reload, moved)[0] is Code.FAILED_PRECONDITION
    assert world.version(label="now") == 1
    write_version(tmp_path / "m", 2)
    world.tick()
    assert world.version(label="next") == 2


def test_labels_of_the_first_configuration(tmp_path):
    world = World(tmp_path)
    write_version(tmp_path / "m", 1)
    world.start("m", labels={"stable": 1})
    assert world.registry.check_started()
    assert world.version(label="stable") == 1
    other = World(tmp_path)
    other.start("m", labels={"stable": 7})
    assert refusal(other.registry.check_started)[0] is Code.FAILED_PRECONDITION


def test_labels_at_the_start_wait_for_their_versions(tmp_path):
    later = Later()
    world = World(tmp_path, later)
    write_version(tmp_path / "m", 1)
    write_version(tmp_path / "m", 2)
    world.start("m", policy="all", labels={"stable": 1, "next": 2})
    assert len(later.work) == 2
    later.work.pop()()
    world.tick()
    assert sorted(world.states().values()) == ["AVAILABLE", "LOADING"]
    assert not world.registry.check_started()
    later.run()
    world.tick()
    assert world.registry.check_started()
    assert (world.version(label="stable"), world.version(label="next")) == (1, 2)


def test_a_bad_model_at_the_start(tmp_path):
    error = (
        Code.UNKNOWN,
        "1 servable(s) did not become available: {{{name: m version: 1} due to error: "
        "NOT_FOUND: no such tags}, }",
    )
    worlds = [
        World(tmp_path, max_num_load_retries=0, strict_startup=strict)
        for strict in (False, True)
    ]
    write_version(tmp_path / "m", 1)
    write_version(tmp_path / "n", 1)
    for world in worlds:
        world.loader.bad["m", 1] = not_found("no such tags")
    worlds[0].start("m")
    assert refusal(worlds[0].registry.check_started) == error
    worlds[1].start("m", "n")
    assert refusal(worlds[1].registry.check_started) == error
    lenient = World(tmp_path, max_num_load_retries=0)
    lenient.loader.bad["m", 1] = not_found("no such tags")
    lenient.start("m", "n")
    assert lenient.registry.check_started()


def test_ports_stay_closed_while_a_first_load_goes_on(tmp_path):
    world = World(tmp_path)
    world.start("m")
    assert not world.registry.check_started()
    write_version(tmp_path / "m", 1)
    world.loader.bad["m", 1] = not_found()
    world.tick()
    assert not world.registry.check_started()
    world.loader.bad.clear()
    world.tick(60.0)
    assert world.registry.check_started()


def test_a_strict_start_waits_for_every_model(tmp_path):
    lenient, strict = World(tmp_path), World(tmp_path, strict_startup=True)
    write_version(tmp_path / "m", 1)
    for world in (lenient, strict):
        world.start("m", "empty")
    assert lenient.registry.check_started()
    assert not strict.registry.check_started()


def test_closing_ends_a_reload(tmp_path, world):
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "1").mkdir()
    world.files.now -= 50
    errors = []

    def reload():
        errors.append(refusal(world.registry.reload, world.config("m", "slow")))

    thread = threading.Thread(target=reload)
    thread.start()
    world.registry.manager.close()
    thread.join(10)
    assert errors == [(Code.UNAVAILABLE, "The server is shutting down.")]
