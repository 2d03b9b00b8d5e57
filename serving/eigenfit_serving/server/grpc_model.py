"""The methods of `tensorflow.serving.ModelService`."""

from __future__ import annotations

from typing import Any

from eigenfit_serving.protocol import grpc_api, messages
from eigenfit_serving.server.gate import RequestGate
from eigenfit_serving.server.grpc_calls import unary_handler
from eigenfit_serving.server.interfaces import ModelSource, RequestContext
from eigenfit_serving.server.status import Code, ServingError

_CONFIG = "model_config_list"


class ModelService:
    """Tells the states of models, and takes new configurations.

    Args:
        models: What it speaks for.
    """

    def __init__(self, models: ModelSource) -> None:
        self._models = models

    def handlers(self, gate: RequestGate) -> dict[str, Any]:
        """Lists the handlers by name of the method."""
        works = {
            "GetModelStatus": ("status", self.status),
            "HandleReloadConfigRequest": ("reload", self.reload),
        }
        return {
            name: unary_handler(grpc_api.MODEL[name], api, work, gate)
            for name, (api, work) in works.items()
        }

    def status(self, request: Any, context: RequestContext) -> Any:
        """Answers a `GetModelStatusRequest`; a label does not narrow it down."""
        if not request.HasField("model_spec"):
            raise ServingError(Code.INVALID_ARGUMENT, "Missing ModelSpec")
        spec = request.model_spec
        context.model = spec.name
        version = spec.version.value if spec.HasField("version") else None
        response = messages.GetModelStatusResponse()
        for found in self._models.status(spec.name, version):
            state = messages.ModelVersionStatus.State.Value(found.state)
            entry = response.model_version_status.add(
                version=found.version, state=state
            )
            entry.status.error_code = int(found.code)
            entry.status.error_message = found.message
        return response

    def reload(self, request: Any, context: RequestContext) -> Any:
        """Answers a `ReloadConfigRequest`."""
        context.check()
        if request.config.WhichOneof("config") != _CONFIG:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
            )
        self._models.reload(request.config)
        response = messages.ReloadConfigResponse()
        response.status.error_code = int(Code.OK)
        return response
