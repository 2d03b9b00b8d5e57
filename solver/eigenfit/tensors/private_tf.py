"""What solver and export use of TensorFlow beside its public interface.

Each function says why, and which public way was tried. `tests/test_private_tf.py` fails
when a new TensorFlow lacks one.
"""

from __future__ import annotations

import tensorflow as tf


def inside_xla() -> bool:
    """Returns whether the code being traced will be compiled by XLA.

    XLA has eigensolvers that differ from those of other devices, and no `tf.cond` for
    part of a batch. A function knows its own `jit_compile` only, not that of the
    function it is inlined into, and there is no public question for it: the graph has
    no mark until it is compiled.
    """
    return tf.__internal__.get_enclosing_xla_context() is not None


def is_watched(tensor: tf.Tensor) -> bool:
    """Returns whether a tape or forward accumulator follows what is made of a tensor.

    To attach a derivative takes longer than a small fit. No public
    question tells whether anything would ever ask for it: a tape does not say what it
    watches, nor is there a list of tapes.

    Args:
        tensor: An eager tensor.
    """
    from tensorflow.python.ops import gradients_util

    kinds: int = gradients_util.PossibleTapeGradientTypes([tensor])  # type: ignore[attr-defined]
    return kinds != gradients_util.POSSIBLE_GRADIENT_TYPES_NONE


def portable_stablehlo(program: str, version: str) -> bytes:
    """Serialises a StableHLO program so that later versions of MLIR can read it.

    The public `experimental_get_compiler_ir` gives text, which is not portable, and the
    `stablehlo` package on PyPI is built for other versions than TensorFlow's program.

    Args:
        program: The program as text.
        version: Version of StableHLO that must be able to read it, such as "1.0.0".
    """
    from tensorflow.compiler.mlir.stablehlo import stablehlo

    return stablehlo.serialize_portable_artifact_str(  # type: ignore[attr-defined]
        program, version
    )
