"""Seeds of random starts, which depend only on the run's seed and a row's place."""

from __future__ import annotations

import numpy as np


def start_seeds(seed: int, rows: np.ndarray, members: int) -> np.ndarray:
    """Derives the seed of each start.

    It is the same whatever batch, worker or engine computes the row. The mixing
    function is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

    Args:
        seed: Seed of the run, any integer.
        rows: `[b]`, indices of the rows in the whole input.
        members: Number of starts per row.

    Returns:
        `[b, members]` int32, at least 0. With more starts, the first seeds stay.

    Example:
        >>> start_seeds(0, np.array([5, 6]), 2)[1].tolist() == (
        ...     start_seeds(0, np.array([6]), 3)[0, :2].tolist()
        ... )
        True
    """
    with np.errstate(over="ignore"):
        own = _mixed(np.uint64(seed % 2**64))
        own = _mixed(own + np.asarray(rows).astype(np.uint64))
        mixed = _mixed(own[:, np.newaxis] + np.arange(members, dtype=np.uint64))
    return (mixed >> np.uint64(33)).astype(np.int32)


def _mixed(x: np.ndarray | np.uint64) -> np.ndarray:
    x = np.asarray(x + np.uint64(0x9E3779B97F4A7C15))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
