"""Reads the signatures of a SavedModel from its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eigenfit_serving.server.status import Code, ServingError


def read_signatures(path: str, tags: tuple[str, ...]) -> Mapping[str, Any]:
    """Reads the `SignatureDef`s, by name, of the graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND or DATA_LOSS, with the texts of TensorFlow's loader.
    """
    for graph in _parse(path).meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            # Copies, since the message holds the whole graph.
            return {name: _copy(entry) for name, entry in graph.signature_def.items()}
    raise ServingError(
        Code.NOT_FOUND,
        f"Could not find meta graph def matching supplied tags: {{ "
        f"{' '.join(sorted(tags))} }}. To inspect available tag-sets in the "
        "SavedModel, please use the SavedModel CLI: `saved_model_cli`",
    )


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
