"""Handles the requests of the protocol."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from eigenfit_serving.protocol.messages import GetModelStatusResponse
from eigenfit_serving.protocol.status import ServingError, invalid
from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.interfaces import ModelSource, RequestContext, Servable
from eigenfit_serving.server.models.lifecycle import is_ready
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.json import answers as json_answers
from eigenfit_serving.server.rest.json.tensors import predict_inputs, signature_name_of
from eigenfit_serving.server.rest.json.text import parse_object
from eigenfit_serving.server.rest.paths import Route
from eigenfit_serving.server.running.predict import DEFAULT_SIGNATURE, predict


class RestHandlers:
    """Turns bodies into calls of models, and their outputs into bodies."""

    def __init__(self, models: ModelSource, options: Options) -> None:
        self._models, self._options = models, options

    def readiness(self, is_draining: bool, names_models: bool) -> tuple[bool, bytes]:
        """Tells whether every model has a version that is available, and writes it.

        `names_models` is whether the caller may know which models there are.
        """
        names = sorted(self._models.names())
        available = {name: is_ready(self._models, name) for name in names}
        ready = all(available.values()) and not is_draining
        found: dict[str, Any] = {"ready": ready, "draining": is_draining}
        if names_models:
            found["models"] = available
        return ready, _text(found)

    def look(self, route: Route, context: RequestContext) -> bytes:
        """Answers requests that run no model, laid out as protobuf writes JSON."""
        spec = route.spec
        if route.action == "list":
            names = sorted(self._models.names())
            return _text({"models": [{"name": x, **self._states(x)} for x in names]})
        if route.action == "status":
            # As in TensorFlow Serving a label does not narrow it down.
            return _text(_states_of(self._models.status(spec.name, spec.version)))
        with self._models.acquire(spec) as servable:
            context.version = servable.version
            return _text(_metadata(servable))

    def predict(
        self, route: Route, data: bytes, context: RequestContext, held: Held
    ) -> bytes:
        """Runs a model by the inflated body of a request; blocks until it has run.

        Version and signature are filled in; parsing reserves more of what is held.
        """
        context.check()
        with contextlib.ExitStack() as stack:
            with held.parsed(len(data)):
                document = parse_object(data)
                name = signature_name_of(document)
                servable = stack.enter_context(self._models.acquire(route.spec))
                context.version = servable.version
                used = name or DEFAULT_SIGNATURE
                signature = servable.signatures.get(used)
                if signature is None:
                    raise invalid(
                        f'Serving signature name: "{used}" not found in signature def'
                    )
                context.signature = used
                kinds = {key: int(x.dtype) for key, x in signature.inputs.items()}
                most = self._options.max_rows
                inputs = predict_inputs(document, kinds, name, most)
                del document
            context.check()
            arrays, options = inputs.arrays, self._options
            outputs = predict(servable, name, arrays, (), context, options)
        if inputs.by_row:
            return json_answers.predictions(outputs)
        return json_answers.columns(outputs)

    def _states(self, name: str) -> dict[str, Any]:
        try:
            return _states_of(self._models.status(name))
        except ServingError:  # Configured, but no version has been seen.
            return _states_of([])


def _states_of(versions: list[Any]) -> dict[str, Any]:
    return _plain(GetModelStatusResponse(model_version_status=versions))


def _metadata(servable: Servable) -> dict[str, Any]:
    signatures = {name: _plain(x) for name, x in sorted(servable.signatures.items())}
    version = str(servable.version)
    spec = {"name": servable.name, "signature_name": "", "version": version}
    return {
        "model_spec": spec,
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _plain(message: Any) -> dict[str, Any]:
    return MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
