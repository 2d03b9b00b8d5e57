"""Settings of the whole test suite."""

import gc
import os
from collections import defaultdict
from zlib import crc32

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# Two test processes on two cores: with two threads each they wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "eigenfit", deadline=None, max_examples=30, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("eigenfit")

# Graphs are many objects and no garbage: a tenth of the time went to looking at them.
gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200213)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves to the long tail what a sample tells as well.

    That is what XLA compiles, but for one case of each test (it takes 2 to 30 s each
    time, ten times as long as a trace), and the cases of tests marked `sample(n)`
    beyond n, which are always the same ones.
    """
    cases = defaultdict(list)
    for item in items:
        if item.get_closest_marker("slow") is None:
            cases[item.nodeid.partition("[")[0]].append(item)
    for of_one_test in cases.values():
        compiled = [item for item in of_one_test if "xla" in _parameters(item)]
        left = [item for item in of_one_test if item not in compiled[1:]]
        sample = of_one_test[0].get_closest_marker("sample")
        left.sort(key=lambda item: crc32(item.nodeid.encode()))
        kept = left[: sample.args[0]] if sample else left
        for item in of_one_test:
            if item not in kept:
                item.add_marker(pytest.mark.slow)


def _parameters(item: pytest.Item) -> list[str]:
    callspec = getattr(item, "callspec", None)
    return [str(value) for value in callspec.params.values()] if callspec else []
