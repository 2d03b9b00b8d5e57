"""Loading and running SavedModels."""

import gc
import shutil
import threading
import time

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from tests.serving.server import grpc_models

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.executor import SavedModel


def context(seconds=None):
    deadline = None if seconds is None else time.monotonic() + seconds
    return RequestContext("predict", "GRPC", "id", deadline)


@pytest.fixture
def servable():
    return grpc_models.loaded("modern")


def run(servable, key, given, context=None, outputs=None):
    outputs = outputs or sorted(servable.signatures[key].outputs)
    inputs = {k: np.asarray(v) for k, v in given.items()}
    context = context or RequestContext("predict", "GRPC", "id")
    return dict(zip(outputs, servable.run(key, inputs, outputs, context), strict=True))


def raised(code, *args, **kwargs):
    with pytest.raises(ServingError) as info:
        run(*args, **kwargs)
    assert info.value.code is code, info.value.message
    return info.value.message


def test_what_tensorflow_1_saved_runs():
    servable = grpc_models.loaded("classic")
    example = tf.train.Example()
    example.features.feature["x"].float_list.value.append(2.0)
    given = {"inputs": np.array([example.SerializeToString()], object)}
    found = run(servable, "serving_default", given)
    assert found["scores"].tolist() == [[-2.0, 2.0]]
    assert found["classes"].tolist() == [[b"no", b"yes"]]
    assert run(servable, "odd", given)["outputs"].tolist() == [[2.0]]


def test_floats(servable):
    found = run(servable, "serving_default", {"x": np.float32([[1, 2], [3, 4]])})
    np.testing.assert_array_equal(found["y"], [[2, 6], [6, 12]])
    np.testing.assert_array_equal(found["sum"], [3, 7])
    assert found["y"].dtype == np.float32


def test_outputs_in_the_order_asked_for(servable):
    found = run(servable, "two", {"a": np.int32([1]), "b": np.float64([0.5])})
    np.testing.assert_array_equal(found["total"], [1.5])
    x = {"x": np.float32([[1, 2]])}
    assert run(servable, "serving_default", x, outputs=["sum"])["sum"].tolist() == [3]
    both = run(servable, "serving_default", x, outputs=["y", "sum"])
    assert both["y"].shape == (1, 2)


def test_strings(servable):
    texts = np.array([b"a", b"\xff\x00", b""], object)
    found = run(servable, "text", {"s": texts})
    assert found["joined"].tolist() == [b"a!", b"\xff\x00!", b"!"]
    assert found["length"].tolist() == [1, 2, 0]


def test_scalars(servable):
    given = {"s": np.array(b"a\x00", object), "x": np.float32(3)}
    found = run(servable, "scalar", given)
    assert all(type(x) is np.ndarray and x.shape == () for x in found.values())
    assert found["same"].dtype == object
    assert (found["same"].item(), found["half"].item()) == (b"a\x00", 1.5)


@pytest.mark.parametrize(
    ("key", "half", "whole", "pair"),
    [
        ("types", np.float16, np.uint8, np.complex64),
        ("brain", ml_dtypes.bfloat16, np.uint64, np.complex128),
    ],
)
def test_other_types(servable, key, half, whole, pair):
    given = {
        "h": np.array([1.5, -2], half),
        "c": np.array([1j, 2], pair),
        "i": np.array([1, 2], whole),
        "b": np.array([True, False]),
    }
    found = run(servable, key, given)
    assert [found[k].dtype for k in "hcib"] == [half, pair, whole, bool]
    assert found["h"].astype(float).tolist() == [3, -4]
    assert found["c"].tolist() == [-1, 4]
    assert found["i"].tolist() == [2, 3]
    assert found["b"].tolist() == [False, True]


def test_empty_batch(servable):
    found = run(servable, "serving_default", {"x": np.zeros((0, 2), np.float32)})
    assert found["y"].shape == (0, 2)


@pytest.mark.parametrize(
    ("array", "name"),
    [
        (np.array([[b"a", b"b"]], object), "string"),
        (np.zeros((1, 2)), "double"),
        (np.zeros((1, 2), np.int32), "int32"),
        (np.zeros((1, 2), np.float16), "half"),
        (np.zeros((1, 2), bool), "bool"),
    ],
)
def test_wrong_dtype(servable, array, name):
    text = raised(Code.INVALID_ARGUMENT, servable, "serving_default", {"x": array})
    assert text == f"Expects arg[0] to be float but {name} is provided"


def test_arguments_are_counted_in_the_order_of_their_names(servable):
    given = {"a": np.int32([1]), "b": np.float32([1])}
    text = raised(Code.INVALID_ARGUMENT, servable, "two", given)
    assert text == "Expects arg[1] to be double but float is provided"


def test_shapes_that_do_not_fit(servable):
    text = raised(
        Code.INVALID_ARGUMENT,
        servable,
        "serving_default",
        {"x": np.float32([[1, 2, 3]])},
    )
    assert text.startswith("Incompatible shapes: [2] vs. [1,3]\n")
    assert "[Op:" not in text
    text = raised(
        Code.INVALID_ARGUMENT, servable, "serving_default", {"x": np.float32(1)}
    )
    assert text


def test_code_of_the_runtime(servable):
    text = raised(Code.INVALID_ARGUMENT, servable, "checked", {"x": np.float32([-1])})
    assert "not positive" in text


def test_what_has_no_function_cannot_be_run(servable):
    text = raised(Code.INVALID_ARGUMENT, servable, "__saved_model_init_op", {})
    assert text == "The signature __saved_model_init_op cannot be run."


