"""What a request may ask for at most."""

import numpy as np
import pytest
from tests.serving.server.rest_fakes import FakeServable, signature

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import WARMUP, RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.predict import predict

INPUTS = {"matrix": "DT_DOUBLE", "max_steps": "DT_INT32"}


class Blank(FakeServable):
    def run(self, signature, inputs, outputs, context):
        return [np.zeros(1) for _ in outputs]


def run(options, entrypoint="GRPC", rows=3, order=4, steps=5):
    servable = Blank("m", 1, {"serving_default": signature(INPUTS)})
    arrays = {
        "matrix": np.zeros((rows, order, order)),
        "max_steps": np.full(rows, steps, np.int32),
    }
    context = RequestContext("predict", entrypoint, "id")
    return predict(servable, "", arrays, (), context, Options(**options))


AT_LIMITS = {"max_rows": 3, "max_order": 4, "max_steps": 5, "max_elements": 51}
OVER = [
    ("max_rows", "The request has 3 rows, over the limit of 2 (--max_rows)."),
    (
        "max_order",
        "matrix has matrices of 4 rows, over the limit of 3 (--max_order).",
    ),
    (
        "max_steps",
        "The request asks for 5 steps, over the limit of 4 (--max_steps).",
    ),
    (
        "max_elements",
        "The request has 51 elements, over the limit of 50 (--max_elements).",
    ),
]


def test_what_is_at_a_limit_runs():
    assert run(AT_LIMITS) == {}
    assert run(dict.fromkeys(AT_LIMITS, 0), rows=1000) == {}


@pytest.mark.parametrize(("limit", "text"), OVER)
def test_what_is_over_a_limit_is_refused(limit, text):
    with pytest.raises(ServingError) as caught:
        run({limit: AT_LIMITS[limit] - 1})
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, text)


def test_records_that_come_with_a_model_are_no_requests():
    assert run(dict.fromkeys(AT_LIMITS, 1), WARMUP) == {}
