"""The status, headers and text of every kind of reply."""

import gzip
import json

import numpy as np
import pytest
from tests.serving.server.rest_fakes import (
    MODELS,
    FakeGate,
    FakeModels,
    FakeRunner,
    running,
)

from eigenfit_serving.protocol.status import HTTP_STATUS, Code, ServingError


@pytest.fixture(scope="module")
def client():
    with running() as client:
        yield client


def error_of(answer):
    assert answer.headers["content-type"] == "application/json"
    text = answer.text
    assert text.startswith('{\n    "error": ')
    return json.loads(text)["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        (
            *("POST", "/v1/models/float:predict", '{"instances": [1, 2.5]}'),
            '{"predictions":[1.0,2.5]}',
        ),
        (
            *("POST", "/v1/models/float:predict", '{"instances": [NaN, -Inf]} x'),
            '{"predictions":[NaN,-Infinity]}',
        ),
        (
            *("POST", "/v1/models/float:predict", '{"inputs": [1], "what": 1}'),
            '{"outputs":[1.0]}',
        ),
        (
            *("POST", "/V1/models/float/versions/3:predict", '{"inputs": 2}'),
            '{"outputs":2.0}',
        ),
        (
            *("POST", "/v1/models/a%20b%2Fc:predict", '{"inputs": true}'),
            '{"outputs":true}',
        ),
        (
            "POST",
            "/v1/models/two:predict",
            '{"instances": [{"a": 1, "b": 2}], "signature_name": "serving_default"}',
            '{"predictions":[{"a":1,"b":2.0}]}',
        ),
        (
            *("POST", "/v1/models/text:predict", '{"inputs": {"b64": "aGVsbG8="}}'),
            '{"outputs":{"b64":"aGVsbG8="}}',
        ),
    ],
)
def test_answer(client, method, path, body, text):
    answer = client(method, path, body)
    assert (answer.status, answer.text) == (200, text)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/v1/models/nope", None, 404, "any versions of model nope"),
        ("GET", "/v1/models/float/versions/9", None, 404, "version 9 of model float"),
        ("GET", "/v1/models/nope/metadata", None, 404, "for request: Latest(nope)"),
        ("GET", "/v1/models/versions/9", None, 400, "Missing model name in request."),
        (
            *("GET", "/v1/models/m/versions/9223372036854775808", None, 400),
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        (
            *("GET", "/v1/models/float/labels/nope/metadata", None, 400),
            "Unrecognized servable version label: nope",
        ),
        ("GET", "/v1/what", None, 400, "Malformed request: GET /v1/what"),
        ("GET", "/v1/?a", None, 400, "Malformed request: GET /v1/?a"),
        ("PUT", "/v1/models", "x", 400, "Malformed request: PUT /v1/models"),
        ("DELETE", "/v1/models", None, 400, "Malformed request: DELETE /v1/models"),
        ("PATCH", "/v1/models", "x", 400, "Malformed request: PATCH /v1/models"),
        (
            *("POST", "/v1/models/float:predict?a=1", "{}", 400),
            "Malformed request: POST /v1/models/float:predict?a=1",
        ),
        (
            *("POST", "/v1/models/nope:predict", '{"inputs": 1}', 404),
            "Servable not found for request: Latest(nope)",
        ),
        (
            *("POST", "/v1/models/float/versions/9:predict", '{"inputs": 1}', 404),
            "Servable not found for request: Specific(float, 9)",
        ),
        (
            *("POST", "/v1/models/float/labels/x:predict", '{"inputs": 1}', 400),
            "Unrecognized servable version label: x",
        ),
        ("POST", "/v1/models/nope:predict", "", 400, "The document is empty"),
        ("POST", "/v1/models/float:predict", "[]", 400, "JSON Value: [] Is not object"),
        (
            *("POST", "/v1/models/float:predict", "instances", 400),
            "JSON Parse error: Expecting value at offset: 0",
        ),
        (
            "POST",
            "/v1/models/float:predict",
            '{"signature_name": "nope", "inputs": 1}',
            400,
            'Serving signature name: "nope" not found in signature def',
        ),
        (
            *("POST", "/v1/models/none:predict", '{"inputs": 1}', 400),
            "Failed to get input map for signature: DEFAULT",
        ),
        (
            *("POST", "/v1/models/half:predict", '{"inputs": 1}', 501),
            "Conversion of JSON Value: 1 to type: half",
        ),
        (
            *("POST", "/v1/models/float:predict", '{"instances": 1}', 400),
            "Expecting 'instances' to be an list/array",
        ),
        (
            *("POST", "/v1/models/float:classify", "{}", 501),
            "`classify` is not served here. tensorflow_model_server has it: `eigenfit "
            "serve --kind binary` or `--kind docker` starts it for the same models.",
        ),
        (
            *("POST", "/v1/models/float:regress", '{"examples": []}', 501),
            "`--kind docker` starts it for the same models.",
        ),
    ],
)
def test_error(client, method, path, body, status, message):
    answer = client(method, path, body)
    assert answer.status == status
    assert error_of(answer).endswith(message)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/models", "/metrics", "/page/page.js"]
)
def test_foreign_paths_get_the_page_of_the_library(client, method, path):
    answer = client(method, path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html"
    assert "<TITLE>404 Not Found</TITLE>" in answer.text


def test_methods_that_nobody_knows(client):
    assert client("TRACE", "/v1/models/float").status == 501
    head = client("HEAD", "/v1/models/float")
    assert (head.status, head.body) == (400, b"")


def test_preflight(client):
    allowed = client("OPTIONS", "/v1/models/float:predict", Origin="https://a.example")
    assert (allowed.status, allowed.body) == (200, b"")
    assert allowed.headers["access-control-allow-origin"] is None
    for headers in ({}, {"Origin": "file://x"}):
        refused = client("OPTIONS", "/v1/models/float:predict", **headers)
        assert (refused.status, refused.body) == (400, b"")


def test_cross_origin_headers_are_on_all_replies():
    with running(rest_api_enable_cors_support=True) as client:
        for asked in (
            ("OPTIONS", "/v1/models/float:predict"),
            ("POST", "/v1/models/float:predict", '{"inputs": 1}'),
            ("GET", "/v1/models/nope"),
            ("GET", "/v1/what"),
        ):
            headers = client(*asked).headers
            assert headers["Access-Control-Allow-Origin"] == "*"
            assert headers["Access-Control-Allow-Methods"] == "POST, GET"
            allowed = headers["Access-Control-Allow-Headers"]
            assert allowed == "Content-Type, Authorization, x-api-key"
        assert client("GET", "/").headers["Access-Control-Allow-Origin"] is None


def test_status(client):
    answer = client("GET", "/v1/models/float")
    one = '"status": {\n    "error_code": "OK",\n    "error_message": ""\n   }'
    versions = ",\n".join(
        f'  {{\n   "version": "{version}",\n   "state": "AVAILABLE",\n   {one}\n  }}'
        for version in (7, 3)
    )
    assert answer.text == f'{{\n "model_version_status": [\n{versions}\n ]\n}}\n'
    assert client("GET", "/v1/models/float/labels/any").body == answer.body
    single = json.loads(client("GET", "/v1/models/float/versions/3").body)
    assert [x["version"] for x in single["model_version_status"]] == ["3"]


def test_metadata(client):
    found = json.loads(client("GET", "/v1/models/float/versions/3/metadata").body)
    spec = {"name": "float", "signature_name": "", "version": "3"}
    assert found["model_spec"] == spec
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"] == {
        "inputs": {
            "x": {
                "name": "x:0",
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}],
                    "unknown_rank": False,
                },
            }
        },
        "outputs": {},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def test_gzip(client):
    body = gzip.compress(b'{"inputs": 1}')
    path = "/v1/models/float:predict"
    answer = client("POST", path, body, Content_Encoding="gzip")
    assert (answer.status, answer.text) == (200, '{"outputs":1.0}')
    assert answer.headers["content-encoding"] is None
    for broken in (body[:-9], body + b"x", b"no gzip", b""):
        answer = client("POST", path, broken, Content_Encoding="gzip")
        assert answer.status == 400
        assert error_of(answer) == "JSON Parse error: The document is empty"


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_codes(code):
    def fail(*asked):
        raise ServingError(code, f"because {code.name}")

    gate = FakeGate()
    with running(gate=gate, runner=FakeRunner(fail)) as client:
        answer = client("POST", "/v1/models/float:predict", '{"inputs": 1}')
    assert answer.status == HTTP_STATUS[code]
    assert error_of(answer) == f"because {code.name}"
    assert gate.codes == [code]


