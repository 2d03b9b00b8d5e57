"""Clients that were written for other servers call ours, unchanged."""

import json
import shutil
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest

import eigenfit as ef
import eigenfit_serving
from eigenfit_export import save_model

START = np.array([[0.1, 0.9, 0.0, 0.2, 0.8, 0.5]])
TARGETS = np.array([[1.0, 2.0, 4.0]])


@pytest.fixture(scope="module")
def solver():
    return ef.Solver(ef.Problem(ef.Symmetric(3)), ef.LevenbergMarquardt())


@pytest.fixture(scope="module")
def folder(tmp_path_factory, solver):
    folder = tmp_path_factory.mktemp("models") / "symmetric"
    save_model(solver, folder, warmup_batches=())
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with eigenfit_serving.serve(
        folder, kind="embedded", port=0, rest_port=0, timeout=120
    ) as server:
        yield server


@pytest.fixture(scope="module")
def expected(solver):
    return solver.fit(START, TARGETS, tolerance=1e-10)


def inputs():
    return {
        "initial": START,
        "targets": TARGETS,
        "tolerance": np.array([1e-10]),
        "max_steps": np.array([100], np.int32),
    }


def check(outputs, expected):
    for name in ("parameters", "matrix", "eigenvalues", "num_steps", "result"):
        np.testing.assert_allclose(
            outputs[name], getattr(expected, name), rtol=1e-12, atol=1e-12
        )


def test_stubs_of_tensorflow_serving(server, expected):
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "symmetric"
        for name, array in inputs().items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
        response = prediction.Predict(request, timeout=60)
        assert response.model_spec.version.value == 1
        assert response.model_spec.signature_name == "serving_default"
        check({k: tf.make_ndarray(x) for k, x in response.outputs.items()}, expected)
        assert len(response.outputs["parameters"].double_val) == 6

        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = "symmetric"
        request.metadata_field.append("signature_def")
        found = prediction.GetModelMetadata(request, timeout=60)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        assert found.metadata["signature_def"].Unpack(definitions)
        info = definitions.signature_def["fit"].inputs["initial"]
        assert info.dtype == tf.float64.as_datatype_enum
        assert [dim.size for dim in info.tensor_shape.dim] == [-1, 6]

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "symmetric"
        status = model_service_pb2_grpc.ModelServiceStub(channel)
        [version] = status.GetModelStatus(request, timeout=60).model_version_status
        assert (version.version, version.state) == (1, 30)

        request.model_spec.name = "missing"
        with pytest.raises(grpc.RpcError) as error:
            status.GetModelStatus(request, timeout=60)
        assert error.value.code() == grpc.StatusCode.NOT_FOUND


# Its messages have the names of those of tensorflow-serving-api: a process of its own.
OVMS = """
import json, sys
import numpy as np
import ovmsclient
grpc_port, rest_port, arrays = sys.argv[1:]
inputs = {name: np.array(x) for name, x in json.loads(arrays).items()}
inputs["max_steps"] = inputs["max_steps"].astype(np.int32)
answers = []
for make, port in (
    (ovmsclient.make_grpc_client, grpc_port), (ovmsclient.make_http_client, rest_port)
):
    client = make(f"localhost:{port}")
    status = client.get_model_status("symmetric", model_version=1)
    metadata = client.get_model_metadata("symmetric", model_version=1)
    if "metadata" in metadata:  # over REST it knows the names of another server
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        info = signatures["serving_default"]["inputs"]["initial"]
        shape = [int(dim["size"]) for dim in info["tensor_shape"]["dim"]]
        metadata = {"inputs": {"initial": {"dtype": info["dtype"], "shape": shape}}}
    outputs = client.predict(inputs, "symmetric", model_version=1)
    answers.append({
        "state": status[1]["state"],
        "dtype": metadata["inputs"]["initial"]["dtype"],
        "shape": metadata["inputs"]["initial"]["shape"],
        "outputs": {name: np.asarray(x).tolist() for name, x in outputs.items()},
    })
print(json.dumps(answers))
"""


def test_ovmsclient_with_an_explicit_version(server, expected):
    pytest.importorskip("ovmsclient")
    arrays = json.dumps({name: x.tolist() for name, x in inputs().items()})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            OVMS,
            str(server.port),
            str(server.rest_port),
            arrays,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == 2
    for answer in answers:
        assert answer["state"] == "AVAILABLE"
        assert answer["dtype"] == "DT_DOUBLE"
        assert answer["shape"] == [-1, 6]
        check(answer["outputs"], expected)


def curl(*arguments):
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(server, expected):
    url = f"{server.rest_url}/v1/models/symmetric"
    status = json.loads(curl(url))["model_version_status"]
    assert [(x["version"], x["state"]) for x in status] == [("1", "AVAILABLE")]
    row = {name: x[0].tolist() for name, x in inputs().items()}
    body = json.dumps({"signature_name": "fit", "instances": [row, row]})
    # As in the documentation of TensorFlow Serving: no content type of JSON.
    predictions = json.loads(curl("-d", body, f"{url}:predict"))["predictions"]
    assert len(predictions) == 2
    for prediction in predictions:
        outputs = {name: [value] for name, value in prediction.items()}
        check(outputs, expected)
    code = curl("-o", "/dev/null", "-w", "%{http_code}", "-d", "{}", f"{url}:predict")
    assert code == "400"
    answer = json.loads(curl(f"{server.rest_url}/v1/models/missing/metadata"))
    assert list(answer) == ["error"]


@pytest.mark.slow
def test_a_client_that_polls_status_during_a_reload(server, folder, solver):
    client = eigenfit_serving.Client(server.grpc_url, "symmetric", retries=0)
    url = f"{server.rest_url}/v1/models/symmetric"
    stop, failures, newest = threading.Event(), [], []

    def poll():
        try:
            while not stop.is_set():
                with urllib.request.urlopen(url, timeout=30) as response:
                    listed = json.loads(response.read())["model_version_status"]
                states = {int(x["version"]): x["state"] for x in listed}
                available = [v for v, state in states.items() if state == "AVAILABLE"]
                assert available, states  # at no moment is there none
                newest.append(max(available))
                stop.wait(0.01)
        except BaseException as error:
            failures.append(error)

    def work():
        try:
            while not stop.is_set():
                assert client.fit(START[0], TARGETS[0]).converged
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=poll), threading.Thread(target=work)]
    for thread in threads:
        thread.start()
    try:
        assert client.metadata().version == 1
        save_model(solver, folder, warmup_batches=())
        found = {}
        for _ in range(1200):
            found = {x.version: x.state for x in client.status()}
            if found.get(2) == "AVAILABLE" and found.get(1) == "END":
                break
            assert not failures, failures
            stop.wait(0.05)
        else:
            pytest.fail(f"still {found}")
        assert client.metadata().version == 2
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        client.close()
    assert not failures, failures
    assert newest == sorted(newest)
    assert newest[0] == 1
