"""The methods of `tensorflow.serving.PredictionService` and `ModelService`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigenfit_serving.protocol import grpc_api, messages
from eigenfit_serving.protocol.status import Code, invalid
from eigenfit_serving.protocol.tensors import (
    MAX_ELEMENTS,
    TooManyElements,
    to_array,
    write_array,
)
from eigenfit_serving.server.grpc.calls import Work, refusals, unary_handler
from eigenfit_serving.server.interfaces import ModelSource, ModelSpec, RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.predict import predict
from eigenfit_serving.server.watching.gate import RequestGate

_METADATA_FIELD = "signature_def"


class Services:
    """Answers requests by the models of a source."""

    def __init__(self, models: ModelSource, options: Options) -> None:
        self._models, self._options = models, options

    def handlers(self, gate: RequestGate) -> dict[str, Any]:
        """Lists the handlers, by names of service and method."""
        methods = {**grpc_api.PREDICTION, **grpc_api.MODEL}

        def handler(name: str, api: str, work: Work) -> dict[str, Any]:
            return {name: unary_handler(methods[name], api, work, gate)}

        return {
            grpc_api.PREDICTION_SERVICE: {
                **handler("Predict", "predict", self.predict),
                **handler("GetModelMetadata", "metadata", self.metadata),
                **refusals("Classify", "Regress", "MultiInference"),
            },
            grpc_api.MODEL_SERVICE: {
                **handler("GetModelStatus", "status", self.status),
                **handler("HandleReloadConfigRequest", "reload", self.reload),
            },
        }

    def predict(self, request: Any, context: RequestContext) -> Any:
        """Answers a `PredictRequest`."""
        spec = _model_spec(request)
        context.model = spec.name
        options, response = self._options, messages.PredictResponse()
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            inputs = _arrays(request.inputs, options.max_elements or MAX_ELEMENTS)
            name, wanted = spec.signature_name, request.output_filter
            outputs = predict(servable, name, inputs, wanted, context, options)
            response.model_spec.name = spec.name
            response.model_spec.signature_name = context.signature
            response.model_spec.version.value = servable.version
        as_content = options.enable_serialization_as_tensor_content
        for alias, array in outputs.items():
            write_array(response.outputs[alias], array, as_content)
        return response

    def metadata(self, request: Any, context: RequestContext) -> Any:
        """Answers a `GetModelMetadataRequest`."""
        context.model = request.model_spec.name
        if request.HasField("model_spec") and not request.metadata_field:
            raise invalid(
                "GetModelMetadataRequest must specify at least one metadata_field"
            )
        for field in request.metadata_field:
            if field != _METADATA_FIELD:
                raise invalid(f"Metadata field {field} is not supported")
        signatures = messages.SignatureDefMap()
        response = messages.GetModelMetadataResponse()
        spec = _model_spec(request)
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            for name, signature in servable.signatures.items():
                data = signature.SerializeToString()
                signatures.signature_def[name].MergeFromString(data)
            response.model_spec.name = spec.name
            response.model_spec.version.value = servable.version
        response.metadata[_METADATA_FIELD].Pack(signatures)
        return response

    def status(self, request: Any, context: RequestContext) -> Any:
        """Answers a `GetModelStatusRequest`; a label does not narrow it down."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        context.model = spec.name
        version = spec.version.value if spec.HasField("version") else None
        found = self._models.status(spec.name, version)
        return messages.GetModelStatusResponse(model_version_status=found)

    def reload(self, request: Any, context: RequestContext) -> Any:
        """Answers a `ReloadConfigRequest`."""
        context.check()
        self._models.reload(request.config)
        return messages.ReloadConfigResponse(status={"error_code": Code.OK})


def _model_spec(request: Any) -> ModelSpec:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    proto = request.model_spec
    if not proto.name:
        raise invalid("ModelSpec has no name specified.")
    choice = proto.WhichOneof("version_choice")
    return ModelSpec(
        proto.name,
        proto.version.value if choice == "version" else None,
        proto.version_label if choice == "version_label" else None,
        proto.signature_name,
    )


def _arrays(protos: Mapping[str, Any], limit: int) -> dict[str, np.ndarray]:
    """Reads the inputs of a request, of at most `limit` elements together."""
    arrays: dict[str, np.ndarray] = {}
    count = 0
    for alias, proto in protos.items():
        try:
            arrays[alias] = to_array(proto, limit - count)
        except TooManyElements as error:
            raise invalid(
                f"The request has {count + error.elements} elements, over the limit of "
                f"{limit} (--max_elements)."
            ) from None
        except ValueError:
            raise invalid(f"tensor parsing error: {alias}") from None
        count += arrays[alias].size
    return arrays
