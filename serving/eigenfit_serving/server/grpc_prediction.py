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
from eigenfit_serving.server import examples as example_calls
from eigenfit_serving.server.grpc_calls import (
    model_spec,
    read_spec,
    unary_handler,
)
from eigenfit_serving.server.interfaces import (
    Gate,
    ModelSource,
    RequestContext,
    Servable,
)
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import (
    CLASSIFY_METHOD,
    DEFAULT_SIGNATURE,
    predict,
)
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

    def handlers(self, gate: Gate) -> dict[str, Any]:
        """Lists the handlers by name of the method."""
        works = {
            "Predict": ("predict", self.predict),
            "Classify": ("classify", self.classify),
            "Regress": ("regress", self.regress),
            "MultiInference": ("multi_inference", self.multi_inference),
            "GetModelMetadata": ("metadata", self.metadata),
        }
        return {
            name: unary_handler(grpc_api.PREDICTION[name], api, work, gate)
            for name, (api, work) in works.items()
        }

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

    def classify(self, request: Any, context: RequestContext) -> Any:
        """Answers a `ClassificationRequest`."""
        spec = model_spec(request)
        context.model = spec.name
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            found = example_calls.classify(
                servable,
                spec.signature_name,
                _examples(request.input),
                context,
                self._options,
            )
            response = messages.ClassificationResponse()
            _fill_spec(response.model_spec, spec.name, context.signature, servable)
        _fill_classes(response.result, found)
        return response

    def regress(self, request: Any, context: RequestContext) -> Any:
        """Answers a `RegressionRequest`."""
        spec = model_spec(request)
        context.model = spec.name
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            found = example_calls.regress(
                servable,
                spec.signature_name,
                _examples(request.input),
                context,
                self._options,
            )
            response = messages.RegressionResponse()
            _fill_spec(response.model_spec, spec.name, context.signature, servable)
        _fill_values(response.result, found)
        return response

    def multi_inference(self, request: Any, context: RequestContext) -> Any:
        """Answers a `MultiInferenceRequest`."""
        # The first task says which version answers all.
        first = request.tasks[0].model_spec if request.tasks else messages.ModelSpec()
        spec = read_spec(first)
        context.model = spec.name
        tasks = [
            example_calls.Task(
                task.model_spec.name, task.model_spec.signature_name, task.method_name
            )
            for task in request.tasks
        ]
        response = messages.MultiInferenceResponse()
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            found = example_calls.multi_inference(
                servable, tasks, _examples(request.input), context, self._options
            )
            for task, values in zip(tasks, found, strict=True):
                result = response.results.add()
                used = task.signature_name or DEFAULT_SIGNATURE
                _fill_spec(result.model_spec, task.model, used, servable)
                if task.method == CLASSIFY_METHOD:
                    _fill_classes(result.classification_result, values)
                else:
                    _fill_values(result.regression_result, values)
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


def _examples(proto: Any) -> list[bytes]:
    """Serialises the examples of an `Input`, each behind the context."""
    kind = proto.WhichOneof("kind")
    if kind == "example_list":
        return [x.SerializeToString() for x in proto.example_list.examples]
    if kind == "example_list_with_context":
        found = proto.example_list_with_context
        context = found.context.SerializeToString()
        return [context + x.SerializeToString() for x in found.examples]
    return []


def _fill_spec(proto: Any, name: str, signature: str, servable: Servable) -> None:
    proto.name = name
    proto.signature_name = signature
    proto.version.value = servable.version


def _fill_classes(proto: Any, found: Any) -> None:
    for row in found:
        classes = proto.classifications.add().classes
        for label, score in row:
            # A label that is no text cannot be sent: its field is a string.
            classes.add(label=label.decode("utf-8", "replace"), score=score)


def _fill_values(proto: Any, found: Any) -> None:
    proto.SetInParent()
    for value in found:
        proto.regressions.add().value = value


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
