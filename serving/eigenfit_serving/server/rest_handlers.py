"""What is done for a request of the protocol, on a thread that may wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import numpy as np

from eigenfit_serving.server import json_answers
from eigenfit_serving.server.interfaces import ModelSource, RequestContext
from eigenfit_serving.server.json_document import Document
from eigenfit_serving.server.json_values import invalid
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest_bodies import Body, inflate
from eigenfit_serving.server.rest_paths import Action, Route
from eigenfit_serving.server.rest_status import metadata_body, models_body, status_body

Run = Callable[..., tuple[str, Mapping[str, np.ndarray]]]
"""Runs a signature, as `predict.predict` does."""

_DEFAULT_SIGNATURE = "serving_default"


class RestHandlers:
    """Turns bodies into calls of models, and their outputs into bodies."""

    def __init__(
        self,
        models: ModelSource,
        run: Run,
        options: Options,
    ) -> None:
        self._models = models
        self._run = run
        self._options = options

    def handle(
        self,
        route: Route,
        data: bytes,
        context: RequestContext,
        body: Body,
        is_gzip: bool = False,
    ) -> bytes:
        """Answers one request.

        Args:
            route: What is asked for.
            data: The bytes of its body.
            context: Of the request.
            body: Where the memory is noted that these bytes need.
            is_gzip: Whether it is compressed.

        Raises:
            ServingError: With the texts of the protocol.
            RefusedError: The body inflates too far, or there is no room for it.
        """
        context.check()
        context.model = route.spec.name
        if route.action is Action.LIST:
            return models_body(self._models)
        if route.action is Action.STATUS:
            # As in TensorFlow Serving a label does not narrow it down.
            spec = route.spec
            return status_body(self._models.status(spec.name, spec.version))
        if route.action is Action.METADATA:
            with self._models.acquire(route.spec) as servable:
                context.version = servable.version
                return metadata_body(servable)
        if is_gzip:
            data = inflate(data, self._options.max_body_bytes, body.grow)
        return self._predict(route, data, context, body)

    def _predict(
        self, route: Route, data: bytes, context: RequestContext, body: Body
    ) -> bytes:
        with contextlib.ExitStack() as held:
            with body.parsed(len(data)):
                document = Document(data)
                signature_name = document.signature_name
                servable = held.enter_context(self._models.acquire(route.spec))
                context.version = servable.version
                used = signature_name or _DEFAULT_SIGNATURE
                signature = servable.signatures.get(used)
                if signature is None:
                    raise invalid(
                        f'Serving signature name: "{used}" not found in signature def'
                    )
                context.signature = used
                kinds = {name: int(x.dtype) for name, x in signature.inputs.items()}
                inputs = document.inputs(kinds, self._options.max_rows)
                del document
            context.check()
            _, outputs = self._run(
                servable, signature_name, inputs.arrays, (), context, self._options
            )
        if inputs.by_row:
            return json_answers.predictions(outputs)
        return json_answers.columns(outputs)