def test_a_fault_of_ours_is_no_secret_but_has_no_trace(caplog):
    def fail(*asked):
        raise KeyError("secret")

    with running(runner=FakeRunner(fail)) as client:
        answer = client(
            *("POST", "/v1/models/float:predict", '{"inputs": 1}'), X_Request_Id="id-7"
        )
    assert answer.status == 500
    assert error_of(answer) == "Internal error; the log has more under id-7."
    assert "secret" in caplog.text


def test_outputs_that_have_no_json():
    runner = FakeRunner(lambda *asked: {"y": np.zeros(2, np.float16)})
    with running(runner=runner) as client:
        answer = client("POST", "/v1/models/float:predict", '{"inputs": 1}')
    assert answer.status == 400
    assert error_of(answer) == "Failed to write JSON value for tensor type: half"


def test_what_accompanies_a_request():
    gate = FakeGate()
    with running(gate=gate, rest_api_timeout_in_ms=5000) as client:
        answer = client(
            "POST",
            "/v1/models/float:predict",
            '{"inputs": 1}',
            X_Request_Id="mine",
        )
        assert answer.headers["x-request-id"] == "mine"
        for bad in ("a b", "x" * 200):
            assert client("GET", "/", X_Request_Id=bad).headers["x-request-id"] != bad
        client("GET", "/v1/models/float")
        client("GET", "/v1/models/float/metadata")
    found = [(x.api, x.entrypoint, x.model, x.version) for x in gate.contexts]
    assert found == [
        ("predict", "REST", "float", 7),
        ("status", "REST", "float", None),
        ("metadata", "REST", "float", 7),
    ]
    context = gate.contexts[0]
    assert context.request_id == "mine"
    assert context.signature == "serving_default"
    assert context.deadline is not None


