"""A worker with the real solver; the first to have solved a batch kills itself."""

import os
import signal
from pathlib import Path

from eigenfit_serving.batch.engines import worker

DIED = "EIGENFIT_TEST_DIED"
"""Environment variable: the file that the worker which dies leaves behind."""


class MortalKernel:
    def __init__(self, kernel):
        self._kernel, self.rows_per_batch = kernel, kernel.rows_per_batch

    def solve(self, *arguments):
        answers = self._kernel.solve(*arguments)
        try:
            # Of several workers exactly one can make it.
            os.close(os.open(Path(os.environ[DIED]), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return answers
        os.kill(os.getpid(), signal.SIGKILL)


def load_kernel(job, name):
    return MortalKernel(worker.load_kernel(job, name))
