"""Loads a SavedModel, also one of TensorFlow 1, and runs its signatures."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit_serving.protocol.dtypes import name_of
from eigenfit_serving.protocol.status import Code, ServingError, invalid
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.private_tf import Program, stoppable
from eigenfit_serving.server.running.saved_graph import read_signatures

TIMED_OUT = "Timed out waiting for notification"
"""The runtime's message when a deadline has passed."""

_log = logging.getLogger(__name__)

# What only eager execution adds to a message, before and after.
_EAGER = re.compile(r"^\{\{function_node [^}]*\}\} | \[Op:[^\]]*\]( name: \S*)?\s*$")


class SavedModel:
    """A version of a model; a `Servable`, loaded at once.

    Attributes:
        compiled: Names of the signatures that XLA compiles.

    Raises:
        ServingError: With the code and text of the loader.
    """

    def __init__(self, path: str, name: str, version: int, options: Options) -> None:
        set_parallelism(options)
        self.name, self.version, self.path = name, version, path
        given = options.saved_model_tags.split(",")
        tags = tuple(tag.strip() for tag in given if tag.strip()) or ("serve",)
        self.signatures = read_signatures(path, tags)
        with _translated(f"{path}: ", OSError, RuntimeError, KeyError):
            self._model: Any = tf.saved_model.load(path, tags=list(tags))
            found = self._model.signatures
            self._programs = {key: Program(found[key]) for key in found}
            self.compiled = frozenset(key for key in found if _is_compiled(found[key]))

    def run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs one signature; see `Servable.run`."""
        context.check()
        if self._model is None:
            raise ServingError(Code.UNAVAILABLE, f"{self.name} is unloaded.")
        program = self._programs.get(signature)
        if program is None:
            raise invalid(f"The signature {signature} cannot be run.")
        _check_types(program, inputs)
        stop, running = stoppable()
        context.on_cancel(stop)
        start = time.perf_counter()
        try:
            with _translated(""):
                with running:
                    results = program.run(inputs)
                return [_array(results[program.outputs[x]].numpy()) for x in outputs]
        except ServingError as error:
            if error.code is not Code.CANCELLED:
                raise
            if context.remaining() == 0.0:
                raise ServingError(Code.DEADLINE_EXCEEDED, TIMED_OUT) from error
            context.check()
            raise
        finally:
            context.run_seconds += time.perf_counter() - start
            context.on_cancel(None)

    def close(self) -> None:
        """Releases the functions and variables."""
        self._model, self._programs = None, {}


def set_parallelism(options: Options) -> None:
    """Sets the numbers of threads, once, before TensorFlow has started any."""
    both = options.tensorflow_session_parallelism
    intra = options.tensorflow_intra_op_parallelism or both
    inter = options.tensorflow_inter_op_parallelism or both
    threading = tf.config.threading
    try:
        if intra and threading.get_intra_op_parallelism_threads() != intra:
            threading.set_intra_op_parallelism_threads(intra)
        if inter and threading.get_inter_op_parallelism_threads() != inter:
            threading.set_inter_op_parallelism_threads(inter)
    except RuntimeError:
        _log.warning("TensorFlow runs already; its numbers of threads stay.")


def _is_compiled(function: Any) -> bool:
    """Tells whether XLA compiles a function, or one that it calls."""
    graph = function.graph.as_graph_def()
    marked = [*graph.node, *graph.library.function]
    marked += [node for inner in graph.library.function for node in inner.node_def]
    flag = "_XlaMustCompile"
    return any(flag in x.attr and x.attr[flag].b for x in marked)


def _check_types(program: Program, inputs: Mapping[str, np.ndarray]) -> None:
    for index, (name, dtype) in enumerate(sorted(program.inputs.items())):
        if inputs[name].dtype != dtype.as_numpy_dtype:
            given = tf.as_dtype(inputs[name].dtype)
            wanted, got = (name_of(x.as_datatype_enum) for x in (dtype, given))
            raise invalid(f"Expects arg[{index}] to be {wanted} but {got} is provided")


def _array(value: Any) -> np.ndarray:
    r"""Makes an array of an output of a run.

    A string tensor without dimensions comes as bytes, whose trailing zeros NumPy would
    drop; other tensors without dimensions come as NumPy scalars.

    >>> _array(b"a\x00")
    array(b'a\x00', dtype=object)
    """
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


@contextmanager
def _translated(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Translates what is raised while a model loads or runs to protocol errors."""
    try:
        yield
    except tf.errors.OpError as error:
        known = error.error_code in set(Code)
        code = Code(error.error_code) if known else Code.UNKNOWN
        raise ServingError(code, _EAGER.sub("", error.message or "")) from error
    except MemoryError as error:
        text = f"{what}There is no memory for it."
        raise ServingError(Code.RESOURCE_EXHAUSTED, text) from error
    except (ValueError, TypeError, *kinds) as error:
        raise invalid(f"{what}{error}") from error