def test_list_of_models(client):
    found = json.loads(client("GET", "/v1/models").body)["models"]
    assert [model["name"] for model in found] == sorted({x.name for x in MODELS})
    versions = {
        model["name"]: [x["version"] for x in model["model_version_status"]]
        for model in found
    }
    assert versions["float"] == ["7", "3"]


def test_health_and_readiness():
    gate = FakeGate()
    models = FakeModels(list(MODELS[:3]))
    with running(models, gate) as client:
        assert client("GET", "/healthz").status == 200
        assert client("GET", "/readyz").status == 200
        models.states[("two", 1)] = "LOADING"
        answer = client("GET", "/readyz")
        assert answer.status == 503
        assert json.loads(answer.body)["models"] == {"float": True, "two": False}
        models.states.clear()
        assert client("HEAD", "/readyz").status == 200
        gate.draining = True
        answer = client("GET", "/readyz")
        assert answer.status == 503
        assert json.loads(answer.body)["draining"] is True
        assert client("GET", "/healthz").status == 200
        refused = client("POST", "/v1/models/float:predict", '{"inputs": 1}')
        assert refused.status == 503
        assert error_of(refused) == "The server is shutting down."


def test_metrics(tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text('prometheus_config { enable: true path: "/my/metrics" }')
    with running(monitoring_config_file=str(file)) as client:
        answer = client("GET", "/my/metrics")
        assert (answer.status, answer.text) == (200, "# metrics\n")
        assert answer.headers["content-type"] == "text/plain"
        answer = client("GET", "/my/metrics?x=1")
        assert answer.status == 400
        text = "Unexpected path: /my/metrics?x=1. Should be /my/metrics"
        assert answer.text == text
    file.write_text("prometheus_config { enable: true }")
    with running(monitoring_config_file=str(file)) as client:
        assert client("GET", "/monitoring/prometheus/metrics").status == 200
    with running() as client:
        assert client("GET", "/monitoring/prometheus/metrics").status == 404
