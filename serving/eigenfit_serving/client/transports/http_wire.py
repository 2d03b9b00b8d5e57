"""Encodes calls as requests of the REST interface and decodes the answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from eigenfit_serving.client.calls import (
    DTYPES,
    Call,
    GetMetadata,
    GetStatus,
    ListModels,
    Metadata,
    Outputs,
    Predict,
    Signature,
    Target,
    TensorSpec,
    VersionStatus,
)
from eigenfit_serving.client.errors import BadReply, error_of_http

try:
    import orjson
except ImportError:  # the client works without it, but more slowly
    orjson = None


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def encode(call: Call) -> HttpRequest:
    """Encodes a call as a request.

    Example:
        >>> encode(GetStatus(Target("a b", version=2))).path
        '/v1/models/a%20b/versions/2'
    """
    match call:
        case ListModels():
            return HttpRequest("GET", "/v1/models")
        case GetStatus(target):
            return HttpRequest("GET", _path(target))
        case GetMetadata(target):
            return HttpRequest("GET", _path(target) + "/metadata")
        case Predict(target, signature, inputs):
            named = {name: _plain(array) for name, array in inputs.items()}
            body = _dump({"signature_name": signature, "inputs": named})
            headers = {"Content-Type": "application/json"}
            return HttpRequest("POST", _path(target) + ":predict", body, headers)


def decode(call: Call, status: int, body: bytes) -> Any:
    """Decodes the answer to a call.

    Raises:
        ServerError: If the answer reports an error.
        BadReply: If the answer is not understood.
    """
    try:
        document = _load(body)
        if status != 200:
            raise error_of_http(status, document["error"])
        match call:
            case ListModels():
                return [_name_of(entry) for entry in document["models"]]
            case GetStatus():
                return _versions(document)
            case GetMetadata(target):
                return _metadata(target, document)
            case Predict():
                return Outputs(_outputs(call, document["outputs"]), None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = body[:200].decode("utf-8", "replace")
        if status != 200:
            raise error_of_http(status, text) from None
        raise BadReply(f"{error!r} in an answer that begins {text!r}.") from error


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.name, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    if target.label is not None:
        return f"{path}/labels/{quote(target.label, safe='')}"
    return path


def _plain(array: np.ndarray) -> Any:
    if array.dtype == object:
        flat = [{"b64": base64.b64encode(x).decode()} for x in array.reshape(-1)]
        return _nested(flat, array.shape)
    if array.dtype.kind == "c" or array.dtype == np.float16:
        raise TypeError(
            f"Arrays of {array.dtype.name} cannot be sent over REST. Use grpc://."
        )
    # A scalar is not made contiguous: that would make it one-dimensional.
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    for size in reversed(shape[1:]):
        flat = [flat[k : k + size] for k in range(0, len(flat), size)]
    return flat if shape else flat[0]


def _dump(document: dict[str, Any]) -> bytes:
    kinds = (np.ndarray, np.generic)
    arrays = [x for x in document["inputs"].values() if isinstance(x, kinds)]
    finite = all(x.dtype.kind != "f" or np.isfinite(x).all() for x in arrays)
    if orjson is not None and finite:
        return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    # NaN and Infinity as bare words: the protocol has them, orjson does not.
    return json.dumps(document, default=lambda x: x.tolist()).encode()


def _load(body: bytes) -> Any:
    if orjson is not None:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    # Strings of a model need not be valid UTF-8.
    return json.loads(body.decode("utf-8", "surrogateescape"))


def _name_of(entry: Any) -> str:
    return entry if isinstance(entry, str) else entry["name"]


def _versions(document: Any) -> list[VersionStatus]:
    found = [
        VersionStatus(
            int(entry["version"]),
            entry["state"],
            entry.get("status", {}).get("error_code", "OK"),
            entry.get("status", {}).get("error_message", ""),
        )
        for entry in document["model_version_status"]
    ]
    return sorted(found, reverse=True)


def _metadata(target: Target, document: Any) -> Metadata:
    signatures = document["metadata"]["signature_def"]["signature_def"]
    version = document["model_spec"].get("version")
    return Metadata(
        target.name,
        None if version is None else int(version),
        {
            name: Signature(
                {key: _spec(info) for key, info in entry.get("inputs", {}).items()},
                {key: _spec(info) for key, info in entry.get("outputs", {}).items()},
                entry.get("method_name", ""),
            )
            for name, entry in signatures.items()
        },
    )


def _spec(info: Any) -> TensorSpec:
    found = DTYPES.get(info["dtype"])
    shape = info.get("tensor_shape", {})
    sizes = [int(dim["size"]) for dim in shape.get("dim", [])]
    known = None if shape.get("unknown_rank") else tuple(sizes)
    return TensorSpec(
        None if found is None else np.dtype(found),
        None if known is None else tuple(None if x < 0 else x for x in known),
    )


def _outputs(call: Predict, outputs: Any) -> dict[str, np.ndarray]:
    # A single output comes without its name.
    if len(call.outputs) == 1:
        [name] = call.outputs
        outputs = {name: outputs}
    arrays = {}
    for name, value in outputs.items():
        spec = call.outputs.get(name)
        dtype = None if spec is None else spec.dtype
        arrays[name] = _array(value, dtype)
    return arrays


def _array(value: Any, dtype: np.dtype | None) -> np.ndarray:
    if dtype is None or dtype.kind != "O":
        return np.asarray(value, dtype)

    def plain(x: Any) -> Any:
        if isinstance(x, list):
            return [plain(item) for item in x]
        if isinstance(x, dict):
            return base64.b64decode(x["b64"])
        return x.encode("utf-8", "surrogateescape")

    return np.asarray(plain(value), object)