def test_what_is_cancelled_after_its_deadline_came_too_late(servable):
    start = time.monotonic()
    late = context(0.1)
    timer = threading.Timer(0.15, late.cancel)
    timer.start()
    given = {"n": np.int32([2**31 - 1])}
    text = raised(Code.DEADLINE_EXCEEDED, servable, "count", given, late)
    assert text == "Timed out waiting for notification"
    assert time.monotonic() - start < 5
    timer.join()


def test_deadline_that_is_over(servable):
    given = {"n": np.int32([1])}
    raised(Code.DEADLINE_EXCEEDED, servable, "count", given, context(0))


def test_far_deadline(servable):
    assert run(servable, "count", {"n": np.int32([1])}, context(1e15))["x"].shape == (
        1,
    )


def test_cancellation_stops_the_run():
    servable = grpc_models.loaded("modern")
    cancelled = context()
    timer = threading.Timer(0.1, cancelled.cancel)
    timer.start()
    start = time.monotonic()
    given = {"n": np.int32([2**31 - 1])}
    text = raised(Code.CANCELLED, servable, "count", given, cancelled)
    assert text == "The request was cancelled."
    assert time.monotonic() - start < 5
    timer.join()
    # Others are not touched.
    assert run(servable, "count", {"n": np.int32([1])})["x"].shape == (1,)


def test_cancelled_before_it_runs(servable):
    cancelled = context()
    cancelled.cancel()
    raised(Code.CANCELLED, servable, "count", {"n": np.int32([1])}, cancelled)


def test_many_at_once(servable):
    x = [np.full((1 + i % 3, 2), i, np.float32) for i in range(40)]
    found = [None] * len(x)

    def work(first):
        for i in range(first, len(x), 4):
            found[i] = run(servable, "serving_default", {"x": x[i]}, context(60))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for array, outputs in zip(x, found, strict=True):
        np.testing.assert_array_equal(outputs["y"], array * [2, 3])


def test_run_time_is_noted(servable):
    noted = context()
    run(servable, "serving_default", {"x": np.float32([[1, 2]])}, noted)
    assert 0 < noted.run_seconds < 60


def test_signatures_are_those_of_the_file(servable):
    optional = servable.signatures["optional"]
    assert sorted(optional.defaults) == ["by"]
    assert optional.inputs["x"].name == "optional_x:0"
    assert "__saved_model_init_op" in servable.signatures


def test_tags():
    one = grpc_models.loaded("classic")
    other = grpc_models.loaded("classic", saved_model_tags="gpu, serve")
    x = {"x": np.float32([[1, 2]])}
    assert run(one, "plain", x)["y"].tolist() == [[1, 2]]
    # The variables are shared by the graphs: the factor is of the first.
    assert run(other, "plain", x)["y"].tolist() == [[1, 2]]


@pytest.mark.parametrize("which", ["modern", "classic"])
def test_unknown_tags(which):
    path = getattr(grpc_models, which)()
    with pytest.raises(ServingError) as info:
        SavedModel(path, "m", 1, Options(saved_model_tags="tpu,serve"))
    assert info.value.code is Code.NOT_FOUND
    assert info.value.message.startswith(
        "Could not find meta graph def matching supplied tags: { serve tpu }."
    )


def test_no_model(tmp_path):
    with pytest.raises(ServingError) as info:
        SavedModel(str(tmp_path), "m", 1, Options())
    assert info.value.code is Code.NOT_FOUND
    assert f"at supplied export directory path: {tmp_path}." in info.value.message


@pytest.mark.parametrize("name", ["saved_model.pb", "saved_model.pbtxt"])
def test_file_that_is_no_model(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xfenonsense")
    with pytest.raises(ServingError) as info:
        SavedModel(str(tmp_path), "m", 1, Options())
    assert info.value.code is Code.DATA_LOSS


def test_variables_missing(tmp_path):
    path = tmp_path / "1"
    shutil.copytree(grpc_models.modern(), path)
    shutil.rmtree(path / "variables")
    with pytest.raises(ServingError):
        SavedModel(str(path), "m", 1, Options())


def test_text_format(tmp_path):
    path = tmp_path / "1"
    shutil.copytree(grpc_models.classic(), path)
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    (path / "saved_model.pb").unlink()
    (path / "saved_model.pbtxt").write_text(text_format.MessageToString(saved))
    servable = SavedModel(str(path), "m", 1, Options())
    assert run(servable, "plain", {"x": np.float32([[1, 2]])})["y"].tolist() == [[1, 2]]
    servable.close()


@pytest.mark.parametrize("which", ["modern", "classic"])
def test_close(which):
    path = getattr(grpc_models, which)()
    servable = SavedModel(path, "m", 1, Options())
    servable.close()
    servable.close()
    key, shape = ("serving_default", "x") if which == "modern" else ("plain", "x")
    raised(Code.UNAVAILABLE, servable, key, {shape: np.float32([[1, 2]])})
    gc.collect()


def test_signatures_may_share_an_output(tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x})
    spec = tf.TensorSpec([None], tf.float32, "x")
    function = module.f.get_concrete_function(spec)
    tf.saved_model.save(module, str(tmp_path / "1"), {"a": function, "b": function})
    servable = SavedModel(str(tmp_path / "1"), "m", 1, Options())
    for key in "ab":
        assert run(servable, key, {"x": np.float32([1])})["y"].tolist() == [1]
    servable.close()
