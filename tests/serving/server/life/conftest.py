"""Models that several tests serve, each exported once."""

import pytest
import tensorflow as tf

from eigenfit_export import export_solver


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """The seed's problem: the folder of its version."""
    import eigenfit as ef
    from eigenfit import gallery

    entry = gallery.load("identity")
    solver = ef.Solver(entry.problem, entry.method, compile="graph")
    base = tmp_path_factory.mktemp("identity") / "model"
    return export_solver(solver, base, ("savedmodel",))


class Doubling(tf.Module):
    """Doubles its input, with XLA and without, directly and through a function."""

    def __init__(self):
        super().__init__()
        spec = tf.TensorSpec([None, 2], tf.float32, "x")
        compiled = tf.function(lambda x: 2 * x, jit_compile=True)
        self.plain = tf.function(lambda x: {"y": 2 * x}, [spec])
        self.nested = tf.function(lambda x: {"y": compiled(x) + 0}, [spec])
        self.xla = tf.function(lambda x: {"y": 2 * x}, [spec], jit_compile=True)


@pytest.fixture(scope="session")
def doubling(tmp_path_factory):
    """A small model with signatures `plain`, `nested` and `xla`: its version."""
    folder = tmp_path_factory.mktemp("doubling") / "1"
    module = Doubling()
    names = ("plain", "nested", "xla")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(folder), signatures)
    return folder
