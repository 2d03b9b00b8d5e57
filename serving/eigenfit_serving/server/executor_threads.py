"""The numbers of threads that TensorFlow uses in this process."""

from __future__ import annotations

import logging

from eigenfit_serving.server.options import Options

_log = logging.getLogger(__name__)


def parallelism(options: Options) -> tuple[int, int]:
    """Reads the numbers of threads; zero lets TensorFlow choose.

    Returns:
        Within one operation, and for operations side by side.
    """
    both = options.tensorflow_session_parallelism
    return (
        options.tensorflow_intra_op_parallelism or both,
        options.tensorflow_inter_op_parallelism or both,
    )


def set_parallelism(options: Options) -> None:
    """Sets the numbers of threads, once, before TensorFlow has started any."""
    import tensorflow as tf

    intra, inter = parallelism(options)
    threading = tf.config.threading
    try:
        if intra and threading.get_intra_op_parallelism_threads() != intra:
            threading.set_intra_op_parallelism_threads(intra)
        if inter and threading.get_inter_op_parallelism_threads() != inter:
            threading.set_inter_op_parallelism_threads(inter)
    except RuntimeError:
        _log.warning("TensorFlow runs already; its numbers of threads stay.")
