import numpy as np
import pytest
import tensorflow as tf
from tests.serving.server.fakes_life import FakeServable

from eigenfit_serving.protocol.messages import PredictionLog
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.models.loading import WARMUP_FILE, read_logs, run_warmup
from eigenfit_serving.server.options import Options


def log_of(signature):
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    return log.SerializeToString()


def write(folder, records):
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


class Runs:
    def __init__(self):
        self.signatures, self.error = [], None

    def __call__(self, servable, log, options):
        self.signatures.append(log.predict_log.request.model_spec.signature_name)
        if self.error is not None and len(self.signatures) > 1:
            raise self.error


@pytest.fixture
def runs(monkeypatch):
    runs = Runs()
    monkeypatch.setattr("eigenfit_serving.server.models.loading.execute_log", runs)
    return runs


def warm_up(folder, **options):
    servable = FakeServable(str(folder))
    try:
        return Code.OK, run_warmup(servable, Options(**options))
    except ServingError as error:
        return error.code, error.message


def test_requests_run_in_order(tmp_path, runs):
    write(tmp_path, [log_of("a"), log_of("b")])
    assert warm_up(tmp_path, num_request_iterations_for_warmup=2) == (Code.OK, 2)
    assert runs.signatures == ["a", "a", "b", "b"]


def test_no_file_is_no_error(tmp_path, runs):
    assert warm_up(tmp_path) == (Code.OK, 0)
    assert not runs.signatures


def test_a_failing_request_fails_the_load(tmp_path, runs):
    write(tmp_path, [log_of("a"), log_of("b"), log_of("c")])
    runs.error = ServingError(Code.INVALID_ARGUMENT, "wrong shape")
    code, message = warm_up(tmp_path)
    assert (code, message) == (Code.INVALID_ARGUMENT, "wrong shape")
    assert runs.signatures == ["a", "b"]


def test_too_many_requests_fail_the_load(tmp_path, runs):
    path = write(tmp_path, [log_of("a")] * 1001)
    code, message = warm_up(tmp_path)
    assert (code, message) == (
        Code.INVALID_ARGUMENT,
        f"Number of warmup records exceeds the maximum (1000) at {path}",
    )


def test_what_is_no_request_fails_the_load(tmp_path, runs):
    write(tmp_path, [b"\xff\xff\xff"])
    code, message = warm_up(tmp_path)
    assert code is Code.INVALID_ARGUMENT
    assert str(message).startswith("Failed to parse warmup record: ")


@pytest.mark.parametrize("spoil", ["cut", "flip"])
def test_a_damaged_file_fails_the_load(tmp_path, runs, spoil):
    path = write(tmp_path, [log_of("a")])
    data = bytearray(path.read_bytes())
    if spoil == "cut":
        del data[-2:]
    else:
        data[14] ^= 1
    path.write_bytes(data)
    code, message = warm_up(tmp_path)
    assert code is Code.DATA_LOSS
    assert str(message).endswith(
        "Please verify your warmup data is in TFRecord format."
    )


def test_the_requests_of_an_export_are_read(identity):
    logs = list(read_logs(identity / WARMUP_FILE))
    names = {x.predict_log.request.model_spec.signature_name for x in logs}
    assert {"fit", "step", "eigenvalues"} <= names
    sizes = [
        np.prod(
            [
                d.size
                for d in x.predict_log.request.inputs["targets"].tensor_shape.dim[:1]
            ]
        )
        for x in logs
        if "targets" in x.predict_log.request.inputs
    ]
    assert set(sizes) == {1, 8, 64}
