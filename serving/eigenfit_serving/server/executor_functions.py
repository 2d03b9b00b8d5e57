"""Runs a SavedModel of TensorFlow 2 as functions, which can be cancelled.

The functions are called by the name that the runtime knows them by, below the checks of
`tf.function`: that takes half the time, and what does not fit is reported by the
runtime, as in TensorFlow Serving.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import cancellation, execute
from tensorflow.python.eager import context as eager_context
from tensorflow.python.framework import ops

from eigenfit_serving.server.executor_arrays import as_array
from eigenfit_serving.server.executor_deadlines import DEADLINES
from eigenfit_serving.server.executor_errors import running_errors
from eigenfit_serving.server.executor_files import SavedGraph
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.status import Code, ServingError

# As the runtime prints types (DataTypeString); others have the same name in Python.
_TYPE_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


class UnsuitableError(Exception):
    """A model cannot be run as functions; it may run in a session."""


@dataclass(frozen=True)
class _Program:
    """The function of one signature.

    Attributes:
        function: Keeps it alive.
        name: That the runtime knows it by.
        feeds: Tensor names of its inputs, in its order.
        sorted_types: Tensor names and types, in the order in which a session counts
            them.
        captured: What is passed behind the inputs.
        num_outputs: How many tensors it gives.
    """

    function: Any
    name: str
    feeds: tuple[str, ...]
    sorted_types: tuple[tuple[str, tf.DType], ...]
    captured: tuple[Any, ...]
    num_outputs: int

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        manager: cancellation.CancellationManager,
    ) -> list[Any]:
        """Runs the function; gives all its outputs."""
        ctx: Any = eager_context.context()
        device = ctx.device_name or ""
        inputs = [
            ops.EagerTensor(feeds[x], device=device, dtype=None) for x in self.feeds
        ]
        attributes = ("config_proto", ctx.function_call_options.config_proto_serialized)
        return execute.execute_with_cancellation(
            self.name,
            self.num_outputs,
            [*inputs, *self.captured],
            attributes,
            ctx,
            manager,
        )


class FunctionServable:
    """A version of a model that runs as functions; see `Servable`.

    Args:
        path: Folder of the version.
        name: Of the model.
        version: Its number.
        graph: What is in its file.
        tags: Of the graph.

    Raises:
        UnsuitableError: If signatures and functions do not fit.
    """

    def __init__(
        self, path: str, name: str, version: int, graph: SavedGraph, tags: Sequence[str]
    ) -> None:
        self.name, self.version, self.path = name, version, path
        self.signatures = graph.signatures
        model: Any = tf.saved_model.load(path, tags=list(tags))
        self._model: Any = model
        # Where each tensor name comes from.
        self._outputs: dict[str, tuple[_Program, int]] = {}
        for key, signature in graph.signatures.items():
            if not key.startswith("__"):
                self._add(key, signature, model.signatures)

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs one signature; see `Servable.run`."""
        context.check()
        outputs = self._outputs
        if self._model is None:
            raise ServingError(Code.UNAVAILABLE, f"{self.name} is unloaded.")
        try:
            found = [outputs[name] for name in fetches]
        except KeyError as error:
            raise _invalid(f"FetchOutputs node {error.args[0]}: not found") from None
        if not found:
            raise _invalid("Must specify at least one target to fetch or execute.")
        program = found[0][0]
        if any(other is not program for other, _ in found):
            raise _invalid("The outputs belong to different signatures.")
        _check_feeds(program, feeds)
        manager = cancellation.CancellationManager()
        forget = context.on_cancel(manager.start_cancel)
        deadline = context.deadline
        unwatch = (
            None
            if deadline is None
            else DEADLINES.watch(deadline, manager.start_cancel)
        )
        start = time.perf_counter()
        try:
            with running_errors(context):
                results = program.run(feeds, manager)
                return [as_array(results[index].numpy()) for _, index in found]
        finally:
            context.run_seconds += time.perf_counter() - start
            if unwatch is not None:
                unwatch()
            forget()

    def close(self) -> None:
        """Lets go of the functions and variables."""
        self._model = None
        self._outputs = {}

    def _add(self, key: str, signature: Any, functions: Mapping[str, Any]) -> None:
        if key not in functions:
            raise UnsuitableError(f"it has no function of the signature {key}.")
        function = functions[key]
        program = _program(function, signature, key)
        specs = function.structured_outputs
        if not isinstance(specs, dict) or sorted(specs) != sorted(signature.outputs):
            raise UnsuitableError(f"the outputs of the signature {key} differ.")
        for index, alias in enumerate(sorted(specs)):
            name = signature.outputs[alias].name
            if name in self._outputs or not name:
                raise UnsuitableError(f"two signatures have the output {name!r}.")
            self._outputs[name] = program, index


def try_functions() -> np.ndarray:
    """Runs 1 + 2 as a servable would."""
    function: Any = tf.function(lambda x, y: {"sum": x + y}).get_concrete_function(
        tf.TensorSpec([], tf.float64), tf.TensorSpec([], tf.float64)
    )
    feeds = {"x:0": np.float64(1.0), "y:0": np.float64(2.0)}
    types = tuple((name, tf.float64) for name in feeds)
    program = _make(function, tuple(feeds), types)
    arrays = {name: np.asarray(value) for name, value in feeds.items()}
    return program.run(arrays, cancellation.CancellationManager())[0].numpy()


def _program(function: Any, signature: Any, key: str) -> _Program:
    specs = function.structured_input_signature[1]
    # Flattened dictionaries are in the order of their keys.
    aliases = sorted(specs)
    if aliases != sorted(signature.inputs):
        raise UnsuitableError(f"the inputs of the signature {key} differ.")
    names = [signature.inputs[alias].name for alias in aliases]
    types = []
    for alias, name in zip(aliases, names, strict=True):
        dtype = tf.as_dtype(signature.inputs[alias].dtype)
        if not name or dtype != specs[alias].dtype:
            raise UnsuitableError(f"the input {alias} of the signature {key} differs.")
        types.append((name, dtype))
    return _make(function, tuple(names), tuple(sorted(types)))


def _make(
    function: Any, feeds: tuple[str, ...], types: tuple[tuple[str, tf.DType], ...]
) -> _Program:
    captured = tuple(function.captured_inputs)
    if len(function.inputs) != len(feeds) + len(captured):
        raise UnsuitableError("a function has more inputs than its signature.")
    name = function._inference_function.name
    return _Program(
        function,
        name.decode() if isinstance(name, bytes) else name,
        feeds,
        types,
        captured,
        len(function.outputs),
    )


def _check_feeds(program: _Program, feeds: Mapping[str, np.ndarray]) -> None:
    for index, (name, dtype) in enumerate(program.sorted_types):
        array = feeds.get(name)
        if array is None:
            raise _invalid(
                f"You must feed a value for placeholder tensor '{name.split(':')[0]}' "
                f"with dtype {_type_name(dtype)}"
            )
        if array.dtype != dtype.as_numpy_dtype:
            raise _invalid(
                f"Expects arg[{index}] to be {_type_name(dtype)} but "
                f"{_type_name(tf.as_dtype(array.dtype))} is provided"
            )
    if len(feeds) != len(program.feeds):
        extra = min(set(feeds) - set(program.feeds))
        raise _invalid(f"FeedInputs: unable to find feed output {extra}")


def _type_name(dtype: tf.DType) -> str:
    name = str(dtype.name)
    return _TYPE_NAMES.get(name, name)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
