from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tests.serving.server.fakes_life import FakeServable, context

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import WARMUP
from eigenfit_serving.server.models.loading import MeasuredServable
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.executor import SavedModel
from eigenfit_serving.server.watching.metrics import Metrics


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("fixture", "compiled"),
    [("doubling", {"nested", "xla"}), ("identity", {"fit_xla"})],
)
def test_compiled_signatures_are_found(request, fixture, compiled):
    folder = request.getfixturevalue(fixture)
    model = SavedModel(str(folder), "m", 1, Options())
    assert model.compiled == compiled
    model.close()


def run(servable, rows, signature="plain", outputs=("y",), **details):
    request = context(**details)
    inputs = {"x": np.ones((rows, 2), np.float32)}
    servable.run(signature, inputs, list(outputs), request)
    return request


class XlaServable(FakeServable):
    def __init__(self):
        super().__init__()
        self.compiled = frozenset({"xla"})


def test_compiled_shapes_are_counted_and_limited():
    metrics, inner = Metrics(), XlaServable()
    servable = MeasuredServable(inner, metrics, max_shapes=2)
    for rows in (1, 2, 1, 2, 2):
        run(servable, rows, "xla")
    name = b"eigenfit_compilation_seconds_count"
    assert name + b'{model_name="m"} 2.0' in metrics.render()
    with pytest.raises(ServingError) as caught:
        run(servable, 3, "xla")
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.message == (
        "Model m would have to be compiled for the shapes x [3, 2], but was compiled "
        "for 2 already, and at most 2 are allowed (max_compiled_shapes). Use shapes "
        "that were used before, or a signature that is not compiled."
    )
    run(servable, 1, "xla")
    for rows in range(9):
        run(servable, rows)


@pytest.mark.parametrize("is_ours", [True, False])
def test_results_of_fits_are_counted(tmp_path, is_ours):
    if is_ours:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "eigenfit.json").write_text("{}")
    inner = FakeServable(str(tmp_path))
    inner.run = lambda signature, inputs, outputs, context: [
        np.array([1, 2]) for _ in outputs
    ]
    metrics = Metrics()
    servable = MeasuredServable(inner, metrics)
    run(servable, 2, "fit", ["other", "result"])
    run(servable, 2, "fit", ["other"])
    warm = SimpleNamespace(entrypoint=WARMUP)
    servable.run("fit", {"x": np.ones(2)}, ["result"], warm)
    text = metrics.render().decode()
    count = 'eigenfit_rows_total{model_name="m",result="2"} 1.0'
    assert (count in text) is is_ours


def test_fixtures_hold_what_their_names_say(doubling):
    model = tf.saved_model.load(str(doubling))
    found = model.signatures["xla"](x=tf.ones([1, 2]))["y"]
    assert found.numpy().tolist() == [[2.0, 2.0]]
