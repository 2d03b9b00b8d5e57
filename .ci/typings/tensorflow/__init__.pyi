# The stubs that come with pyright know neither `x[..., 0]` nor `~mask`. With this one
# TensorFlow is Any to the type checker, and our own code is still checked in full.
from typing import Any

def __getattr__(name: str) -> Any: ...
