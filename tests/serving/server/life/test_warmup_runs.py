"""Warm-up through the whole loader, with models that TensorFlow runs."""

import re
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf

from eigenfit_serving.protocol.messages import PredictionLog
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.protocol.tensors import from_array
from eigenfit_serving.server.models.loading import WARMUP_FILE, load_version
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.executor import SavedModel
from eigenfit_serving.server.watching.metrics import Metrics


class Twice(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(self, x):
        return {"y": tf.debugging.check_numerics(x, "x") * 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples") / "1"
    module = Twice()
    tf.saved_model.save(module, str(folder), {"predict": module.predict})
    return folder


def predict_log(*values):
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "predict"
    request.inputs["x"].CopyFrom(from_array(np.array(values, np.float32)))
    return log


def classify_log():
    log = PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classify"
    return log


def session_log():
    log = PredictionLog()
    log.session_run_log.SetInParent()
    return log


def load(folder, *logs):
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    runs = []

    class Counted(SavedModel):
        def run(self, signature, inputs, outputs, context):
            runs.append(signature)
            return super().run(signature, inputs, outputs, context)

    name = "eigenfit_serving.server.models.loading.load_saved_model"
    with unittest.mock.patch(name, Counted):
        load_version(Options(), Metrics(), str(folder), "m", 1).close()
    return runs


def test_requests_are_run_but_for_those_of_the_real_server(folder, caplog):
    logs = (predict_log(1, 2), classify_log(), predict_log(3))
    assert load(folder, *logs) == ["predict"] * 2
    assert "classify_log is not served here" in caplog.text


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (predict_log(1, float("nan")), Code.INVALID_ARGUMENT),
        (session_log(), Code.UNIMPLEMENTED),
        (PredictionLog(), Code.UNIMPLEMENTED),
    ],
)
def test_a_request_that_fails_fails_the_load(folder, log, code):
    with pytest.raises(ServingError) as caught:
        load(folder, predict_log(1), log)
    assert caught.value.code is code


def test_a_tensor_that_is_none_fails_the_load(folder):
    log = predict_log(1)
    log.predict_log.request.inputs["x"].tensor_content = b"123"
    with pytest.raises(ServingError) as caught:
        load(folder, log)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_an_export_warms_up(identity, caplog):
    caplog.set_level("INFO")
    metrics = Metrics()
    load_version(Options(), metrics, str(identity), "identity", 1).close()
    [count] = re.findall(r"Number of warmup records read: (\d+)\.", caplog.text)
    assert int(count) >= 24
    assert "eigenfit_rows_total{" not in metrics.render().decode()
