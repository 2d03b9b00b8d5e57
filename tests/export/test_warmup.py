"""What a server does before it offers a version, and with XLA switched off."""

import subprocess
import sys

import numpy as np
import pytest

from eigenfit_export.manifest import PROBES
from eigenfit_export.warmup import BATCHES, WARMUP, read_warmup, write_warmup

# Runs every function in a graph and a session, as TensorFlow Serving does, with XLA
# switched off in the process, as a stock server has it.
SERVER = """
import ctypes, os, sys
import numpy as np
import tensorflow as tf

folder, probes = sys.argv[1], np.load(sys.argv[2])
library = ctypes.CDLL(os.path.join(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2"))
library._ZN10tensorflow21DisableXlaCompilationEv()
session = tf.compat.v1.Session(graph=tf.Graph())
with session.graph.as_default():
    meta = tf.compat.v1.saved_model.load(session, ["serve"], folder)
for name, signature in sorted(meta.signature_def.items()):
    if name == "__saved_model_init_op":
        continue
    feed = {
        info.name: probes[f"{name}/inputs/{key}"]
        for key, info in signature.inputs.items()
    }
    fetch = {key: info.name for key, info in signature.outputs.items()}
    try:
        found = session.run(fetch, feed)
    except tf.errors.InternalError as error:
        print(name, "refused" if "XLA compilation disabled" in str(error) else error)
        continue
    worst = 0.0
    for key, value in found.items():
        if f"{name}/outputs/{key}" in probes:
            expected = probes[f"{name}/outputs/{key}"]
            np.testing.assert_array_equal(np.isnan(value), np.isnan(expected))
            scale = max(1.0, np.nanmax(np.abs(expected)))
            worst = max(worst, np.nanmax(np.abs(value - expected)) / scale)
    print(name, worst)
"""


@pytest.mark.slow
def test_every_function_but_fit_xla_works_where_xla_is_switched_off(identity):
    run = subprocess.run(
        [sys.executable, "-c", SERVER, str(identity), str(identity / PROBES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answers = dict(line.split() for line in run.stdout.splitlines())
    assert len(answers) == 18
    assert answers.pop("fit_xla") == "refused"
    for name, worst in answers.items():
        assert float(worst) <= (1e-5 if name.endswith("_float32") else 1e-12), name


def test_there_is_a_request_for_each_function_and_batch(identity):
    requests = read_warmup(identity / WARMUP)
    assert len(requests) == 19 * len(BATCHES)
    assert not any("xla" in name for name, _ in requests)
    for k, (name, inputs) in enumerate(requests):
        for key, array in inputs.items():
            assert len(array) == BATCHES[k % len(BATCHES)], (name, key)
            assert np.isfinite(array).all(), (name, key)
    names = [name for name, _ in requests[:: len(BATCHES)]]
    assert names[:3] == ["serving_default", "fit", "fit_from_random"]


def test_requests_are_those_of_tensorflow_serving(identity):
    # Its own classes read them, where they are installed.
    log = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    import tensorflow as tf

    raw = next(tf.data.TFRecordDataset(str(identity / WARMUP)).as_numpy_iterator())
    request = log.PredictionLog.FromString(raw).predict_log.request
    assert request.model_spec.signature_name == "serving_default"
    assert sorted(request.inputs) == ["initial", "max_steps", "targets", "tolerance"]
    assert tf.make_ndarray(request.inputs["targets"]).shape == (1, 3)


def test_requests_on_the_wire(tmp_path):
    # Against the numbers of the fields in tensorflow/serving, read by hand.
    from eigenfit_export.probes.stored import Probe
    from eigenfit_export.signatures import Signature

    probe = Probe({"x": np.zeros([1, 2])}, {}, {})
    signature = Signature("f", (), lambda: {})
    write_warmup(tmp_path, [signature], {"f": probe}, [3])
    raw = (tmp_path / WARMUP).read_bytes()[12:-4]  # without the frame of the record
    log = fields(raw)
    assert list(log) == [6]  # predict_log
    request = fields(fields(log[6])[1])
    assert fields(request[1]) == {3: b"f"}  # model_spec.signature_name
    entry = fields(request[2])  # inputs
    assert entry[1] == b"x"
    tensor = fields(entry[2])
    sizes = [fields(x)[1] for x in fields(tensor[2])[2]]  # tensor_shape.dim.size
    assert sizes == [3, 2]


def fields(message):
    """Decodes one level of a message: number -> content, a list if repeated."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        content = varint()
        if kind == 2:
            content, at = message[at : at + content], at + content
        found.setdefault(number, []).append(content)
    return {k: x if len(x) > 1 else x[0] for k, x in found.items()}


def test_too_many_requests_are_refused(tmp_path):
    from eigenfit_export.signatures import Signature

    signature = Signature("f", (), lambda: {})
    with pytest.raises(ValueError, match="1001 requests"):
        write_warmup(tmp_path, [signature], {}, range(1, 1002))
