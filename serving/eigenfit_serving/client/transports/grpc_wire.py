"""Encodes calls as gRPC messages and decodes the answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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
from eigenfit_serving.client.errors import BadReply, Unsupported
from eigenfit_serving.protocol import grpc_api, messages, tensors
from eigenfit_serving.protocol.status import Code

PREDICT = grpc_api.PREDICTION["Predict"]
METADATA = grpc_api.PREDICTION["GetModelMetadata"]
STATUS = grpc_api.MODEL["GetModelStatus"]


def encode(call: Call) -> tuple[grpc_api.Method, Any]:
    """Encodes a call as a message.

    Raises:
        Unsupported: If gRPC has no such call.
    """
    match call:
        case ListModels():
            raise Unsupported(
                Code.UNIMPLEMENTED, "The protocol has no list of models over gRPC."
            )
        case GetStatus(target):
            request = messages.GetModelStatusRequest()
            _fill(request.model_spec, target)
            return STATUS, request
        case GetMetadata(target):
            request = messages.GetModelMetadataRequest()
            _fill(request.model_spec, target)
            request.metadata_field.append("signature_def")
            return METADATA, request
        case Predict(target, signature, inputs):
            request = messages.PredictRequest()
            _fill(request.model_spec, target)
            request.model_spec.signature_name = signature
            for name, array in inputs.items():
                content = array.dtype != object
                tensor = tensors.from_array(array, as_content=content)
                request.inputs[name].CopyFrom(tensor)
            return PREDICT, request


def decode(call: Call, response: Any) -> Any:
    """Decodes the answer to a call.

    Raises:
        BadReply: If the answer is not understood.
    """
    try:
        match call:
            case GetStatus():
                return versions_of(response.model_version_status)
            case GetMetadata(target):
                return _metadata(target, response)
            case Predict():
                arrays = {
                    name: tensors.to_array(tensor)
                    for name, tensor in response.outputs.items()
                }
                return Outputs(arrays, response.model_spec.version.value)
    except (ValueError, KeyError) as error:
        raise BadReply(f"{error!r} in the answer of the server.") from error


def spec_of(info: Any) -> TensorSpec:
    """Converts a `TensorInfo`."""
    kind = messages.DataType.Name(info.dtype) if info.dtype else ""
    found = DTYPES.get(kind)
    shape = info.tensor_shape
    sizes = tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return TensorSpec(
        None if found is None else np.dtype(found),
        None if shape.unknown_rank else sizes,
    )


def signature_of(entry: Any) -> Signature:
    """Converts a `SignatureDef`."""
    return Signature(
        {name: spec_of(info) for name, info in entry.inputs.items()},
        {name: spec_of(info) for name, info in entry.outputs.items()},
        entry.method_name,
    )


def versions_of(entries: Iterable[Any]) -> list[VersionStatus]:
    """Converts `ModelVersionStatus` messages; returns the newest first."""
    found = [
        VersionStatus(
            entry.version,
            messages.ModelVersionStatus.State.Name(entry.state),
            Code(entry.status.error_code).name,
            entry.status.error_message,
        )
        for entry in entries
    ]
    return sorted(found, reverse=True)


def _fill(spec: Any, target: Target) -> None:
    spec.name = target.name
    if target.version is not None:
        spec.version.value = target.version
    if target.label is not None:
        spec.version_label = target.label


def _metadata(target: Target, response: Any) -> Metadata:
    definitions = messages.SignatureDefMap()
    definitions.ParseFromString(response.metadata["signature_def"].value)
    signatures = {
        name: signature_of(entry) for name, entry in definitions.signature_def.items()
    }
    return Metadata(target.name, response.model_spec.version.value, signatures)
