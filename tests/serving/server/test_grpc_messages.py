"""Codes and texts of the gRPC services, asked by TensorFlow Serving's own stubs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tests.serving.server.fakes_grpc import Gate, Models
from tests.serving.server.grpc_models import loaded

from eigenfit_serving.server.grpc.server import GrpcServer
from eigenfit_serving.server.options import Options


@pytest.fixture(scope="module")
def models():
    return Models(loaded("modern"), loaded("classic"), labels={"stable": 3})


@pytest.fixture(scope="module")
def channel(models):
    server = GrpcServer(models, Gate(), Options(port=0))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        yield channel
    server.stop(1)


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def model_service(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


def predict(name="modern", signature="", filters=(), version=None, label=None, **given):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    request.output_filter.extend(filters)
    for key, value in given.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def with_negative_size():
    request = predict(x=ROW)
    request.inputs["x"].tensor_shape.dim[0].size = -1
    return request


ROW = np.float32([[1, 2]])


def assert_refused(call, request, code, text):
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=20)
    assert caught.value.code() is grpc.StatusCode[code], caught.value.details()
    assert text in caught.value.details()


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (predict(""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            predict("absent", x=ROW),
            "NOT_FOUND",
            "Servable not found for request: Latest(absent)",
        ),
        (
            predict(version=9, x=ROW),
            "NOT_FOUND",
            "Servable not found for request: Specific(modern, 9)",
        ),
        (predict(version=0, x=ROW), "NOT_FOUND", "Specific(modern, 0)"),
        (
            predict(label="none", x=ROW),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: none",
        ),
        (
            predict(signature="S", x=ROW),
            "FAILED_PRECONDITION",
            'Serving signature key "S" not found.',
        ),
        (
            predict(signature="two", a=[1]),
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). "
            "Sent extra: {}. Missing but required: {b}.",
        ),
        (
            predict(x=ROW, y=ROW),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1",
        ),
        (
            predict(z=ROW),
            "INVALID_ARGUMENT",
            "Signature input alias: x(feed name: serving_default_x:0) not found in "
            "request and no default value provided.",
        ),
        (
            predict(signature="optional", x=np.float32([1]), z=ROW),
            "INVALID_ARGUMENT",
            "Inputs contains invalid name. Used request inputs: x, request input: x,z",
        ),
        (with_negative_size(), "INVALID_ARGUMENT", "tensor parsing error: x"),
        (
            predict(filters=["Z"], x=ROW),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: Z Outputs expected to be in "
            "the set {sum,y}.",
        ),
        (
            predict(filters=["y", "y"], x=ROW),
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: y",
        ),
        (predict(x=[[b"a", b"b"]]), "INVALID_ARGUMENT", "float but string"),
        (predict(x=np.float64(ROW)), "INVALID_ARGUMENT", "float but double"),
        (predict(x=np.zeros([1, 5], np.float32)), "INVALID_ARGUMENT", ""),
        (predict(signature="checked", x=np.float32([-1])), "INVALID_ARGUMENT", "not"),
    ],
)
def test_predict_refuses(prediction, request_, code, text):
    assert_refused(prediction.Predict, request_, code, text)


def test_predict_answers_with_the_actual_version(prediction):
    for request in (
        predict(x=ROW),
        predict(label="stable", x=ROW),
        predict(version=3, signature="serving_default", x=ROW),
    ):
        answer = prediction.Predict(request, timeout=20)
        assert answer.model_spec.version.value == 3
        assert answer.model_spec.signature_name == "serving_default"
        assert list(answer.outputs["y"].float_val) == [2, 6]
        assert list(answer.outputs["sum"].float_val) == [3]
        assert not answer.outputs["y"].tensor_content


def test_an_input_of_another_length_is_named(prediction):
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(predict(x=np.float32([[1, 2, 3]])), timeout=20)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Input x: expected shape [?,2], got [1,3]."


def test_predict_filters_and_fills_in_defaults(prediction):
    answer = prediction.Predict(predict(filters=["sum"], x=ROW), timeout=20)
    assert list(answer.outputs) == ["sum"]
    request = predict(signature="optional", x=np.float32([3]))
    assert list(prediction.Predict(request, timeout=20).outputs["y"].float_val) == [6]


def test_predict_takes_text_and_half_precision(prediction):
    answer = prediction.Predict(predict(signature="text", s=[b"a", b"\xff"]), timeout=9)
    assert list(answer.outputs["joined"].string_val) == [b"a!", b"\xff!"]
    given = {"h": np.float16([1.5]), "c": np.complex64([1j]), "i": np.uint8([4])}
    answer = prediction.Predict(
        predict(signature="types", b=[True], **given), timeout=9
    )
    found = {k: tf.make_ndarray(x) for k, x in answer.outputs.items()}
    assert found["h"] == np.float16(3)
    assert found["c"] == -1
    assert found["i"] == 5
    assert not found["b"].any()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("Classify", classification_pb2.ClassificationRequest),
        ("Regress", regression_pb2.RegressionRequest),
        ("MultiInference", inference_pb2.MultiInferenceRequest),
    ],
)
def test_what_only_the_real_server_has_is_refused(prediction, method, message):
    request = message()
    with pytest.raises(grpc.RpcError) as caught:
        getattr(prediction, method)(request, timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    for words in (method, "tensorflow_model_server", "eigenfit serve --kind binary"):
        assert words in str(caught.value.details())


def metadata(name="modern", fields=("signature_def",)):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = name
    request.metadata_field.extend(fields)
    return request


def test_metadata(prediction):
    answer = prediction.GetModelMetadata(metadata(), timeout=20)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert found.signature_def["two"].inputs["b"].dtype == tf.float64.as_datatype_enum
    assert answer.model_spec.version.value == 3


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (
            metadata(fields=()),
            "INVALID_ARGUMENT",
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata(fields=["x"]),
            "INVALID_ARGUMENT",
            "Metadata field x is not supported",
        ),
        (metadata("absent"), "NOT_FOUND", "Latest(absent)"),
        (metadata(""), "INVALID_ARGUMENT", ""),
    ],
)
def test_metadata_refuses(prediction, request_, code, text):
    assert_refused(prediction.GetModelMetadata, request_, code, text)


def test_status(model_service):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "modern"
    found = model_service.GetModelStatus(request, timeout=20).model_version_status
    assert [(x.version, x.state) for x in found] == [(3, 30), (0, 50)]
    assert found[1].status.error_message == "It was no model."
    request.model_spec.version.value = 8
    text = "Could not find version 8 of model modern"
    assert_refused(model_service.GetModelStatus, request, "NOT_FOUND", text)
    request.model_spec.name = "absent"
    request.model_spec.ClearField("version_choice")
    text = "Could not find any versions of model absent"
    assert_refused(model_service.GetModelStatus, request, "NOT_FOUND", text)
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert_refused(model_service.GetModelStatus, empty, "INVALID_ARGUMENT", "Missing")


def test_reload(model_service, models):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="m", base_path="/m")
    answer = model_service.HandleReloadConfigRequest(request, timeout=20)
    assert answer.status.error_code == 0
    assert models.configs[-1].model_config_list.config[0].base_path == "/m"


def test_health_and_reflection(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "ModelService", "PredictionService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=9)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    absent = health_pb2.HealthCheckRequest(service="absent")
    assert_refused(health.Check, absent, "NOT_FOUND", "")
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="tensorflow.serving.PredictRequest"
        ),
    ]
    listed, file = reflection.ServerReflectionInfo(iter(asked), timeout=20)
    names = {x.name for x in listed.list_services_response.service}
    assert "tensorflow.serving.PredictionService" in names
    assert file.file_descriptor_response.file_descriptor_proto


def test_a_deadline_reaches_the_model(prediction):
    request = predict(signature="count", n=np.int32([2**31 - 1]))
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(request, timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # The next one does not wait behind it.
    assert prediction.Predict(predict(x=ROW), timeout=20).outputs


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": 1, "tensor_shape": {"dim": [{"size": 2**40}]}, "float_val": [1]},
        {"dtype": 1, "tensor_shape": {"dim": [{"size": 2**31}, {"size": 2**31}]}},
        {"dtype": 1, "tensor_shape": {"dim": [{"size": -1}]}, "float_val": [1]},
        {"dtype": 1, "tensor_shape": {"unknown_rank": True}},
        {"dtype": 1, "tensor_shape": {"dim": [{"size": 3}]}, "tensor_content": b"abc"},
        {"dtype": 1, "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [1, 2, 3]},
        {"dtype": 999},
        {"dtype": 0},
        {"dtype": 20},
        {"dtype": 7, "tensor_shape": {"dim": [{"size": 9}]}, "tensor_content": b"\xff"},
        {"dtype": 1, "tensor_shape": {"dim": [{"size": 1}] * 300}, "float_val": [1]},
    ],
)
def test_hostile_tensors_are_refused(prediction, tensor):
    request = predict()
    request.inputs["x"].CopyFrom(TensorProto(**tensor))
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(request, timeout=20)
    known = ("INVALID_ARGUMENT", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED")
    assert caught.value.code().name in known, caught.value
    assert prediction.Predict(predict(x=ROW), timeout=20).outputs


def test_bytes_that_are_no_message_are_refused(channel):
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    for junk in (b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x00"):
        with pytest.raises(grpc.RpcError) as caught:
            call(junk, timeout=9)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_long_messages_are_cut(prediction):
    with pytest.raises(grpc.RpcError) as caught:
        prediction.Predict(predict("x" * 2000), timeout=20)
    whole = "Servable not found for request: Latest(" + "x" * 2000
    assert caught.value.details() == whole[:1024] + "...TRUNCATED"


def test_the_profiler_is_refused(channel):
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/tensorflow.ProfilerService/Monitor")(b"", timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "Monitor is not served here" in str(caught.value.details())


def test_a_socket_instead_of_a_port(models, tmp_path):
    path = str(tmp_path / "socket")
    server = GrpcServer(models, Gate(), Options(grpc_socket_path=path), has_tcp=False)
    assert server.start() == 0
    with grpc.insecure_channel(f"unix:{path}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert stub.Predict(predict(x=ROW), timeout=20).outputs
    server.stop(1)


def test_the_health_check_can_be_watched_and_listed(models):
    gate = Gate()
    server = GrpcServer(models, gate, Options(port=0))
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        health, asked = (
            health_pb2_grpc.HealthStub(channel),
            health_pb2.HealthCheckRequest,
        )
        known, absent = (health.Watch(asked(service=x), timeout=20) for x in ("", "x"))
        assert next(absent).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert next(known).status == health_pb2.HealthCheckResponse.SERVING
        gate.draining = True
        assert next(known).status == health_pb2.HealthCheckResponse.NOT_SERVING
        call = channel.unary_unary("/grpc.health.v1.Health/List")
        assert call(b"", timeout=20).count(b"PredictionService") == 2
        server.stop(5)
        assert list(known) == []
