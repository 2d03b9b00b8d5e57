import unittest.mock

import numpy as np
import pytest
from tests.serving.server.fakes_life import FakeServable, context, not_found

from eigenfit_serving.protocol.status import ServingError
from eigenfit_serving.server.models import loading
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.watching.metrics import Metrics


class World:
    def __init__(self, path, **options):
        self.path, self.metrics = str(path), Metrics()
        self.raw = FakeServable(self.path)
        self.warm_error: ServingError | None = None
        self.warmed = []
        self.options = Options(**options)

    def _load(self, path, name, version, options):
        return self.raw

    def _warm_up(self, servable, options):
        self.warmed.append(servable)
        if self.warm_error is not None:
            raise self.warm_error

    def load(self):
        seams = {"load_saved_model": self._load, "run_warmup": self._warm_up}
        with unittest.mock.patch.multiple(loading, **seams):
            return loading.load_version(self.options, self.metrics, self.path, "m", 1)


def test_a_version_is_warmed_up_as_it_will_serve(tmp_path):
    world = World(tmp_path)
    servable = world.load()
    assert world.warmed == [servable]
    assert (servable.name, servable.version, servable.path) == ("m", 1, str(tmp_path))
    assert servable.run("f", {"x": np.ones(1)}, ["y"], context())[0].tolist() == [2.0]
    servable.close()
    assert world.raw.closed == 1


def test_no_warm_up_if_so_wished(tmp_path):
    world = World(tmp_path, enable_model_warmup=False)
    world.load()
    assert world.warmed == []


def test_what_fails_to_warm_up_is_closed(tmp_path):
    world = World(tmp_path)
    world.warm_error = not_found()
    with pytest.raises(ServingError):
        world.load()
    assert world.raw.closed == 1
