# The stubs that pyright brings know neither `x[..., 0]` nor `~mask`; to the type
# checker TensorFlow is Any, and our own code is checked in full.
from typing import Any

def __getattr__(name: str) -> Any: ...
