"""SavedModels to serve, written once a process, and loaded once."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import tensorflow as tf

from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.executor import SavedModel

v1 = tf.compat.v1


@cache
def root() -> Path:
    path = Path(tempfile.mkdtemp(prefix="eigenfit-grpc-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def modern() -> str:
    """Many signatures, written by TensorFlow 2."""
    path = root() / "modern" / "3"
    tf.saved_model.save(module := _Modern(), str(path), signatures=module.signatures())
    return str(path)


@cache
def classic() -> str:
    """Two graphs with signatures of all methods, as TensorFlow 1 wrote them."""
    path = root() / "classic" / "1"
    builder = v1.saved_model.Builder(str(path))
    for factor, tags in ((1.0, ["serve"]), (10.0, ["serve", "gpu"])):
        with tf.Graph().as_default(), v1.Session() as session:
            signatures = _classic_signatures(factor)
            session.run([v1.global_variables_initializer(), v1.tables_initializer()])
            add = (
                builder.add_meta_graph_and_variables
                if factor == 1.0
                else builder.add_meta_graph
            )
            more = (session, tags) if factor == 1.0 else (tags,)
            add(*more, signatures, main_op=v1.tables_initializer())
    builder.save()
    return str(path)


@cache
def loaded(which: str, **options):
    path = {"modern": modern, "classic": classic}[which]()
    version = int(Path(path).name)
    return SavedModel(path, which, version, Options(**options))


class _Modern(tf.Module):
    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([2.0, 3.0])

    @tf.function
    def double(self, x):
        return {"y": x * self.scale, "sum": tf.reduce_sum(x, 1)}

    @tf.function
    def two(self, a, b):
        return {"total": tf.cast(a, tf.float64) + b}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "x"),
            tf.TensorSpec([None], tf.float32, "by"),
        ]
    )
    def optional(self, x, by=tf.constant([2.0])):  # noqa: B008 - saved as a default
        return {"y": x * by}

    @tf.function
    def text(self, s):
        return {"joined": tf.strings.join([s, "!"]), "length": tf.strings.length(s)}

    @tf.function
    def scalar(self, s, x):
        return {"same": s, "half": x / 2}

    @tf.function
    def types(self, h, c, i, b):
        return {"h": h * tf.cast(2, h.dtype), "c": c * c, "i": i + 1, "b": ~b}

    @tf.function
    def count(self, n):
        # Long, and it can be stopped.
        last = tf.while_loop(
            lambda i, _: i < n[0],
            lambda i, x: (i + 1, tf.sin(x) + 1.0),
            (tf.constant(0), tf.constant([1.0])),
        )
        return {"x": last[1]}

    @tf.function
    def checked(self, x):
        with tf.control_dependencies([tf.debugging.assert_positive(x, "not positive")]):
            return {"y": tf.sqrt(x)}

    def signatures(self):
        def spec(shape, dtype, name):
            return tf.TensorSpec(shape, dtype, name)

        vector = spec([None, 2], tf.float32, "x")
        row = [None]
        return {
            "serving_default": self.double.get_concrete_function(vector),
            "two": self.two.get_concrete_function(
                spec(row, tf.int32, "a"), spec(row, tf.float64, "b")
            ),
            "optional": self.optional,
            "text": self.text.get_concrete_function(spec(row, tf.string, "s")),
            "scalar": self.scalar.get_concrete_function(
                spec([], tf.string, "s"), spec([], tf.float32, "x")
            ),
            "types": self.types.get_concrete_function(
                spec(row, tf.float16, "h"),
                spec(row, tf.complex64, "c"),
                spec(row, tf.uint8, "i"),
                spec(row, tf.bool, "b"),
            ),
            "brain": self.types.get_concrete_function(
                spec(row, tf.bfloat16, "h"),
                spec(row, tf.complex128, "c"),
                spec(row, tf.uint64, "i"),
                spec(row, tf.bool, "b"),
            ),
            "count": self.count.get_concrete_function(spec(row, tf.int32, "n")),
            "checked": self.checked.get_concrete_function(spec(row, tf.float32, "x")),
        }


def _classic_signatures(factor):
    info = v1.saved_model.build_tensor_info
    examples = v1.placeholder(tf.string, [None], "examples")
    parsed = v1.io.parse_example(
        examples,
        {
            "x": v1.FixedLenFeature([1], tf.float32),
            "shift": v1.FixedLenFeature([1], tf.float32, [0.0]),
        },
    )
    # One of the old kind, which functions cannot hold.
    weight = v1.Variable(factor, use_resource=False, name="weight")
    y = parsed["x"] * weight + parsed["shift"]
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant([0, 1], tf.int64), tf.constant(["no", "yes"])
        ),
        "?",
    )
    batch = tf.shape(y)[0]
    labels = table.lookup(tf.tile(tf.constant([[0, 1]], tf.int64), [batch, 1]))
    scores = tf.concat([-y, y], 1)
    plain = v1.placeholder(tf.float32, [None, 2], "plain")

    def make(inputs, outputs, method):
        return v1.saved_model.build_signature_def(
            {k: info(t) for k, t in inputs.items()},
            {k: info(t) for k, t in outputs.items()},
            method,
        )

    predict = "tensorflow/serving/predict"
    given = {"inputs": examples}
    return {
        "serving_default": make(given, {"classes": labels, "scores": scores}, predict),
        "plain": make({"x": plain}, {"y": plain * weight}, predict),
        "odd": make(given, {"outputs": y}, "my/method"),
    }
