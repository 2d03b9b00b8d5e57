"""What is used of TensorFlow beside its public interface: two files, and it works.

A new TensorFlow that lacks one of these, or does something else, fails here.
"""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from eigenfit.tensors.private_tf import inside_xla, is_watched, portable_stablehlo
from eigenfit_serving.server.running.private_tf import (
    Program,
    parse_saved_model,
    stoppable,
)

ROOT = Path(__file__).parents[1]
PRIVATE = re.compile(
    r"tensorflow\.(python|core|compiler|tsl)\b|tf\.__internal__|\._inference_function|"
    r"\._arg_keywords"
)
HOMES = [
    "serving/eigenfit_serving/server/running/private_tf.py",
    "solver/eigenfit/tensors/private_tf.py",
]


def test_private_names_stand_in_two_files():
    found = [
        str(path.relative_to(ROOT))
        for package in ("solver", "export", "serving")
        for path in (ROOT / package).rglob("*.py")
        if PRIVATE.search(path.read_text("utf-8"))
    ]
    assert sorted(found) == HOMES


@pytest.mark.parametrize("compiled", [False, True])
def test_a_program_knows_that_xla_compiles_it(compiled):
    seen = []

    def inner(x):
        seen.append(inside_xla())
        return x + 1

    # The function within does not say itself that it is compiled.
    within = tf.function(inner)
    outer = tf.function(lambda x: within(x), jit_compile=compiled, autograph=False)
    assert float(outer(tf.constant(1.0))) == 2.0
    assert set(seen) == {compiled}
    assert not inside_xla()


def test_tensors_are_watched_by_tapes_and_accumulators():
    x = tf.constant([1.0, 2.0])
    variable = tf.Variable(x)
    assert not is_watched(x)
    assert not is_watched(tf.convert_to_tensor(variable))
    with tf.GradientTape() as tape:
        assert not is_watched(x)
        assert is_watched(tf.convert_to_tensor(variable))
        assert is_watched(2 * variable)
        tape.watch(x)
        assert is_watched(x)
        with tape.stop_recording():
            assert not is_watched(x)
    assert not is_watched(x)
    with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)):
        assert is_watched(x)


def test_stablehlo_is_portable():
    @tf.function(jit_compile=True)
    def program(x):
        return 2.0 * x

    spec = tf.TensorSpec([3], tf.float32)
    text = program.experimental_get_compiler_ir(spec)(
        stage="stablehlo", platform_name="CPU"
    )
    artefact = portable_stablehlo(text, "1.0.0")
    assert artefact.startswith(b"ML\xefR")
    assert b"StableHLO_v1.0.0" in artefact


class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="number")])
    def count(self, number):
        zero = tf.zeros([], tf.int64)
        end = tf.while_loop(lambda k: k < number, lambda k: [k + 1], [zero])[0]
        return {"twice": 2 * end, "once": end}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("model"))
    model = Model()
    tf.saved_model.save(model, folder, signatures={"count": model.count})
    return folder


def test_a_signature_runs_by_its_name(path):
    loaded = tf.saved_model.load(path)
    program = Program(loaded.signatures["count"])
    assert program.inputs == {"number": tf.int64}
    outputs = program.run({"number": np.int64(5)})
    values = {name: int(outputs[k]) for name, k in program.outputs.items()}
    assert values == {"once": 5, "twice": 10}


def test_a_run_can_be_stopped(path):
    program = Program(tf.saved_model.load(path).signatures["count"])
    stop, running = stoppable()
    timer = threading.Timer(0.1, stop)
    timer.start()
    with pytest.raises(tf.errors.CancelledError), running:
        program.run({"number": np.int64(2**62)})
    timer.join()


def test_the_message_of_a_model_has_its_signatures(path):
    [graph] = parse_saved_model(path).meta_graphs
    assert set(graph.meta_info_def.tags) == {"serve"}
    assert set(graph.signature_def["count"].inputs) == {"number"}
