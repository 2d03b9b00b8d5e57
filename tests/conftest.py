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
