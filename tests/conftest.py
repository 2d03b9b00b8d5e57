"""Settings of the whole test suite."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile(
    "eigenfit", deadline=None, max_examples=30, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("eigenfit")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20200213)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves what XLA compiles to the long tail, but for one case of each test.

    It takes 2 to 30 s each time, ten times as long as a trace.
    """
    compiled = set()
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is None or "xla" not in map(str, callspec.params.values()):
            continue
        name = item.nodeid.partition("[")[0]
        if name in compiled:
            item.add_marker(pytest.mark.slow)
        elif item.get_closest_marker("slow") is None:
            compiled.add(name)
