"""A bad row in a batch gets its code; rows of other callers are what they are alone."""

import numpy as np
import pytest
from tests.serving.server.fakes_life import context, in_threads

from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.loading import Loader
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options

CONVERGED, TOLERANCE = 0, 1e-12
OUTPUTS = ("parameters", "eigenvalues", "matrix", "loss", "num_steps", "result")


@pytest.fixture(scope="module")
def metrics():
    return Metrics()


@pytest.fixture(scope="module")
def alone(identity, metrics):
    servable = Loader(Options(enable_model_warmup=False), metrics)(
        str(identity), "identity", 1
    )
    yield servable
    servable.close()


@pytest.fixture(scope="module")
def batched(identity, metrics):
    # A batch runs when the rows of all callers are there, and is padded to 16.
    parameters = BatchingParameters(
        max_batch_size=16,
        batch_timeout_micros=300_000,
        num_batch_threads=1,
        allowed_batch_sizes=(16,),
    )
    servable = Loader(Options(enable_model_warmup=False), metrics, parameters)(
        str(identity), "identity", 1
    )
    yield servable
    servable.close()


def good(seed, rows=2):
    random = np.random.default_rng(seed)
    return {
        "initial": random.normal(size=(rows, 6)),
        "targets": np.sort(random.normal(size=(rows, 3)), axis=1),
        "tolerance": np.full(rows, 1e-10),
        "max_steps": np.full(rows, 500, np.int32),
    }


def spoiled(kind):
    inputs = good(99, rows=1)
    if kind == "NaN":
        inputs["initial"][0, 0] = np.nan
    elif kind == "infinite":
        inputs["targets"][0, 1] = np.inf
    elif kind == "impossible":
        inputs["tolerance"][0] = -1.0
        inputs["max_steps"][0] = 3
    elif kind == "huge":
        inputs["targets"][0] = 1e300
    return inputs


def fit(servable, inputs):
    signature = servable.signatures["serving_default"]
    feeds = {signature.inputs[name].name: array for name, array in inputs.items()}
    fetches = [signature.outputs[name].name for name in OUTPUTS]
    request = context()
    outputs = servable.run(feeds, fetches, request)
    return dict(zip(OUTPUTS, outputs, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["NaN", "infinite", "impossible", "huge"])
def test_other_callers_do_not_notice_a_bad_row(alone, batched, metrics, kind):
    callers = [good(1), spoiled(kind), good(2), good(3, rows=3)]
    runs = ":tensorflow:core:graph_runs{} "
    before = metrics.render().decode().split(runs)
    found = in_threads(len(callers), lambda i: fit(batched, callers[i]))
    after = metrics.render().decode().split(runs)[1].split()[0]
    expected = [fit(alone, inputs) for inputs in callers]
    assert int(after) - int(before[1].split()[0] if len(before) > 1 else 0) == 1
    for i in (0, 2, 3):
        assert (expected[i]["result"] == CONVERGED).all()
        for name in OUTPUTS:
            np.testing.assert_allclose(
                found[i][name], expected[i][name], rtol=0, atol=TOLERANCE, err_msg=name
            )
    assert found[1]["result"].shape == (1,)
    assert found[1]["result"][0] == expected[1]["result"][0] != CONVERGED


def test_rows_that_fill_up_take_no_steps(batched, metrics):
    inputs = good(5, rows=1)
    fit(batched, inputs)
    text = metrics.render().decode()
    assert 'eigenfit_padding_rows_total{model_name="identity"}' in text
    steps = text.split('eigenfit_steps_count{model_name="identity"} ')[1].split()[0]
    rows = text.split('eigenfit_rows_total{model_name="identity"} ')[1].split()[0]
    assert float(steps) == float(rows)
