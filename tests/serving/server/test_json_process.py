"""Large bodies, which are read in another process."""

import base64
import json
import threading
import time

import numpy as np
import pytest

from eigenfit_serving.server import json_dtypes as dtypes
from eigenfit_serving.server import json_process
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.json_document import Here
from eigenfit_serving.server.json_process import LARGE, Reader
from eigenfit_serving.server.status import Code, ServingError

BLANKS = b" " * LARGE
GOOD = b'{"instances": [1, 2.5]}' + BLANKS
FLOATS = {"x": dtypes.FLOAT}
# Half a second or more for the parser.
SLOW = b'{"instances": [' + b"[]," * (5 << 20) + b"[]]}"


def context(seconds=None):
    deadline = None if seconds is None else time.monotonic() + seconds
    return RequestContext("predict", "REST", "id", deadline)


@pytest.fixture(scope="module")
def shared():
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture
def build():
    readers = []

    def build(*args, **kwargs):
        readers.append(Reader(*args, **kwargs))
        return readers[-1]

    yield build
    for reader in readers:
        reader.close()


def inputs(reader, body, kinds=FLOATS, max_rows=0, told=None):
    with reader.read(body, told or context()) as document:
        return document.inputs(kinds, max_rows)


def refusal(*args, **kwargs):
    with pytest.raises(ServingError) as caught:
        inputs(*args, **kwargs)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"instances": [[1, 2], [3, 4.5]]}, FLOATS),
        ({"inputs": [1.5, float("nan"), float("-inf")]}, {"x": dtypes.DOUBLE}),
        ({"instances": [{"x": 1, "s": "é"}] * 2}, {**FLOATS, "s": dtypes.STRING}),
        (
            {"inputs": {"s": {"b64": base64.b64encode(b"\xff\x00").decode()}}},
            {"s": dtypes.STRING},
        ),
        ({"signature_name": "other", "instances": list(range(300_000))}, FLOATS),
    ],
)
def test_same_inputs_as_here(shared, body, kinds):
    text = json.dumps(body).encode() + BLANKS
    expected = Here(text)
    with shared.read(text, context()) as document:
        assert not isinstance(document, Here)
        assert document.signature_name == expected.signature_name
        found = document.inputs(kinds, 0)
    wanted = expected.inputs(kinds, 0)
    assert found.by_row == wanted.by_row
    assert found.arrays.keys() == wanted.arrays.keys()
    for name, array in wanted.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_same_examples_as_here(shared):
    body = json.dumps({"examples": [{"x": 1.5}, {"s": "a"}, {}]}).encode() + BLANKS
    with shared.read(body, context()) as document:
        assert document.examples(3) == Here(body).examples(3)


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (BLANKS + b"[1, 2", FLOATS),
        (BLANKS + b'{"instances": 7}', FLOATS),
        (BLANKS + b'{"signature_name": 7}', FLOATS),
        (BLANKS + b'{"instances": [1, "a"]}', FLOATS),
        (BLANKS + b'{"inputs": 1}', {}),
        (BLANKS + b'{"inputs": 1}', {"x": 19}),
        (b"[" * LARGE, FLOATS),
    ],
)
def test_same_refusals_as_here(shared, body, kinds):
    with pytest.raises(ServingError) as caught:
        Here(body).inputs(kinds, 0)
    found = refusal(shared, body, kinds)
    assert found == (caught.value.code, caught.value.message)


def test_rows_are_counted_before_they_are_converted(shared):
    body = BLANKS + b'{"instances": ["a", 1, []]}'
    text = "The request has 3 rows, over the limit of 2 (--max_rows)."
    assert refusal(shared, body, max_rows=2) == (Code.INVALID_ARGUMENT, text)
    body = BLANKS + b'{"examples": [1, 2, 3]}'
    with (
        pytest.raises(ServingError, match="has 3 rows"),
        shared.read(body, context()) as document,
    ):
        document.examples(2)


def test_large_bodies_are_not_read_here(shared, monkeypatch):
    def here(body):
        raise AssertionError("read here")

    monkeypatch.setattr(json_process, "Here", here)
    assert inputs(shared, GOOD).arrays["x"].tolist() == [1, 2.5]
    with pytest.raises(AssertionError):
        inputs(shared, GOOD[: LARGE - 1])


def test_the_process_is_kept_unless_it_may_have_grown(build):
    reader = build()
    inputs(reader, GOOD)
    first = reader._process
    refusal(reader, BLANKS + b"nonsense")
    inputs(reader, GOOD)
    assert reader._process is first
    inputs(reader, GOOD + b" " * (16 << 20))
    assert reader._process is None
    assert first._process.returncode is not None
    inputs(reader, GOOD)


def test_no_more_time(build):
    reader = build()
    inputs(reader, GOOD)
    process = reader._process
    found = refusal(reader, SLOW, told=context(0.1))
    assert found == (Code.DEADLINE_EXCEEDED, "Timed out reading the request.")
    assert process._process.returncode is not None
    assert inputs(reader, GOOD).by_row


def test_a_caller_that_goes_away(build):
    reader, told = build(), context()
    inputs(reader, GOOD)
    timer = threading.Timer(0.1, told.cancel)
    timer.start()
    assert refusal(reader, SLOW, told=told)[0] is Code.CANCELLED
    timer.join()
    assert inputs(reader, GOOD).by_row


def test_no_more_memory(build):
    reader = build(memory=400 << 20)
    assert inputs(reader, GOOD).by_row
    code, text = refusal(reader, SLOW)
    assert code is Code.RESOURCE_EXHAUSTED
    assert "needs more than 419430400 bytes of memory" in text
    assert inputs(reader, GOOD).by_row


def test_a_process_that_dies(build):
    reader = build()
    with reader.read(GOOD, context()) as document:
        reader._process.kill()
        with pytest.raises(ServingError) as caught:
            document.inputs(FLOATS, 0)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert inputs(reader, GOOD).by_row


def test_others_wait_or_are_refused(build):
    reader = build(waiting=1)
    with reader.read(GOOD, context()):
        answers = []
        other = threading.Thread(target=lambda: answers.append(inputs(reader, GOOD)))
        other.start()
        while reader._places._value:
            time.sleep(0.001)
        code, text = refusal(reader, GOOD)
        assert code is Code.RESOURCE_EXHAUSTED
        assert text.startswith(f"Too many requests of {LARGE} bytes or more")
        # Small ones do not wait.
        assert inputs(reader, GOOD[:30]).by_row
        assert not answers
    other.join(20)
    assert answers[0].by_row
    with reader.read(GOOD, context()):
        text = "Timed out behind other large requests."
        found = refusal(reader, GOOD, told=context(0.05))
        assert found == (Code.DEADLINE_EXCEEDED, text)


def test_close_ends_what_is_read(build):
    reader = build()
    inputs(reader, GOOD)
    timer = threading.Timer(0.1, reader.close)
    timer.start()
    assert refusal(reader, SLOW)[0] is Code.RESOURCE_EXHAUSTED
    timer.join()
    assert reader._process is None
    assert refusal(reader, GOOD)[0] is Code.UNAVAILABLE
