"""Values with their errors, written as in tables of constants."""

from __future__ import annotations

import numpy as np


def with_error(value: float, error: float, at_bound: bool = False) -> str:
    """Writes a value with a three-digit error in units of its last digit.

    Args:
        value: Value of a parameter.
        error: Its standard error; inf if it is not determined.
        at_bound: Whether the value lies on a bound and has no error.

    Example:
        >>> with_error(29172.654252, 0.00279)
        '29172.65425(279)'
        >>> with_error(1234.5, 678.0), with_error(2.0, 0.0)
        ('1234(678)', '2')
        >>> with_error(2.0, np.inf), with_error(1.5, np.nan, at_bound=True)
        ('2 (not determined)', '1.5 (at bound)')
    """
    if at_bound:
        return f"{value:.10g} (at bound)"
    if np.isinf(error):
        return f"{value:.6g} (not determined)"
    if not error > 0 or not np.isfinite(value):
        return f"{value:.10g}"
    exponent = int(np.floor(np.log10(error)))
    digits = 2 - exponent
    if digits > 12 or abs(value) >= 1e15:
        # The same digits, but no more than a float has.
        size = int(np.floor(np.log10(abs(value)))) if value else exponent
        return f"{value:.{min(max(size + digits, 0), 16)}e} +- {error:.2e}"
    if exponent >= 2:
        return f"{value:.0f}({error:.0f})"
    if round(error * 10**digits) == 1000:
        digits -= 1
    return f"{value:.{digits}f}({round(error * 10**digits)})"
