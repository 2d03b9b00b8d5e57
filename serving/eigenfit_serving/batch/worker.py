"""A process that works on parts: `python -m eigenfit_serving.batch.worker`.

It is told a job, then parts, a line of JSON each, and answers with lines: `ready`,
`solved` after each batch, `done` after each part, or `failed`. When its driver is gone
it ends at once.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from eigenfit_serving.batch.model import read_facts
from eigenfit_serving.batch.output import CODE_NAMES
from eigenfit_serving.batch.parts import Part
from eigenfit_serving.batch.reading import Reader
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.writing import OutputError, write_part
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from eigenfit_serving.batch.kernel import Kernel


def load_kernel(job: Job, worker: str) -> Kernel:
    """Loads TensorFlow and the models, and makes a fit, so that the next are fast.

    Args:
        job: What is to be done.
        worker: Name of this process in the answers.

    Raises:
        InputError: If it shall compute on a GPU and there is none.
    """
    import tensorflow as tf

    from eigenfit_serving.batch.fitting import Fitter
    from eigenfit_serving.batch.kernel import Kernel

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
    facts = read_facts(Path(job.models[0]))
    fitter = Fitter(job.models, facts, job.batch_size)
    fitter.warm_up()
    return Kernel(fitter, job.settings, job.weights, worker)


def work(
    kernel: Kernel,
    reader: Reader,
    part: Part,
    job: Job,
    tell: Callable[[int, list[int]], None] = lambda rows, counts: None,
) -> dict[str, Any]:
    """Reads the rows of a part, solves them and writes the answers.

    Args:
        kernel: Solves them.
        reader: Reads them.
        part: Which rows.
        job: Where to write.
        tell: Called after each batch with its rows and their number for each code.

    Returns:
        What the ledger keeps: the part's rows, its file's bytes, rows by code.

    Raises:
        InputError: If the input cannot be read or the output not be written.
    """
    import pyarrow as pa

    batches, counts = [], [0] * len(CODE_NAMES)
    for answers in _solved(kernel, reader, part):
        batches.append(answers.table)
        new = [int(x) for x in answers.counts]
        counts = [a + b for a, b in zip(counts, new, strict=True)]
        tell(sum(new), new)
    table: pa.Table = pa.Table.from_batches(batches)
    path = Path(job.parts, part.name)
    size = write_part(table, path, Path(job.drafts))
    return {"first": part.first, "rows": part.rows, "bytes": size, "counts": counts}


def _solved(kernel: Kernel, reader: Reader, part: Part) -> Iterator[Any]:
    import pyarrow as pa

    size, first = kernel.rows_per_batch, part.first
    waiting: list[pa.RecordBatch] = []
    rows = 0

    def joined() -> pa.RecordBatch:
        (batch,) = pa.Table.from_batches(waiting).combine_chunks().to_batches()
        return batch

    for batch in reader.read(part, size):
        # Small batches are joined, if their files are alike; larger ones cannot come.
        alike = not waiting or waiting[0].schema.equals(batch.schema)
        if rows + batch.num_rows > size or not alike:
            yield kernel.solve(joined(), first, part.give_up)
            first += rows
            waiting, rows = [], 0
        waiting.append(batch)
        rows += batch.num_rows
    if waiting:
        yield kernel.solve(joined(), first, part.give_up)


def exit_if_memory(error: Exception) -> None:
    """Ends the process if it has no memory left: a smaller part may have enough."""
    # TensorFlow has its own class for this.
    if isinstance(error, MemoryError) or "ResourceExhausted" in type(error).__name__:
        os._exit(3)


def one_line(error: Exception) -> str:
    """Describes an error that nobody foresaw."""
    text = " ".join(str(error).split())[:500]
    return f"a worker failed: {type(error).__name__}: {text}"


def main() -> None:
    """Works until there is nothing more to do."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, lines), daemon=True).start()

    def say(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")

    request = json.loads(lines.get())
    job = Job.from_json(request["job"])
    try:
        kernel = load_kernel(job, request["worker"])
        reader = Reader()
        say(ready=True)
        while True:
            part = Part.from_json(json.loads(lines.get()))
            done = work(kernel, reader, part, job, lambda n, c: say(solved=n, counts=c))
            say(done=done)
    except InputError as error:
        say(failed=str(error), is_output=isinstance(error, OutputError))
    except Exception as error:
        exit_if_memory(error)
        say(failed=one_line(error), is_output=False)
    answers.flush()
    os._exit(0)


def _listen(stream: TextIO, lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    # The driver has ended, however that came.
    os._exit(0)


if __name__ == "__main__":
    main()
