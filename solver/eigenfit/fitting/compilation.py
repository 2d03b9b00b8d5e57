"""One function, compiled lazily in each mode in which it may run."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any, Literal

import tensorflow as tf

from eigenfit.tensors.private_tf import inside_xla

# Runs a program's operations one after the other on the calling thread. Handing the
# small ones to other threads takes longer than they do.
_ONE_THREAD = "SINGLE_THREADED_EXECUTOR"

Mode = Literal["graph", "xla", "eager"]

MODES: tuple[Mode, ...] = ("graph", "xla", "eager")

Device = Literal["CPU", "GPU"]

_LARGEST_ALONE = 8
_LARGEST_ON_GPU = 64
"""Largest orders of which a processor and a GPU decompose matrices under XLA."""


def chosen_mode(
    kind: Device, order: int, batch: int | None, takes_many_steps: bool
) -> Mode:
    """Chooses how a program runs fastest.

    A processor runs one small matrix faster under XLA, once that has compiled for 1 to
    4 s, which pays where there are many steps. TensorFlow's kernel for a GPU
    decomposes a batch one matrix after the other (7.3 s for 1e5 of order 2,
    github.com/tensorflow/tensorflow/issues/30466); there the Jacobi solver under XLA
    takes all at once, and only large matrices and few of them are left to the kernel.

    Args:
        kind: Kind of the device where the program will run.
        order: Order of the matrices.
        batch: Number of members; None if it is not known.
        takes_many_steps: Whether the method usually needs hundreds of steps.

    Returns:
        "graph" or "xla".

    Example:
        >>> chosen_mode("CPU", 8, 1, True), chosen_mode("CPU", 8, 1000, True)
        ('xla', 'graph')
        >>> chosen_mode("GPU", 8, 1000, False), chosen_mode("GPU", 200, 1, False)
        ('xla', 'graph')
    """
    if kind == "GPU":
        worth = order <= _LARGEST_ON_GPU and (batch is None or batch >= order)
    else:
        worth = order <= _LARGEST_ALONE and batch == 1 and takes_many_steps
    return "xla" if worth else "graph"


@functools.cache
def device() -> Device:
    """Returns the kind of device on which programs run.

    Example:
        >>> device() in ("CPU", "GPU")
        True
    """
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


class Compiled:
    """A pure function with a fixed input signature, traced at most once per mode.

    Args:
        function: The function to compile.
        signature: Nests of `tf.TensorSpec`, one for each argument.
        small: Whether the operations are so small that one thread runs them faster.

    Attributes:
        signature: The `signature` given.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        signature: list[Any],
        *,
        small: bool = False,
    ) -> None:
        self.signature = signature
        self._function = function
        self._small = small
        self._concrete: dict[Mode, Any] = {}
        self._direct: dict[Mode, Callable[[list[Any]], list[Any]] | None] = {}
        self._num_traces = 0
        self._lock = threading.RLock()

    def variant(self, mode: Mode) -> Callable[..., Any]:
        """Returns the variant of the function that runs in a mode.

        Inside a function that XLA compiles, "graph" becomes "xla" as well, so that
        the eigensolver is the one made for it.
        """
        if mode == "eager":
            return self._function
        if inside_xla():
            mode = "xla"
        with self._lock:
            return self._variant(mode)

    def _variant(self, mode: Mode) -> Callable[..., Any]:
        if mode not in self._concrete:
            compiled = tf.function(
                self._traced,
                input_signature=self.signature,
                jit_compile=mode == "xla",
                autograph=False,
            )
            # The concrete function: TensorFlow should not warn of retracing when many
            # problems have a solver each.
            with tf.experimental.function_executor_type(self._executor(mode)):
                self._concrete[mode] = compiled.get_concrete_function()  # type: ignore[attr-defined]
        return self._concrete[mode]

    def call(self, mode: Mode, arguments: list[Any]) -> list[Any]:
        """Calls a variant with little overhead.

        A concrete function spends 0.1 ms on binding its arguments, a third of a small
        fit, and a nest costs as much; here tensors go to the operation that runs it.
        No gradient tape may watch them.

        Args:
            mode: Mode of the variant.
            arguments: A tensor for each argument, or the tuple of tensors of a nest.

        Returns:
            The results in the same form.
        """
        if tf.executing_eagerly() and mode != "eager":
            with self._lock:
                if mode not in self._direct:
                    self._direct[mode] = self._made_direct(mode)
            if direct := self._direct[mode]:
                return direct(arguments)
        flat = tf.nest.flatten(arguments)
        nests = tf.nest.pack_sequence_as(self.signature, flat)
        return [_leaves(x) for x in self.variant(mode)(*nests)]

    def _made_direct(self, mode: Mode) -> Callable[[list[Any]], list[Any]] | None:
        function: Any = self.variant(mode)
        # A tape would watch the variables, and ask this operation for its gradient.
        if function.variables or device() == "GPU":
            return None
        executor = self._executor(mode)
        leaves = [_leaves(x) for x in function.structured_outputs]
        sizes = [len(x) if isinstance(x, tuple) else None for x in leaves]
        if mode == "xla":
            # XLA compiles a function only when it is called from a graph.
            inner = function
            function = tf.function(
                lambda *x: inner(*x), input_signature=self.signature, autograph=False
            ).get_concrete_function()
        captured = function.captured_inputs
        dtypes = [x.dtype for x in function.outputs]

        def direct(arguments: list[Any]) -> list[Any]:
            results = iter(
                tf.raw_ops.StatefulPartitionedCall(
                    args=[*tf.nest.flatten(arguments), *captured],
                    Tout=dtypes,
                    f=function,
                    executor_type=executor,
                )
            )
            return [
                next(results) if size is None else tuple(islice(results, size))
                for size in sizes
            ]

        return direct

    def _executor(self, mode: Mode) -> str:
        alone = self._small and mode == "graph" and device() == "CPU"
        return _ONE_THREAD if alone else ""

    def num_traces(self) -> int:
        """Counts the traces made so far, over all modes."""
        return self._num_traces

    def output_specs(self) -> Any:
        """Describes what the function returns: the same nest of `tf.TensorSpec`."""
        traced: Any = next(iter(self._concrete.values()), None) or self.variant("graph")
        outputs = traced.structured_outputs
        return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)

    def _traced(self, *arguments: Any) -> Any:
        self._num_traces += 1
        return self._function(*arguments)


def _leaves(x: Any) -> Any:
    return tuple(tf.nest.flatten(x)) if tf.nest.is_nested(x) else x
