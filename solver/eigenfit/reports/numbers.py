"""Numbers and arrays as text, with the digits that they deserve."""

from __future__ import annotations

import numpy as np


class Fixed:
    """Writes numbers with the same decimals, unless that shows too few digits.

    Args:
        numbers: The numbers that are to stand below each other.
        digits: Digits of the largest of them.

    Example:
        >>> fixed = Fixed(np.array([1.5, 200.25]), 7)
        >>> fixed(1.5), fixed(200.25)
        ('1.5000', '200.2500')
    """

    def __init__(self, numbers: np.ndarray, digits: int) -> None:
        # A fit that could not begin has no levels.
        largest = np.abs(numbers[np.isfinite(numbers)]).max(initial=1e-300)
        self.before = int(np.floor(np.log10(largest))) + 1
        self.digits = digits

    def __call__(self, x: float) -> str:
        """Writes one of the numbers."""
        if -3 < self.before < self.digits:
            return f"{x:.{self.digits - max(self.before, 1)}f}"
        return f"{x:.{self.digits - 1}e}"


def format_array(array: np.ndarray, width: int = 80) -> str:
    """Writes a vector or matrix in aligned columns, without its middle if large.

    Example:
        >>> print(format_array(np.array([[1.0, -0.5], [-0.5, 2.0]])))
           1.0 -0.5
          -0.5  2.0
    """
    precision = 4 if array.ndim == 2 and array.shape[1] > 6 else 6
    moderate = 1e-3 <= np.abs(array).max() < 1e6
    if moderate:
        # Show rounding noise and minus zero as zero.
        array = np.round(array, precision) + 0.0
    text = np.array2string(
        array,
        precision=precision,
        suppress_small=bool(moderate),
        floatmode="maxprec_equal",
        max_line_width=max(40, width - 2),
        threshold=64 if array.ndim == 2 else 24,
        edgeitems=3,
    )
    text = text.replace("[", " ").replace("]", "")
    indent = min(len(line) - len(line.lstrip()) for line in text.splitlines())
    return "\n".join("  " + line[indent:].rstrip() for line in text.splitlines())
