"""The methods of `tensorflow.serving.PredictionService`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eigenfit_serving.protocol import grpc_api, messages
from eigenfit_serving.protocol.tensors import (
    MAX_ELEMENTS,
    TooManyElements,
    to_array,
    write_array,
)
from eigenfit_serving.server.gate import RequestGate
from eigenfit_serving.server.grpc_calls import (
    model_spec,
    read_spec,
    refusals,
    unary_handler,
)
from eigenfit_serving.server.interfaces import (
    ModelSource,
    RequestContext,
    Servable,
)
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import predict
from eigenfit_serving.server.status import Code, ServingError

_METADATA_FIELD = "signature_def"


class PredictionService:
    """Answers requests by the models of a source.

    Args:
        models: Where they are found.
        options: Limits, and how tensors are written.
    """

    def __init__(self, models: ModelSource, options: Options) -> None:
        self._models, self._options = models, options

    def handlers(self, gate: RequestGate) -> dict[str, Any]:
        """Lists the handlers by name of the method."""
        works = {
            "Predict": ("predict", self.predict),
            "GetModelMetadata": ("metadata", self.metadata),
        }
        handlers = {
            name: unary_handler(grpc_api.PREDICTION[name], api, work, gate)
            for name, (api, work) in works.items()
        }
        return handlers | refusals("Classify", "Regress", "MultiInference")

    def predict(self, request: Any, context: RequestContext) -> Any:
        """Answers a `PredictRequest`."""
        spec = model_spec(request)
        context.model = spec.name
        options = self._options
        inputs = _Inputs(request.inputs, options.max_elements or MAX_ELEMENTS)
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            used, outputs = predict(
                servable,
                spec.signature_name,
                inputs,
                request.output_filter,
                context,
                options,
            )
            response = messages.PredictResponse()
            _fill_spec(response.model_spec, spec.name, used, servable)
        as_content = options.enable_serialization_as_tensor_content
        for alias, array in outputs.items():
            write_array(response.outputs[alias], array, as_content)
        return response

    def metadata(self, request: Any, context: RequestContext) -> Any:
        """Answers a `GetModelMetadataRequest`."""
        if not request.HasField("model_spec"):
            raise _invalid("Missing ModelSpec")
        context.model = request.model_spec.name
        if not request.metadata_field:
            raise _invalid(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _METADATA_FIELD:
                raise _invalid(f"Metadata field {field} is not supported")
        signatures = messages.SignatureDefMap()
        response = messages.GetModelMetadataResponse()
        spec = read_spec(request.model_spec)
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            for name, signature in servable.signatures.items():
                data = signature.SerializeToString()
                signatures.signature_def[name].MergeFromString(data)
            response.model_spec.name = spec.name
            response.model_spec.version.value = servable.version
        response.metadata[_METADATA_FIELD].Pack(signatures)
        return response


class _Inputs(Mapping[str, np.ndarray]):
    """The inputs of a request, parsed when they are asked for."""

    def __init__(self, protos: Mapping[str, Any], max_elements: int) -> None:
        self._protos, self._left = protos, max_elements
        self._limit = max_elements

    def __len__(self) -> int:
        return len(self._protos)

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos)

    def __contains__(self, alias: object) -> bool:
        return alias in self._protos

    def __getitem__(self, alias: str) -> np.ndarray:
        try:
            array = to_array(self._protos[alias], self._left)
        except TooManyElements as error:
            elements = self._limit - self._left + error.elements
            raise _invalid(
                f"The request has {elements} elements, over the limit of {self._limit} "
                "(--max_elements)."
            ) from None
        except ValueError:
            raise _invalid(f"tensor parsing error: {alias}") from None
        self._left -= array.size
        return array


def _fill_spec(proto: Any, name: str, signature: str, servable: Servable) -> None:
    proto.name = name
    proto.signature_name = signature
    proto.version.value = servable.version


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
