"""Other ways to solve the same problems, each through one class.

A peer is built from the data of a problem (compiling may take place there or in its
first call) and has a `title`, a number `count` of starts it runs and a method `run`
that returns parameters `[count, p]` as a NumPy array.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from problems import Data


def _jax(data: Data, quick: bool) -> list[Any]:
    from peers.optimistix_lm import Optimistix

    return [Optimistix(data)]


def _scipy(data: Data, quick: bool) -> list[Any]:
    from peers.scipy_least_squares import LeastSquares

    return [LeastSquares(data, sample(data, 2 if quick else 50))]


def _torch(data: Data, quick: bool) -> list[Any]:
    from peers.torch_loops import LBFGS, Adam

    return [
        Adam(data, sample(data, 2 if quick else 50), max_steps=50 if quick else 3000),
        LBFGS(data, sample(data, 2 if quick else 10)),
    ]


# Title, packages it needs, and what builds it.
PEERS: list[tuple[str, list[str], Callable[[Data, bool], list[Any]]]] = [
    ("JAX + optimistix", ["jax", "optimistix"], _jax),
    ("SciPy least_squares", ["scipy"], _scipy),
    ("PyTorch", ["torch"], _torch),
]


def sample(data: Data, count: int) -> np.ndarray:
    """The first starts: they are random, and slow peers are timed on some only."""
    return data.starts[:count]


def build(data: Data, quick: bool) -> tuple[list[Any], list[str]]:
    """Builds the peers that are installed.

    Returns:
        The peers, and the titles of those that are absent.
    """
    present, absent = [], []
    for title, packages, make in PEERS:
        if all(find_spec(package) for package in packages):
            present += make(data, quick)
        else:
            absent.append(title)
    return present, absent
