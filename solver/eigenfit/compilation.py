"""One function, compiled lazily in each of the ways it may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from eigenfit.xla import inside_xla

Mode = Literal["graph", "xla", "eager"]

MODES: tuple[Mode, ...] = ("graph", "xla", "eager")


class Compiled:
    """A pure function with a fixed input signature, traced at most once per mode.

    Args:
        function: To compile.
        signature: Nests of `tf.TensorSpec`, one for each argument.

    Attributes:
        signature: The same.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        self.signature = signature
        self._function = function
        self._concrete: dict[Mode, Any] = {}
        self._num_traces = 0

    def variant(self, mode: Mode) -> Callable[..., Any]:
        """Gives the function as it runs in a mode.

        Inside a function that XLA compiles, "graph" becomes "xla" as well, so that
        the eigensolver is the one made for it.
        """
        if mode == "eager":
            return self._function
        if inside_xla():
            mode = "xla"
        if mode not in self._concrete:
            compiled = tf.function(
                self._traced,
                input_signature=self.signature,
                jit_compile=mode == "xla",
                autograph=False,
            )
            # The concrete function: a solver each for many problems is no retracing
            # that TensorFlow should warn of.
            self._concrete[mode] = compiled.get_concrete_function()  # type: ignore[attr-defined]
        return self._concrete[mode]

    def num_traces(self) -> int:
        """Counts the traces made so far, over all modes."""
        return self._num_traces

    def output_specs(self) -> Any:
        """Describes what the function returns: the same nest of `tf.TensorSpec`."""
        outputs = self.variant("graph").structured_outputs  # type: ignore[attr-defined]
        return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)

    def _traced(self, *arguments: Any) -> Any:
        self._num_traces += 1
        return self._function(*arguments)
