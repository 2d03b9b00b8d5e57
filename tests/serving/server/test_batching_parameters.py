import os

import pytest

from eigenfit_serving.protocol.messages import BatchingParameters as Message
from eigenfit_serving.protocol.text import parse_text
from eigenfit_serving.server.batching_parameters import (
    BatchingParameters,
    read_parameters,
)
from eigenfit_serving.server.status import ServingError

FILE = """
max_batch_size { value: 32 }
batch_timeout_micros { value: 5000 }
max_enqueued_batches { value: 7 }
num_batch_threads { value: 3 }
thread_pool_name { value: "pool" }
allowed_batch_sizes: [4, 8, 32]
pad_variable_length_inputs: true
"""


def read(text):
    return read_parameters(parse_text(Message, text, "test"))


def test_a_file_of_tensorflow_serving_is_read(caplog):
    assert read(FILE) == BatchingParameters(32, 5000, 7, 3, "pool", (4, 8, 32))
    assert caplog.messages == [
        "pad_variable_length_inputs has no effect here: requests of different shapes "
        "are never in one batch."
    ]
    read("")
    assert len(caplog.messages) == 1


def test_defaults_are_those_of_tensorflow_serving():
    found = read("")
    assert found.max_batch_size == 1000
    assert found.batch_timeout_micros == 0
    assert found.max_enqueued_batches == 10
    assert found.num_batch_threads == os.cpu_count()
    assert found.padded(3) == 3


def test_sizes_are_rounded_up():
    assert [read(FILE).padded(x) for x in (1, 4, 5, 32)] == [4, 4, 8, 32]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size must be at least 1; was 0"),
        (
            "batch_timeout_micros { value: -1 }",
            "batch_timeout_micros must be non-negative; was -1",
        ),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: [4]",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry "
            "was 4; expected 8",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: [4, 4]",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        (
            "max_batch_size { value: 4 } max_execution_batch_size { value: 8 } "
            "enable_large_batch_splitting { value: true }",
            "max_execution_batch_size (8) must not exceed max_batch_size (4)",
        ),
    ],
)
def test_wrong_settings_are_refused(text, error):
    with pytest.raises(ServingError) as caught:
        read(text)
    assert caught.value.message == error
