"""What the server uses of TensorFlow beside its public interface.

`tests/test_private_tf.py` fails when a new TensorFlow lacks any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import cancellation
from tensorflow.python.eager import context as eager_context
from tensorflow.python.saved_model import loader_impl


class Program:
    """The function of one signature, as `tf.saved_model.load` returns it.

    Called by its name in the runtime, below the checks of `tf.function`, which take as
    long as a small fit and report what does not fit in other words than TensorFlow
    Serving. There is no public way to that name, or to the order of the inputs.
    """

    def __init__(self, function: Any) -> None:
        self.function, names = function, function._arg_keywords
        types = [tensor.dtype for tensor in function.inputs[: len(names)]]
        self.inputs = dict(zip(names, types, strict=True))  # types, in the order taken
        outputs = enumerate(sorted(function.structured_outputs))
        self.outputs = {name: place for place, name in outputs}

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[Any]:
        """Runs the function; returns all its outputs."""
        tensors = [tf.constant(inputs[name]) for name in self.inputs]
        return cast(Any, eager_context.context()).call_function(
            self.function._inference_function.name,
            [*tensors, *self.function.captured_inputs],
            len(self.function.outputs),
        )


def stoppable() -> tuple[Callable[[], None], AbstractContextManager[Any]]:
    """Makes a function that stops what runs within the context that comes with it.

    Public TensorFlow cannot end a function that runs: a thread would go on with it
    after its caller had left.
    """
    manager = cancellation.CancellationManager()
    return manager.start_cancel, cancellation.CancellationManagerContext(manager)


def parse_saved_model(path: str) -> Any:
    """Reads the message of a SavedModel, with the signatures and their defaults.

    The public loader gives neither defaults nor graphs of other tags, and restores all
    variables first.
    """
    return loader_impl.parse_saved_model(path)
