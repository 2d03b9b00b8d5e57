"""A driver of fake workers: `... MODEL INPUT OUTPUT`."""

import sys

from eigenfit_serving.batch import local, run_batch

if __name__ == "__main__":
    local.WORKER = "tests.serving.batch.fake_worker"
    model, table, output = sys.argv[1:]
    run_batch(model, table, output, workers=2, batch_size=64)
