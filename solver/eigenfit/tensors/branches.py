"""Branches of a program, and formats that have none."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

_UNBRANCHED = contextvars.ContextVar("unbranched", default=False)


@contextlib.contextmanager
def unbranched() -> Iterator[None]:
    """Makes `where_any` compute for every member, since ONNX has no `tf.cond`."""
    token = _UNBRANCHED.set(True)
    try:
        yield
    finally:
        _UNBRANCHED.reset(token)


def where_any(mask: tf.Tensor, some: Callable[[], Any], none: Any) -> Any:
    """Returns `some()` if a member needs it, else `none`.

    Args:
        mask: `[...]` bool, the members that need it.
        some: Computes a nest of tensors, equal to `none` for the other members.
        none: The same nest.
    """
    if _UNBRANCHED.get():
        return some()
    return tf.cond(tf.reduce_any(mask), some, lambda: none)
