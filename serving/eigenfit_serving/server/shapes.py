"""What XLA compiles, and for how many shapes it may.

XLA compiles a program for every shape of its inputs, which takes up to seconds and
memory that is not given back; callers must not be able to cause that without end.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.server.status import Code, ServingError

logger = logging.getLogger(__name__)

_MUST_COMPILE = "_XlaMustCompile"

_MAX_BYTES = 512 << 20
"""A larger graph is not read only to find out what XLA compiles."""


class ShapeBudget:
    """Counts the shapes that a model was run with, up to a limit.

    Args:
        model: Its name.
        limit: Of the number of shapes.
    """

    def __init__(self, model: str, limit: int) -> None:
        self._model, self._limit = model, limit
        self._known: set[tuple[Any, ...]] = set()
        self._lock = threading.Lock()

    def admit(self, feeds: Mapping[str, np.ndarray], program: Iterable[str]) -> bool:
        """Notes the shapes of a run.

        Args:
            feeds: Arrays by tensor name.
            program: What is run.

        Returns:
            Whether they are new.

        Raises:
            ServingError: RESOURCE_EXHAUSTED, if there are too many.
        """
        shapes = sorted((name, x.shape, x.dtype.str) for name, x in feeds.items())
        key = (tuple(program), *shapes)
        with self._lock:
            if key in self._known:
                return False
            if len(self._known) >= self._limit:
                listed = ", ".join(f"{name} {list(shape)}" for name, shape, _ in shapes)
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"Model {self._model} would have to be compiled for the shapes "
                    f"{listed}, but was compiled for {len(self._known)} already, and "
                    f"at most {self._limit} are allowed (max_compiled_shapes). Use "
                    f"shapes that were used before, or a signature that is not "
                    f"compiled.",
                )
            self._known.add(key)
            return True


def compiled_outputs(path: str, signatures: Mapping[str, Any]) -> frozenset[str]:
    """Finds the output tensors that functions compiled by XLA compute.

    Args:
        path: Folder of the SavedModel.
        signatures: Its signatures.
    """
    file = Path(path) / "saved_model.pb"
    try:
        if file.stat().st_size > _MAX_BYTES:
            logger.warning("%s is too large to be searched for compiled code", file)
            return frozenset()
        data = file.read_bytes()
    except OSError:
        return frozenset()
    if _MUST_COMPILE.encode() not in data:
        return frozenset()

    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString(data)
    except DecodeError:
        return frozenset()
    outputs = {
        info.name
        for signature in signatures.values()
        for info in signature.outputs.values()
    }
    found: set[str] = set()
    for graph in model.meta_graphs:
        found |= _Search(graph.graph_def).compiled(outputs)
    return frozenset(found)


class _Search:
    """Follows the inputs of nodes, and the functions that they call."""

    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {f.signature.name: f for f in graph.library.function}
        self._answers: dict[str, bool] = {}

    def compiled(self, tensors: Collection[str]) -> set[str]:
        return {name for name in tensors if self._is_compiled(name)}

    def _is_compiled(self, tensor: str) -> bool:
        seen, left = set(), [tensor.partition(":")[0]]
        while left:
            name = left.pop().removeprefix("^").partition(":")[0]
            node = self._nodes.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            if self._node_compiles(node):
                return True
            left.extend(node.input)
        return False

    def _node_compiles(self, node: Any) -> bool:
        if _MUST_COMPILE in node.attr and node.attr[_MUST_COMPILE].b:
            return True
        for value in node.attr.values():
            called = [value.func.name] if value.HasField("func") else []
            called += [function.name for function in value.list.func]
            if any(self._function_compiles(name) for name in called):
                return True
        return False

    def _function_compiles(self, name: str) -> bool:
        if name not in self._answers:
            self._answers[name] = False  # ends recursion
            function = self._functions.get(name)
            if function is not None:
                flag = _MUST_COMPILE
                marked = flag in function.attr and function.attr[flag].b
                self._answers[name] = marked or any(
                    self._node_compiles(node) for node in function.node_def
                )
        return self._answers[name]
