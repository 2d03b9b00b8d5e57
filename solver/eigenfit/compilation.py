"""One function, compiled lazily in each of the ways it may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

Mode = Literal["graph", "xla", "eager"]

MODES: tuple[Mode, ...] = ("graph", "xla", "eager")


class Compiled:
    """A pure function with a fixed input signature, traced at most once per mode.

    Args:
        function: To compile.
        signature: Nests of `tf.TensorSpec`, one for each argument.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        self._function = function
        self._signature = signature
        self._variants: dict[Mode, Callable[..., Any]] = {"eager": function}

    def variant(self, mode: Mode) -> Callable[..., Any]:
        """Gives the function as it runs in a mode."""
        if mode not in self._variants:
            self._variants[mode] = tf.function(
                self._function,
                input_signature=self._signature,
                jit_compile=mode == "xla",
                autograph=False,
            )
        return self._variants[mode]

    def num_traces(self) -> int:
        """Counts the traces made so far, over all modes."""
        compiled = (self._variants[m] for m in self._variants if m != "eager")
        return sum(f.experimental_get_tracing_count() for f in compiled)  # type: ignore[attr-defined]

    def output_specs(self) -> Any:
        """Describes what the function returns: the same nest of `tf.TensorSpec`."""
        concrete = self.variant("graph").get_concrete_function()  # type: ignore[attr-defined]
        return tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), concrete.structured_outputs
        )
