"""A driver of fake workers: `... MODEL INPUT OUTPUT`."""

import sys

from tests.serving.batch import fake_worker

from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.engines import local

if __name__ == "__main__":
    local.load_kernel = fake_worker.load_kernel
    model, table, output = sys.argv[1:]
    run_batch(model, table, output, workers=2, batch_size=64)
