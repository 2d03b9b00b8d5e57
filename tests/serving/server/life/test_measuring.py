from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tests.serving.server.fakes_life import FakeServable, context

from eigenfit_serving.server.measuring import (
    FitServable,
    MeasuredServable,
    is_ours,
    tensors_called,
)
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.shapes import compiled_outputs
from eigenfit_serving.server.status import Code, ServingError


def signatures_of(folder):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return dict(model.meta_graphs[0].signature_def)


def outputs_of(folder, *names):
    signatures = signatures_of(folder)
    return {info.name for x in names for info in signatures[x].outputs.values()}


def test_compiled_signatures_are_found(doubling):
    found = compiled_outputs(str(doubling), signatures_of(doubling))
    assert found == outputs_of(doubling, "nested", "xla")


def test_only_the_compiled_fit_of_an_export_is_compiled(identity):
    found = compiled_outputs(str(identity), signatures_of(identity))
    assert found == outputs_of(identity, "fit_xla")


def test_compiled_code_is_found_through_other_nodes(tmp_path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    model = SavedModel()
    graph = model.meta_graphs.add().graph_def
    call = graph.node.add(name="call", op="PartitionedCall")
    call.attr["_XlaMustCompile"].b = True
    graph.node.add(name="after", op="Identity", input=["other", "call:1"])
    graph.node.add(name="controlled", op="NoOp", input=["^after"])
    graph.node.add(name="other", op="Const")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    info = lambda name: SimpleNamespace(name=name)  # noqa: E731
    outputs = {x: info(f"{x}:0") for x in ("call", "after", "controlled", "other")}
    signatures = {"f": SimpleNamespace(outputs=outputs)}
    found = compiled_outputs(str(tmp_path), signatures)
    assert found == {"call:0", "after:0", "controlled:0"}


def test_what_is_no_graph_holds_nothing_compiled(tmp_path):
    assert compiled_outputs(str(tmp_path), {}) == frozenset()
    (tmp_path / "saved_model.pb").write_bytes(b"_XlaMustCompile and noise")
    assert compiled_outputs(str(tmp_path), {}) == frozenset()


def run(servable, rows, output="y:0", **details):
    request = context(**details)
    servable.run({"x:0": np.ones((rows, 2), np.float32)}, [output], request)
    return request


def test_compiled_shapes_are_counted_and_limited():
    metrics = Metrics()
    servable = MeasuredServable(FakeServable(), metrics, {"xla:0"}, max_shapes=2)
    for rows in (1, 2, 1, 2, 2):
        run(servable, rows, "xla:0")
    assert b'eigenfit_compilations_total{model_name="m"} 2.0' in metrics.render()
    with pytest.raises(ServingError) as caught:
        run(servable, 3, "xla:0")
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.message == (
        "Model m would have to be compiled for the shapes x:0 [3, 2], but was compiled "
        "for 2 already, and at most 2 are allowed (max_compiled_shapes). Use shapes "
        "that were used before, or a signature that is not compiled."
    )
    run(servable, 1, "xla:0")
    for rows in range(9):
        run(servable, rows)


def test_runs_are_timed():
    metrics = Metrics()
    servable = MeasuredServable(FakeServable(), metrics)
    request = run(servable, 1, run_seconds=5.0)
    assert 5.0 < request.run_seconds < 6.0
    assert b":tensorflow:core:graph_runs{} 1" in metrics.render()


def test_steps_and_results_of_fits_are_counted():
    info = lambda name: SimpleNamespace(name=name)  # noqa: E731
    inner = FakeServable()
    inner.signatures = {
        "fit": SimpleNamespace(
            inputs={}, outputs={"num_steps": info("n:0"), "result": info("r:0")}
        )
    }
    inner.run = lambda feeds, fetches, context: [np.array([1, 2]) for _ in fetches]
    metrics = Metrics()
    servable = FitServable(inner, metrics)
    assert len(servable.run({}, ["r:0", "other:0", "n:0"], context())) == 3
    servable.run({}, ["other:0"], context())
    text = metrics.render().decode()
    assert 'eigenfit_steps_sum{model_name="m"} 3' in text
    assert 'eigenfit_nonconverged_rows_total{model_name="m",result="2"} 1.0' in text


def test_our_exports_are_known(identity, doubling):
    assert is_ours(str(identity))
    assert not is_ours(str(doubling))
    names = tensors_called(signatures_of(identity), "max_steps", of="inputs")
    assert "serving_default_max_steps:0" in names
    assert all("max_steps" in name for name in names)


def test_fixtures_hold_what_their_names_say(doubling):
    model = tf.saved_model.load(str(doubling))
    found = model.signatures["xla"](x=tf.ones([1, 2]))["y"]
    assert found.numpy().tolist() == [[2.0, 2.0]]
