"""SavedModels behind the REST API, with all that is between."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tests.export import chromium
from tests.export.conftest import gallery_solver
from tests.serving.server.rest_fakes import FakeModels, running

from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.executor import SavedModel
from eigenfit_serving.server.running.predict import predict


class Plain(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half_plus_two(self, x):
        return {"y": x / 2 + 2}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.float64, "a"),
            tf.TensorSpec([None], tf.int32, "b"),
        ]
    )
    def both(self, a, b):
        return {"total": tf.reduce_sum(a, 1) + tf.cast(b, a.dtype), "b": b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "s")])
    def text(self, s):
        return {"out": s, "out_bytes": s}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "s")])
    def one(self, s):
        return {"out": s}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half(self, x):
        return {"y": tf.cast(x, tf.float16)}


@pytest.fixture(scope="module")
def servable(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("plain") / "1")
    module = Plain()
    names = ("both", "text", "one", "half")
    signatures = {name: getattr(module, name) for name in names}
    signatures["serving_default"] = module.half_plus_two
    tf.saved_model.save(module, folder, signatures)
    servable = SavedModel(folder, "plain", 1, Options())
    yield servable
    servable.close()


@pytest.fixture(scope="module")
def client(servable):
    models = FakeModels([servable])
    with running(models, runner=predict, max_elements=1000) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "body", "text"),
    [
        ("predict", '{"instances": [1, 2.5]}', '{"predictions":[2.5,3.25]}'),
        ("predict", '{"inputs": {"x": [NaN]}}', '{"outputs":[NaN]}'),
        (
            "predict",
            '{"signature_name": "both", "instances": [{"a": [1, 2], "b": 3}]}',
            '{"predictions":[{"b":3,"total":6.0}]}',
        ),
        (
            "predict",
            '{"signature_name": "text", "inputs": [{"b64": "aGVsbG8="}]}',
            '{"outputs":{"out":["hello"],"out_bytes":[{"b64":"aGVsbG8="}]}}',
        ),
        (
            "predict",
            '{"signature_name": "one", "inputs": "hello"}',
            '{"outputs":"hello"}',
        ),
    ],
)
def test_answer(client, method, body, text):
    answer = client("POST", f"/v1/models/plain:{method}", body)
    assert (answer.status, answer.text) == (200, text)


@pytest.mark.parametrize(
    ("method", "body", "status", "message"),
    [
        (
            *("predict", '{"signature_name": "half", "instances": [1]}', 400),
            "Failed to write JSON value for tensor type: half",
        ),
        (
            "predict",
            '{"signature_name": "nope", "instances": [1]}',
            400,
            "not found in",
        ),
        ("predict", '{"instances": ["a"]}', 400, "is not of expected type: float"),
        (
            *("predict", json.dumps({"instances": [1] * 1001}), 400),
            "over the limit of 1000 (--max_elements)",
        ),
        ("regress", '{"examples": [{"x": 1.0}]}', 501, "--kind docker"),
        ("classify", '{"examples": [{"x": 1.0}]}', 501, "tensorflow_model_server"),
    ],
)
def test_error(client, method, body, status, message):
    answer = client("POST", f"/v1/models/plain:{method}", body)
    assert answer.status == status
    assert message in json.loads(answer.body)["error"]


def test_metadata(client):
    found = json.loads(client("GET", "/v1/models/plain/metadata").body)
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "both", "half"} <= set(signatures)
    x = signatures["serving_default"]["inputs"]["x"]
    assert x["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    assert x["dtype"] == "DT_FLOAT"
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"


@pytest.mark.slow
def test_page_fits_with_an_exported_solver(tmp_path):
    if chromium.executable() is None:
        pytest.skip("no Chromium is installed")
    from eigenfit_export import export_solver

    path = export_solver(
        gallery_solver("fno-additive"), tmp_path / "fno", ("savedmodel",)
    )
    servable = SavedModel(str(path), "fno", 1, Options())
    with (
        running(FakeModels([servable]), runner=predict, page=True) as client,
        chromium.browse("1280,1200") as page,
    ):
        page.open(f"http://127.0.0.1:{client.port}/")
        kind = "document.getElementById('badge')?.dataset.kind"
        page.wait_for(f"{kind} === 'idle' && !document.getElementById('run').disabled")
        page.evaluate("document.getElementById('form').requestSubmit()")
        page.wait_for(f"!['idle', 'running'].includes({kind})", 120)
        order = np.sqrt(page.evaluate("document.querySelectorAll('#heat rect').length"))
        assert order == int(order) > 1
        badge = page.evaluate("document.getElementById('badge').textContent")
        assert badge in ("converged", "stationary", "stalled")
    servable.close()
