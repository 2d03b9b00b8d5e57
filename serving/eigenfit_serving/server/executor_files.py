"""Reads the graph of a SavedModel that carries given tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_serving.server.status import Code, ServingError

_DEFAULT_TAGS = ("serve",)


@dataclass(frozen=True)
class SavedGraph:
    """What is needed of a `MetaGraphDef`.

    Attributes:
        signatures: `SignatureDef` by name.
        has_objects: Whether TensorFlow 2 saved it, so that it can be loaded as
            functions.
    """

    signatures: Mapping[str, Any]
    has_objects: bool


def tags_of(text: str) -> tuple[str, ...]:
    """Splits `serve,gpu`; nothing stands for `serve`."""
    tags = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    return tags or _DEFAULT_TAGS


def read_graph(path: str, tags: tuple[str, ...]) -> SavedGraph:
    """Reads the signatures of the graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND or DATA_LOSS, with the texts of TensorFlow's loader.
    """
    saved = _parse(path)
    for graph in saved.meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            break
    else:
        raise ServingError(
            Code.NOT_FOUND,
            f"Could not find meta graph def matching supplied tags: {{ "
            f"{' '.join(sorted(tags))} }}. To inspect available tag-sets in the "
            "SavedModel, please use the SavedModel CLI: `saved_model_cli`",
        )
    has_objects = len(saved.meta_graphs) == 1 and bool(graph.object_graph_def.nodes)
    # Copies, since the message holds the whole graph.
    signatures = {name: _copy(entry) for name, entry in graph.signature_def.items()}
    return SavedGraph(signatures, has_objects)


def needs_variables(path: str) -> bool:
    """Tells whether a SavedModel restores variables; not if it cannot be read."""
    try:
        saved = _parse(path)
    except ServingError:
        return False
    return any(graph.saver_def.restore_op_name for graph in saved.meta_graphs)


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
