"""Our messages against TensorFlow's own, and what hostile ones do."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf import meta_graph_pb2  # noqa: F401 - fills the pool
from tensorflow_serving.apis import (  # noqa: F401 - fill the pool
    model_service_pb2,
    prediction_log_pb2,
    prediction_service_pb2,
)

from eigenfit_serving.protocol import messages
from eigenfit_serving.protocol.pool import POOL
from eigenfit_serving.protocol.tensors import from_array, to_array
from eigenfit_serving.protocol.text import parse_text

FILES = ("tensorflow/messages", "tensorflow_serving/config", "tensorflow_serving/apis")
OURS = {
    descriptor.full_name: descriptor
    for file in (*FILES, "grpc/health/v1/health")
    for descriptor in POOL.FindFileByName(
        f"{file}.proto"
    ).message_types_by_name.values()
}
# Their descriptors are in no Python package.
UNKNOWN = {"BatchingParameters", "MonitoringConfig", "PrometheusConfig", "SSLConfig"}


def facts(field):
    kind = field.message_type or field.enum_type
    is_map = kind is not None and field.message_type and kind.GetOptions().map_entry
    oneof = field.containing_oneof
    return (
        field.name,
        field.number,
        field.type,
        field.is_repeated,
        field.is_packed,
        None if kind is None or is_map else kind.full_name,
        oneof and oneof.name,
        [facts(x) for x in kind.fields] if is_map else None,
    )


@pytest.mark.parametrize("name", OURS)
def test_fields_are_those_of_tensorflow(name):
    try:
        theirs = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        assert name.split(".")[-1] in UNKNOWN or "health" in name
        return
    known = {x.number: facts(x) for x in theirs.fields}
    ours = {x.number: facts(x) for x in OURS[name].fields}
    assert ours == {number: known.get(number) for number in ours}


def test_most_messages_can_be_compared():
    assert len(OURS) > 40


ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.float32([1.5, -np.inf, np.nan]),
    np.float16([0.1, 65504]),
    np.array([2**31 - 1, -(2**31)], np.int32),
    np.array([2**63 - 1, -(2**63)], np.int64),
    np.array([2**64 - 1], np.uint64),
    np.array([2**32 - 1], np.uint32),
    np.array([-128, 127], np.int8),
    np.array([255], np.uint8),
    np.array([-(2**15)], np.int16),
    np.array([2**16 - 1], np.uint16),
    np.array([True, False]),
    np.complex64([1 + 2j]),
    np.complex128([[1e300 - 1j]]),
    np.array([[b"a", b""], [b"\xff\x00", b"long " * 50]], object),
    np.array(3.5),
    np.zeros([0, 4]),
    tf.constant([1.5, -2.0], tf.bfloat16).numpy(),
]


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda x: f"{x.dtype}{list(x.shape)}")
def test_arrays_are_read_by_tensorflow_and_read_from_it(array, as_content):
    ours = from_array(array, as_content).SerializeToString()
    # What TensorFlow's runtime reads, not what its Python does.
    read = tf.io.parse_tensor(ours, tf.as_dtype(TensorProto.FromString(ours).dtype))
    np.testing.assert_array_equal(read.numpy(), array)
    theirs = tf.io.serialize_tensor(tf.constant(read)).numpy()
    found = to_array(messages.TensorProto.FromString(theirs))
    np.testing.assert_array_equal(found, array)
    fields = messages.TensorProto.FromString(
        tf.make_tensor_proto(read.numpy(), read.dtype).SerializeToString()
    )
    np.testing.assert_array_equal(to_array(fields), array)


def test_missing_values_repeat_the_last_one():
    proto = TensorProto(dtype=1, float_val=[1, 2])
    proto.tensor_shape.dim.add(size=4)
    assert to_array(proto).tolist() == [1, 2, 2, 2] == tf.make_ndarray(proto).tolist()


def test_shapes_are_checked_before_memory_is_taken():
    proto = messages.TensorProto(dtype=2, double_val=[1])
    proto.tensor_shape.dim.add(size=2**40)
    with pytest.raises(ValueError, match="at most 1000 are allowed"):
        to_array(proto, 1000)


def read_or_text(read):
    try:
        return read()
    except ValueError as error:
        return str(error)


SIZES = st.one_of(st.integers(-2, 5), st.sampled_from([2**31, 2**40, 2**63 - 1]))
TENSORS = st.fixed_dictionaries(
    {
        "dtype": st.integers(0, 130),
        "tensor_shape": st.fixed_dictionaries(
            {
                "dim": st.lists(st.fixed_dictionaries({"size": SIZES}), max_size=5),
                "unknown_rank": st.booleans(),
            }
        ),
        "tensor_content": st.binary(max_size=40),
        "float_val": st.lists(st.floats(width=32), max_size=4),
        "double_val": st.lists(st.floats(), max_size=4),
        "int_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
        "half_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
        "string_val": st.lists(st.binary(max_size=5), max_size=4),
        "scomplex_val": st.lists(st.floats(width=32), max_size=3),
        "bool_val": st.lists(st.booleans(), max_size=3),
    }
)


@settings(max_examples=300)
@given(TENSORS)
def test_any_tensor_is_an_array_or_refused(fields):
    array = read_or_text(lambda: to_array(messages.TensorProto(**fields), 10_000))
    if isinstance(array, str):
        return
    assert list(array.shape) == [x["size"] for x in fields["tensor_shape"]["dim"]]
    again = to_array(from_array(array))
    np.testing.assert_array_equal(again, array)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data):
    for message in (messages.TensorProto, messages.PredictRequest):
        try:
            found = message.FromString(data)
        except DecodeError:
            continue
        tensors = [found] if message is messages.TensorProto else found.inputs.values()
        for tensor in tensors:
            found = read_or_text(lambda tensor=tensor: to_array(tensor, 10_000))
            assert isinstance(found, np.ndarray) or found


@settings(max_examples=100)
@given(st.text(max_size=100))
def test_any_text_is_a_configuration_or_refused(text):
    wanted = messages.ModelServerConfig
    found = read_or_text(lambda: parse_text(wanted, text, "models.config"))
    words = "Error parsing text-format tensorflow.serving.ModelServerConfig"
    assert isinstance(found, wanted) or found.startswith(words)
