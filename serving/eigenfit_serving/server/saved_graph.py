"""Reads the file of a SavedModel: signatures, and which of them XLA compiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_serving.server.status import Code, ServingError

_MUST_COMPILE = "_XlaMustCompile"


@dataclass(frozen=True)
class SavedGraph:
    """What is needed of a `MetaGraphDef`.

    Attributes:
        signatures: `SignatureDef` by name.
        compiled: Names of the signatures with outputs that XLA computes.
    """

    signatures: Mapping[str, Any]
    compiled: frozenset[str]


def tags_of(text: str) -> tuple[str, ...]:
    """Splits `serve,gpu`; nothing stands for `serve`."""
    tags = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    return tags or ("serve",)


def read_graph(path: str, tags: tuple[str, ...]) -> SavedGraph:
    """Reads the graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND or DATA_LOSS, with the texts of TensorFlow's loader.
    """
    for graph in _parse(path).meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            break
    else:
        raise ServingError(
            Code.NOT_FOUND,
            f"Could not find meta graph def matching supplied tags: {{ "
            f"{' '.join(sorted(tags))} }}. To inspect available tag-sets in the "
            "SavedModel, please use the SavedModel CLI: `saved_model_cli`",
        )
    # Copies, since the message holds the whole graph.
    signatures = {name: _copy(entry) for name, entry in graph.signature_def.items()}
    search = _Search(graph.graph_def)
    compiled = {
        name
        for name, signature in signatures.items()
        if search.compiles(info.name for info in signature.outputs.values())
    }
    return SavedGraph(signatures, frozenset(compiled))


def needs_variables(path: str) -> bool:
    """Tells whether a SavedModel restores variables; not if it cannot be read."""
    try:
        saved = _parse(path)
    except ServingError:
        return False
    return any(graph.saver_def.restore_op_name for graph in saved.meta_graphs)


class _Search:
    """Follows the inputs of nodes, and the functions that they call."""

    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: node for node in graph.node}
        self._functions = {f.signature.name: f for f in graph.library.function}
        self._answers: dict[str, bool] = {}

    def compiles(self, tensors: Iterable[str]) -> bool:
        """Tells whether XLA computes one of the tensors."""
        seen, left = set(), list(tensors)
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
                marked = _MUST_COMPILE in function.attr
                self._answers[name] = (
                    marked and function.attr[_MUST_COMPILE].b
                ) or any(map(self._node_compiles, function.node_def))
        return self._answers[name]


def _parse(path: str) -> Any:
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    binary, text = Path(path, "saved_model.pb"), Path(path, "saved_model.pbtxt")
    try:
        if binary.is_file():
            saved.ParseFromString(binary.read_bytes())
        elif text.is_file():
            text_format.Parse(text.read_text(encoding="utf-8"), saved)
        else:
            raise ServingError(
                Code.NOT_FOUND,
                "Could not find SavedModel .pb or .pbtxt at supplied export directory "
                f"path: {path}. Check that the directory exists and that you have the "
                "right permissions for accessing it.",
            )
    except (DecodeError, text_format.ParseError, UnicodeDecodeError):
        found = binary if binary.is_file() else text
        raise ServingError(
            Code.DATA_LOSS, f"Can't parse {found} as binary proto"
        ) from None
    except OSError as error:
        raise ServingError(Code.NOT_FOUND, f"{path}: {error.strerror}") from error
    return saved


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
