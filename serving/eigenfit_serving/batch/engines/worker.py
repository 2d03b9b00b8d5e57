"""The worker of both engines: loads the model once, then solves part after part."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from eigenfit_serving.batch.answers.output import CODE_NAMES
from eigenfit_serving.batch.plan.parts import Part
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.tables.reading import Reader
from eigenfit_serving.batch.tables.writing import write_part
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    from eigenfit_serving.batch.engines.kernel import Kernel


@dataclass(frozen=True)
class Event:
    """News for the run while workers work."""

    done: Part | None = None  # a part whose file has been written
    counts: Sequence[int] = ()  # its rows by code, or else those of parts in progress
    ready: bool = False  # whether a worker has become ready


def load_kernel(job: Job, name: str) -> Kernel:
    """Loads TensorFlow and the model, and makes a fit so that later ones are fast.

    Raises:
        InputError: If the job wants a GPU and there is none.
    """
    import tensorflow as tf

    from eigenfit_serving.batch.engines.kernel import Kernel
    from eigenfit_serving.batch.solving.fitting import Fitter

    devices = tf.config.list_physical_devices("GPU")
    if job.gpu and not devices:
        raise InputError(
            f"gpus: TensorFlow finds no GPU for a worker on {platform.node()}. Give "
            f"gpus = 0, or install what it lacks: a driver, tensorflow[and-cuda]."
        )
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for device in devices:
        tf.config.experimental.set_memory_growth(device, True)
    tf.get_logger().setLevel("ERROR")
    fitter = Fitter(job.model, job.batch_size)
    fitter.warm_up()
    return Kernel(fitter, job.settings, name)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    # Turns unforeseen errors into one line.
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # TensorFlow has its own error class.
        kind = type(error).__name__
        if isinstance(error, MemoryError) or "ResourceExhausted" in kind:
            os._exit(3)  # A smaller part may fit into memory.
        text = " ".join(str(error).split())[:500]
        raise InputError(f"a worker failed: {kind}: {text}") from None


class Worker:
    """Solves parts and writes their files.

    `load` makes the kernel; into `told`, `[8]` int, the rows of the part solved so far
    are written, by code.

    Raises:
        InputError: If the model cannot be loaded.
    """

    @_explained()
    def __init__(
        self,
        job: Job,
        name: str,
        load: Callable[[Job, str], Kernel] = load_kernel,
        told: np.ndarray | None = None,
    ) -> None:
        self._job = job
        self._told = np.zeros(len(CODE_NAMES), int) if told is None else told
        self._kernel, self._reader = load(job, name), Reader(job.inputs, job.schema)

    @_explained()
    def work(self, part: Part) -> list[int]:
        """Solves the rows of a part and writes its file; returns its rows by code.

        Raises:
            InputError: If the input cannot be read, or the output not written.
        """
        tables, first, counts = [], part.first, np.zeros(len(CODE_NAMES), int)
        size = self._kernel.rows_per_batch
        for batch in self._reader.read(part.first, part.rows, size):
            answers = self._kernel.solve(batch, first, part.give_up)
            tables.append(answers.table)
            first += batch.num_rows
            counts += answers.counts
            self._told[:] = counts
        table, path = pa.Table.from_batches(tables), self._job.parts / part.name
        write_part(table, counts.tolist(), path, self._job.drafts)
        return counts.tolist()
