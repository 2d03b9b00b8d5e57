import sys

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.server.fakes_life import context

from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.watching.metrics import Metrics


@pytest.fixture
def metrics():
    return Metrics()


def lines(metrics):
    return metrics.render().decode().splitlines()


def end(metrics, code=Code.OK, seconds=0.001, **details):
    request = context(**details)
    metrics.begin()
    metrics.end(request, code, seconds)


def test_requests_are_counted_by_model_and_status(metrics):
    for code in (Code.OK, Code.OK, Code.INVALID_ARGUMENT):
        end(metrics, code, model="m", version=1)
    found = lines(metrics)
    name = ":tensorflow:serving:request_count"
    assert f"# TYPE {name} counter" in found
    assert f'{name}{{model_name="m",status="OK"}} 2.0' in found
    assert f'{name}{{model_name="m",status="INVALID_ARGUMENT"}} 1.0' in found


def test_names_that_callers_invent_are_no_labels(metrics):
    for i in range(100):
        end(metrics, Code.NOT_FOUND, model=f"invented-{i}")
    found = "\n".join(lines(metrics))
    assert "invented" not in found
    assert ':request_count{model_name="",status="NOT_FOUND"} 100.0' in found


def test_latencies_have_the_buckets_of_tensorflow_serving(metrics):
    end(metrics, seconds=15e-6, model="m", version=1)
    end(metrics, Code.INTERNAL, seconds=9.0, model="m", version=1)
    found = lines(metrics)
    name = ":tensorflow:serving:request_latency"
    labels = 'API="Predict",entrypoint="GRPC"'
    buckets = [x for x in found if x.startswith(f"{name}_bucket")]
    limits = [x.split('le="')[1].split('"')[0] for x in buckets]
    assert limits[:4] == ["10.0", "18.0", "32.4", "58.32"]
    assert limits[-1] == "+Inf"
    assert len(limits) == 34
    assert f'{name}_bucket{{{labels},le="10.0",model_name="m"}} 0.0' in found
    assert f'{name}_bucket{{{labels},le="18.0",model_name="m"}} 1.0' in found
    assert f'{name}_count{{{labels},model_name="m"}} 1.0' in found


def test_latencies_are_told_by_signature(metrics):
    for signature in ("fit", "fit", "step"):
        end(metrics, seconds=0.25, model="m", version=1, signature=signature)
    found = lines(metrics)
    name = "eigenfit_request_seconds"
    assert f'{name}_sum{{model_name="m",signature="fit"}} 0.5' in found
    assert f'{name}_count{{model_name="m",signature="step"}} 1.0' in found


def test_rest_calls_have_names_of_their_own(metrics):
    request = context(model="m", version=1)
    request.entrypoint = "REST"
    metrics.begin()
    metrics.end(request, Code.OK, 1.0)
    found = "\n".join(lines(metrics))
    assert (
        'request_latency_count{API="predict",entrypoint="REST",model_name="m"}' in found
    )


def test_status_and_metadata_calls_are_no_requests_of_a_model(metrics):
    request = context(model="m")
    request.api = "metadata"
    metrics.begin()
    metrics.end(request, Code.OK, 1.0)
    assert not [x for x in lines(metrics) if ":request_count{" in x]


def test_states_fits_refusals_and_the_process_are_told(metrics):
    metrics.compiled("m", 1.5)
    metrics.fitted("m", np.array([0, 2, 0]))
    metrics.reject("body_size")
    metrics.begin()
    metrics.watch(lambda: [("m", 2, "AVAILABLE"), ("m", 1, "END")])
    expected = [
        'eigenfit_rejected_total{reason="body_size"} 1.0',
        "eigenfit_in_flight 1.0",
        'eigenfit_rows_total{model_name="m",result="0"} 2.0',
        'eigenfit_rows_total{model_name="m",result="2"} 1.0',
        'eigenfit_compilation_seconds_count{model_name="m"} 1.0',
        'eigenfit_compilation_seconds_sum{model_name="m"} 1.5',
        'eigenfit_model_state{model_name="m",state="AVAILABLE",version="2"} 1.0',
        'eigenfit_model_state{model_name="m",state="END",version="1"} 1.0',
    ]
    found = lines(metrics)
    assert [x for x in expected if x not in found] == []
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds"):
        assert any(x.startswith(f"process_{name} ") for x in found)


def test_a_parser_of_prometheus_reads_all_of_it(metrics):
    end(metrics, model='a "b"\\\n', version=1, signature="s", rows=3)
    families = {
        family.name: family
        for family in text_string_to_metric_families(metrics.render().decode())
    }
    [sample] = families[":tensorflow:serving:request_count"].samples
    assert sample.labels == {"model_name": 'a "b"\\\n', "status": "OK"}
    assert families["eigenfit_request_seconds"].samples


def test_a_hundred_thousand_rows_are_not_counted_one_by_one(metrics):
    results, calls = np.arange(100_000) % 3, []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        metrics.fitted("m", results)
    finally:
        sys.setprofile(None)
    assert len(calls) < 5000
