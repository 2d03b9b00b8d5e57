import sys

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.server.fakes_life import context

from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.status import Code
from eigenfit_serving.server.tf_metrics import Counter, Histogram, exponential


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
    assert f'{name}{{model_name="m",status="OK"}} 2' in found
    assert f'{name}{{model_name="m",status="INVALID_ARGUMENT"}} 1' in found


def test_names_that_callers_invent_are_no_labels(metrics):
    for i in range(100):
        end(metrics, Code.NOT_FOUND, model=f"invented-{i}")
    found = "\n".join(lines(metrics))
    assert "invented" not in found
    assert ':request_count{model_name="",status="NOT_FOUND"} 100' in found


def test_latencies_have_the_buckets_of_tensorflow_serving(metrics):
    end(metrics, seconds=15e-6, model="m", version=1)
    end(metrics, Code.INTERNAL, seconds=9.0, model="m", version=1)
    found = lines(metrics)
    name = ":tensorflow:serving:request_latency"
    labels = 'model_name="m",API="Predict",entrypoint="GRPC"'
    buckets = [x for x in found if x.startswith(f"{name}_bucket")]
    limits = [x.split('le="')[1].split('"')[0] for x in buckets]
    assert limits[:4] == ["10", "18", "32.4", "58.32"]
    assert limits[-1] == "+Inf"
    assert len(limits) == 34
    assert f'{name}_bucket{{{labels},le="10"}} 0' in found
    assert f'{name}_bucket{{{labels},le="18"}} 1' in found
    assert f"{name}_count{{{labels}}} 1" in found
    assert f"{name}_sum{{{labels}}} 15" in found


def test_rest_calls_have_names_of_their_own(metrics):
    request = context(model="m", version=1, run_seconds=0.5)
    request.entrypoint = "REST"
    metrics.begin()
    metrics.end(request, Code.OK, 1.0)
    found = "\n".join(lines(metrics))
    assert (
        'request_latency_count{model_name="m",API="predict",entrypoint="REST"}' in found
    )
    assert (
        ':tensorflow:serving:runtime_latency_count{model_name="m",API="predict",'
        'runtime="TF1"} 1'
    ) in found


def test_status_and_metadata_calls_are_no_requests_of_a_model(metrics):
    request = context(model="m")
    request.api = "metadata"
    metrics.begin()
    metrics.end(request, Code.OK, 1.0)
    assert "request_count" not in metrics.render().decode()


def test_batches_models_and_fits_are_counted(metrics):
    metrics.batch_input(3)
    metrics.batch_wait("pool", 50e-6)
    metrics.batch_run("m", 3, 8)
    metrics.run(0.25)
    metrics.compiled("m", 1.5)
    metrics.fitted("m", np.array([4, 9]), np.array([0, 2]))
    metrics.loaded("/m/1", "success", 0.5)
    metrics.loaded("/m/2", "fail", 0.5)
    metrics.warmed_up("/m/1", "OK", 0.5, 6)
    metrics.reject("body_size")
    metrics.begin()
    metrics.watch_depth(lambda: 7)
    batching = ":tensorflow:serving:batching_session"
    saved = ":tensorflow:cc:saved_model"
    warmup = ":tensorflow:serving:model_warmup"
    expected = [
        f"{batching}:wrapped_run_count{{}} 1",
        f'{batching}:padding_size_sum{{execution_batch_size="8"}} 5',
        f'{batching}:padding_size_bucket{{execution_batch_size="8",le="8"}} 1',
        f"{batching}:input_batch_size_sum{{}} 3",
        f"{batching}:processed_batch_size_sum{{}} 8",
        f'{batching}:queuing_latency_bucket{{thread_pool_name="pool",le="100"}} 1',
        ":tensorflow:core:graph_runs{} 1",
        ":tensorflow:core:graph_run_time_usecs{} 250000",
        f'{saved}:load_attempt_count{{model_path="/m/1",status="success"}} 1',
        f'{saved}:load_attempt_count{{model_path="/m/2",status="fail"}} 1',
        f'{saved}:load_latency{{model_path="/m/1"}} 500000',
        f'{warmup}_latency_count{{model_path="/m/1",status="OK"}} 1',
        f'{warmup}_records_read{{model_path="/m/1"}} 6',
        'eigenfit_rejected_total{reason="body_size"} 1.0',
        "eigenfit_in_flight 1.0",
        "eigenfit_queue_depth 7.0",
        'eigenfit_padding_rows_total{model_name="m"} 5.0',
        'eigenfit_steps_sum{model_name="m"} 13',
        'eigenfit_steps_count{model_name="m"} 2',
        'eigenfit_rows_total{model_name="m"} 2.0',
        'eigenfit_nonconverged_rows_total{model_name="m",result="2"} 1.0',
        'eigenfit_compilations_total{model_name="m"} 1.0',
        'eigenfit_compilation_seconds_total{model_name="m"} 1.5',
    ]
    found = lines(metrics)
    assert [x for x in expected if x not in found] == []


def test_a_parser_of_prometheus_reads_all_of_it(metrics):
    end(metrics, model='a "b"\\\n', version=1, signature="s", rows=3)
    metrics.batch_run("m", 1, 2)
    families = {
        family.name: family
        for family in text_string_to_metric_families(metrics.render().decode())
    }
    [sample] = families[":tensorflow:serving:request_count"].samples
    assert sample.labels == {"model_name": 'a "b"\\\n', "status": "OK"}
    assert families["eigenfit_requests"].samples


def test_callers_cannot_invent_series_without_end():
    counter, histogram = Counter("/c", "model"), Histogram("/h", (1.0,), "model")
    for i in range(5000):
        counter.add(str(i))
        histogram.add(0.5, str(i))
    assert len(counter.lines()) == 2002
    assert 'c{model="_other_"} 3000' in counter.lines()[-1]
    assert len(histogram.lines()) == 2001 * 4 + 1


def test_callers_cannot_invent_names_without_end():
    counter = Counter("/c", "model")
    counter.add("x" * 50_000)
    counter.add("x" * 256)
    [line] = counter.lines()[1:]
    assert line.endswith(f'c{{model="{"x" * 256}"}} 2')


def test_a_value_at_a_limit_belongs_above_it():
    histogram = Histogram("/h", exponential(1, 2, 2))
    histogram.add(1.0)
    assert ':h_bucket{le="1"} 0' in histogram.lines()
    assert ':h_bucket{le="2"} 1' in histogram.lines()


def test_a_value_at_a_limit_belongs_below_it_in_ours(metrics):
    metrics.fitted("m", np.array([1, 2, 2, 5]), None)
    found = lines(metrics)
    counts = [x.split()[-1] for x in found if x.startswith("eigenfit_steps_bucket")]
    assert counts[:5] == ["1", "3", "3", "4", "4"]


def test_a_hundred_thousand_rows_are_not_counted_one_by_one(metrics):
    steps, calls = np.arange(100_000), []
    sys.setprofile(lambda frame, event, argument: calls.append(event))
    try:
        metrics.fitted("m", steps, steps % 3)
    finally:
        sys.setprofile(None)
    assert len(calls) < 5000


def test_nothing_is_written_of_what_never_happened(metrics):
    assert not [x for x in lines(metrics) if ":tensorflow" in x]
