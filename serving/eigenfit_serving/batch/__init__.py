"""Solves tables of problems, of any size, with an exported solver.

Example:
    >>> from eigenfit_serving.batch import run_batch
    >>> report = run_batch("models/seed", "in.parquet", "out.parquet")  # doctest: +SKIP
    >>> report.counts  # doctest: +SKIP
    {'converged': 999000, 'invalid_input': 1000}
"""

import importlib.util

from eigenfit_serving.errors import InputError

if importlib.util.find_spec("pyarrow") is None:
    raise InputError(
        'INPUT: tables need pyarrow. Install it: pip install "eigenfit[batch]"'
    )

from eigenfit_serving.batch.answers.report import BatchReport
from eigenfit_serving.batch.run import run_batch

__all__ = ["BatchReport", "run_batch"]
