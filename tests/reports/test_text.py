"""Reports as text and HTML."""

import numpy as np

from eigenfit.reports.numbers import format_array


def test_small_numbers_are_not_printed_as_zero():
    assert format_array(np.array([1e-9, 2e-9])) == "  1.e-09 2.e-09"
    assert format_array(np.array([1.0, -1e-17])) == "  1. 0."
