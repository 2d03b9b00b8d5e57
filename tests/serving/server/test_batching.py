import time

import numpy as np
import pytest
from tests.serving.server.fakes_batching import (
    Call,
    Gated,
    Observer,
    occupy,
    queue,
    rows,
    wait_for,
)
from tests.serving.server.fakes_life import context, in_threads

from eigenfit_serving.server.batching import BatchedServable
from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.status import Code, ServingError


@pytest.fixture
def inner():
    return Gated()


@pytest.fixture
def build(inner):
    made = []

    def make(zeros=(), max_tasks=1 << 30, **settings):
        parameters = BatchingParameters(num_batch_threads=1, **settings)
        made.append(BatchedServable(inner, parameters, Observer(), max_tasks, zeros))
        return made[-1]

    yield make
    inner.go.set()
    for servable in made:
        servable.close()


def refusal(call):
    with pytest.raises(ServingError) as caught:
        call()
    return caught.value.code, caught.value.message


def test_runs_that_wait_are_joined_and_split(build, inner):
    servable = build()
    first = occupy(servable, inner)
    calls = queue(servable, rows(1.0, 2.0), rows(3.0), rows(4.0, 5.0))
    inner.go.set()
    assert [call.result() for call in calls] == [[2, 4], [6], [8, 10]]
    assert first.result() == [0]
    assert [len(run["x:0"]) for run in inner.runs] == [1, 5]


def test_a_lone_run_does_not_wait(build, inner):
    inner.go.set()
    assert Call(build(), rows(1.0)).result() == [2]


def test_different_shapes_types_and_outputs_never_meet(build, inner):
    servable = build()
    occupy(servable, inner)
    wide = {"x:0": np.ones((1, 2))}
    single = rows(1.0, dtype=np.float32)
    other = {"z:0": np.ones((1, 1))}
    calls = queue(servable, rows(1.0), wide, single, other, rows(2.0))
    inner.go.set()
    for call in calls:
        call.result()
    sizes = [next(iter(run.values())).shape for run in inner.runs]
    assert sizes == [(1, 1), (2, 1), (1, 2), (1, 1), (1, 1)]


def test_batches_are_padded_with_a_good_row_that_costs_nothing(build, inner):
    servable = build(zeros={"n:0"}, max_batch_size=8, allowed_batch_sizes=(4, 8))
    inner.go.set()
    values = np.array([[np.nan], [7.0], [8.0]])
    outputs = servable.run(
        {"x:0": values, "n:0": np.array([5, 6, 7], np.int32)}, ["y:0"], context()
    )
    np.testing.assert_array_equal(outputs[0], 2 * values)
    [run] = inner.runs
    np.testing.assert_array_equal(run["x:0"], [[np.nan], [7.0], [8.0], [7.0]])
    assert run["n:0"].tolist() == [5, 6, 7, 0]
    assert servable._observer.batches == [(3, 4)]


def test_strings_are_padded_too(build, inner):
    servable = build(max_batch_size=2, allowed_batch_sizes=(2,))
    inner.go.set()
    servable.run({"x:0": np.array([b"ab"], object)}, ["y:0"], context())
    assert inner.runs[0]["x:0"].tolist() == [b"ab", b"ab"]


def test_a_full_batch_runs_before_its_time(build, inner):
    inner.go.set()
    servable = build(max_batch_size=2, batch_timeout_micros=60_000_000)
    assert in_threads(2, lambda i: servable.run(rows(i), ["y:0"], context())[0][0, 0])
    assert [len(run["x:0"]) for run in inner.runs] == [2]


