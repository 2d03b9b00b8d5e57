"""What is done for a request of the protocol."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

import numpy as np

from eigenfit_serving.server import json_answers
from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.interfaces import ModelSource, RequestContext
from eigenfit_serving.server.json_document import Document
from eigenfit_serving.server.json_values import invalid
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import DEFAULT_SIGNATURE
from eigenfit_serving.server.rest_paths import Action, Route
from eigenfit_serving.server.rest_status import (
    metadata_body,
    models_body,
    readiness,
    status_body,
)

Run = Callable[..., tuple[str, Mapping[str, np.ndarray]]]
"""Runs a signature, as `predict.predict` does."""


class RestHandlers:
    """Turns bodies into calls of models, and their outputs into bodies."""

    def __init__(self, models: ModelSource, run: Run, options: Options) -> None:
        self._models, self._run, self._options = models, run, options

    def readiness(self, is_draining: bool, names_models: bool) -> tuple[bool, bytes]:
        """Tells whether every model has a version that is available."""
        return readiness(self._models, is_draining, names_models)

    def look(self, route: Route, context: RequestContext) -> bytes:
        """Answers what needs no run of a model.

        Raises:
            ServingError: With the texts of the protocol.
        """
        if route.action is Action.LIST:
            return models_body(self._models)
        if route.action is Action.STATUS:
            # As in TensorFlow Serving a label does not narrow it down.
            spec = route.spec
            return status_body(self._models.status(spec.name, spec.version))
        with self._models.acquire(route.spec) as servable:
            context.version = servable.version
            return metadata_body(servable)

    def predict(
        self, route: Route, data: bytes, context: RequestContext, held: Held
    ) -> bytes:
        """Runs a model; takes as long as that.

        Args:
            route: What is asked for.
            data: The body, inflated.
            context: Of the request.
            held: Where the memory is noted that the body needs.

        Raises:
            ServingError: With the texts of the protocol.
            RefusedError: There is no room for what is parsed.
        """
        context.check()
        with contextlib.ExitStack() as stack:
            with held.parsed(len(data)):
                document = Document(data)
                signature_name = document.signature_name
                servable = stack.enter_context(self._models.acquire(route.spec))
                context.version = servable.version
                used = signature_name or DEFAULT_SIGNATURE
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
