from types import SimpleNamespace

import numpy as np
import pytest
from tests.serving.server.fakes_life import FakeServable, context, not_found

from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.loading import Loader
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import ServingError


class World:
    def __init__(self, path, parameters=None, **options):
        self.path, self.metrics = str(path), Metrics()
        self.raw = FakeServable(self.path)
        self.raw.signatures = {
            "fit": SimpleNamespace(
                inputs={"max_steps": SimpleNamespace(name="n:0")}, outputs={}
            )
        }
        self.load_error = self.warm_error = None
        self.warmed = []
        self.loader = Loader(
            Options(**options), self.metrics, parameters, self._load, self._warm_up
        )

    def _load(self, path, name, version, options):
        if self.load_error is not None:
            raise self.load_error
        return self.raw

    def _warm_up(self, servable, options, metrics):
        self.warmed.append(servable)
        if self.warm_error is not None:
            raise self.warm_error

    def load(self):
        return self.loader(self.path, "m", 1)

    def text(self):
        return self.metrics.render().decode()


def test_a_version_is_warmed_up_as_it_will_serve(tmp_path):
    world = World(tmp_path)
    servable = world.load()
    assert world.warmed == [servable]
    assert (servable.name, servable.version, servable.path) == ("m", 1, str(tmp_path))
    assert servable.run({"x:0": np.ones(1)}, ["y:0"], context())[0].tolist() == [2.0]
    assert f'{{model_path="{tmp_path}",status="success"}} 1' in world.text()
    servable.close()
    assert world.raw.closed == 1


def test_no_warm_up_if_so_wished(tmp_path):
    world = World(tmp_path, enable_model_warmup=False)
    world.load()
    assert world.warmed == []


def test_what_fails_to_warm_up_is_closed(tmp_path):
    world = World(tmp_path, BatchingParameters(num_batch_threads=1))
    world.warm_error = not_found()
    with pytest.raises(ServingError):
        world.load()
    assert world.raw.closed == 1


def test_what_fails_to_load_is_counted(tmp_path):
    world = World(tmp_path)
    world.load_error = not_found()
    with pytest.raises(ServingError):
        world.load()
    assert f'{{model_path="{tmp_path}",status="fail"}} 1' in world.text()


def test_wrong_parameters_of_a_model_fail_its_load(tmp_path):
    (tmp_path / "batching_params.pbtxt").write_text("oops")
    options = {"enable_per_model_batching_parameters": True}
    world = World(tmp_path, BatchingParameters(num_batch_threads=1), **options)
    with pytest.raises(ServingError):
        world.load()
    assert world.raw.closed == 1


@pytest.mark.parametrize("is_ours", [True, False])
def test_batches_of_our_models_are_filled_up_with_rows_that_cost_nothing(
    tmp_path, is_ours
):
    if is_ours:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "eigenfit.json").write_text("{}")
    parameters = BatchingParameters(
        2, num_batch_threads=1, allowed_batch_sizes=(2,), batch_timeout_micros=0
    )
    world = World(tmp_path, parameters)
    servable = world.load()
    assert world.loader.queue_depth == 0
    feeds = {"x:0": np.array([3.0]), "n:0": np.array([7])}
    servable.run(feeds, ["y:0"], context())
    assert world.raw.runs[0]["x:0"].tolist() == [3.0, 3.0]
    assert world.raw.runs[0]["n:0"].tolist() == [7, 0 if is_ours else 7]
    servable.close()