def test_a_batch_waits_for_more(build, inner):
    inner.go.set()
    servable = build(max_batch_size=8, batch_timeout_micros=1_000_000)
    start = time.monotonic()
    in_threads(3, lambda i: servable.run(rows(i), ["y:0"], context()))
    assert time.monotonic() - start >= 0.99
    assert [len(run["x:0"]) for run in inner.runs] == [3]


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        (
            {"x:0": np.float64(1).reshape(())},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            {"x:0": np.ones((2, 1)), "y:0": np.ones((3, 1))},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
        (
            rows(*range(17)),
            "Task size 17 is larger than maximum input batch size 16",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(build, feeds, text):
    servable = build(max_batch_size=16)
    run = lambda: servable.run(feeds, ["y:0"], context())  # noqa: E731
    assert refusal(run) == (Code.INVALID_ARGUMENT, text)


def test_a_full_queue_refuses(build, inner):
    servable = build(max_batch_size=1, max_enqueued_batches=2)
    occupy(servable, inner)
    queue(servable, rows(1.0), rows(2.0))
    run = lambda: servable.run(rows(3.0), ["y:0"], context())  # noqa: E731
    assert refusal(run) == (
        Code.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full; "
        "currently 2 batches enqueued and max_enqueued_batches is 2",
    )


def test_too_many_waiting_runs_are_refused(build, inner):
    servable = build(max_tasks=1)
    occupy(servable, inner)
    queue(servable, rows(1.0))
    code, message = refusal(lambda: servable.run(rows(2.0), ["y:0"], context()))
    assert code is Code.RESOURCE_EXHAUSTED
    assert "at most 1 may (max_queue)" in message


def test_large_runs_are_divided_if_so_wished(build, inner):
    inner.go.set()
    servable = build(
        max_batch_size=10, enable_large_batch_splitting=True, max_execution_batch_size=4
    )
    values = [float(i) for i in range(10)]
    assert Call(servable, rows(*values)).result() == [2 * x for x in values]
    assert [len(run["x:0"]) for run in inner.runs] == [4, 4, 2]


def test_late_runs_are_dropped_before_they_run(build, inner):
    servable = build()
    occupy(servable, inner)
    late = Call(servable, rows(1.0), deadline=time.monotonic() + 0.5)
    assert refusal(late.result) == (
        Code.DEADLINE_EXCEEDED,
        "Run() timeout exceeded while waiting in batching queue",
    )
    [good] = queue(servable, rows(2.0))
    inner.go.set()
    assert good.result() == [4]
    assert inner.runs[-1]["x:0"].tolist() == [[2.0]]


def test_cancelled_runs_are_dropped_before_they_run(build, inner):
    servable = build()
    occupy(servable, inner)
    gone, good = queue(servable, rows(1.0), rows(2.0))
    gone.context.cancel()
    assert refusal(gone.result)[0] is Code.CANCELLED
    inner.go.set()
    assert good.result() == [4]
    assert inner.runs[-1]["x:0"].tolist() == [[2.0]]


def test_a_running_batch_is_cancelled_with_its_last_caller(build, inner):
    servable = build()
    occupy(servable, inner)
    one, two = queue(servable, rows(1.0), rows(2.0))
    inner.entered.clear()
    inner.go.set()
    inner.go.clear()
    assert inner.entered.wait(10)
    batch = inner.contexts[-1]
    one.context.cancel()
    assert not batch._cancelled
    two.context.cancel()
    assert batch._cancelled


def test_a_batch_has_the_time_of_its_most_patient_caller(build, inner):
    servable = build()
    occupy(servable, inner)
    end = time.monotonic() + 50
    feeds = rows(1.0)
    calls = [
        Call(servable, feeds, deadline=end),
        Call(servable, feeds, deadline=end + 5),
    ]
    wait_for(lambda: servable.queue_depth == 2)
    inner.go.set()
    for call in calls:
        call.result()
    assert inner.contexts[-1].deadline == end + 5


def test_one_bad_run_fails_alone(build, inner):
    servable = build()
    occupy(servable, inner)
    bad, good = queue(servable, rows(666.0), rows(2.0))
    inner.go.set()
    assert refusal(bad.result) == (Code.INVALID_ARGUMENT, "a row of the beast")
    assert good.result() == [4]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (np.float64(1), "Batched output tensor has 0 dimensions"),
        (
            np.ones(3),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th "
            "dimension sizes of the input tensors",
        ),
    ],
)
def test_outputs_must_have_the_rows_of_the_inputs(build, inner, output, text):
    inner.run = lambda feeds, fetches, context: [np.asarray(output)]
    run = lambda: build().run(rows(1.0), ["y:0"], context())  # noqa: E731
    assert refusal(run) == (Code.FAILED_PRECONDITION, text)


def test_runs_without_rows_are_not_joined(build, inner):
    inner.go.set()
    assert Call(build(allowed_batch_sizes=(1000,)), rows()).result() == []


def test_an_unexpected_error_reaches_every_caller(build, inner):
    servable = build()

    def fail(*arguments):
        raise RuntimeError("broken")

    inner.run = fail
    run = lambda: servable.run(rows(1.0), ["y:0"], context())  # noqa: E731
    assert refusal(run) == (Code.INTERNAL, "RuntimeError: broken")
    assert refusal(run)[0] is Code.INTERNAL


def test_closing_finishes_what_waits_and_takes_no_more(build, inner):
    servable = build(batch_timeout_micros=60_000_000)
    [call] = queue(servable, rows(1.0))
    inner.go.set()
    servable.close()
    assert call.result() == [2]
    assert inner.closed == 1
    code, _ = refusal(lambda: servable.run(rows(1.0), ["y:0"], context()))
    assert code is Code.UNAVAILABLE


def test_times_are_noted(build, inner):
    servable = build()
    occupy(servable, inner)
    [call] = queue(servable, rows(1.0))
    time.sleep(0.02)
    inner.go.set()
    call.result()
    assert call.context.queue_seconds >= 0.02
    assert call.context.run_seconds > 0
