"""Reads the signatures of a SavedModel from its file."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from eigenfit_serving.protocol.status import Code, ServingError, not_found

MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


def read_signatures(path: str, tags: tuple[str, ...]) -> Mapping[str, Any]:
    """Reads the `SignatureDef`s, by name, of the graph with exactly these tags.

    Raises:
        ServingError: NOT_FOUND or DATA_LOSS, with the texts of TensorFlow's loader.
    """
    for graph in _parse(path).meta_graphs:
        if set(graph.meta_info_def.tags) == set(tags):
            # Copies, since the message holds the whole graph.
            return {name: deepcopy(x) for name, x in graph.signature_def.items()}
    raise not_found(
        f"Could not find meta graph def matching supplied tags: {{ "
        f"{' '.join(sorted(tags))} }}. To inspect available tag-sets in the "
        "SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )


def needs_variables(path: str) -> bool:
    """Tells whether a SavedModel restores variables; False if it cannot be read."""
    try:
        saved = _parse(path)
    except ServingError:
        return False
    return any(graph.saver_def.restore_op_name for graph in saved.meta_graphs)


def _parse(path: str) -> Any:
    # TensorFlow is imported with the first model.
    from google.protobuf.message import DecodeError

    from eigenfit_serving.server.running.private_tf import parse_saved_model

    try:
        return parse_saved_model(path)
    except (OSError, DecodeError, UnicodeDecodeError):
        for file in (Path(path, name) for name in MODEL_FILES):
            if file.is_file():
                text = f"Can't parse {file} as binary proto"
                raise ServingError(Code.DATA_LOSS, text) from None
        raise not_found(
            "Could not find SavedModel .pb or .pbtxt at supplied export directory "
            f"path: {path}. Check that the directory exists and that you have the "
            "right permissions for accessing it."
        ) from None
