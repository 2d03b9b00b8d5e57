"""What is done for a request of the protocol, on a thread that may wait."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import numpy as np

from eigenfit_serving.server import json_answers
from eigenfit_serving.server.interfaces import ModelSource, RequestContext
from eigenfit_serving.server.json_process import Reader
from eigenfit_serving.server.json_values import invalid
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest_bodies import inflate
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
        reader: Reader,
    ) -> None:
        self._models = models
        self._run = run
        self._options = options
        self._reader = reader

    def handle(
        self,
        route: Route,
        body: bytes,
        context: RequestContext,
        grow: Callable[[int], None] | None = None,
    ) -> bytes:
        """Answers one request.

        Args:
            route: What is asked for.
            body: Of the request.
            context: Of the request.
            grow: Notes bytes that a compressed body inflates to; None if it is not
                compressed.

        Raises:
            ServingError: With the texts of the protocol.
            RefusedError: The body inflates too far.
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
        if grow is not None:
            body = inflate(body, self._options.max_inflated_bytes, grow)
        return self._predict(route, body, context)

    def _predict(self, route: Route, body: bytes, context: RequestContext) -> bytes:
        with contextlib.ExitStack() as held:
            with self._reader.read(body, context) as document:
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
            context.check()
            _, outputs = self._run(
                servable, signature_name, inputs.arrays, (), context, self._options
            )
        if inputs.by_row:
            return json_answers.predictions(outputs)
        return json_answers.columns(outputs)
