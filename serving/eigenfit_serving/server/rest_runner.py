"""Runs signatures by the code that gRPC runs them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from eigenfit_serving.server import examples as example_calls
from eigenfit_serving.server import predict as predict_calls
from eigenfit_serving.server.interfaces import RequestContext, Servable
from eigenfit_serving.server.options import Options


class SignatureRunner:
    """A `Runner` with the limits of the options."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def predict(
        self,
        servable: Servable,
        signature_name: str,
        inputs: Mapping[str, np.ndarray],
        context: RequestContext,
    ) -> Mapping[str, np.ndarray]:
        """Gives the outputs by name."""
        _, outputs = predict_calls.predict(
            servable, signature_name, inputs, (), context, self._options
        )
        return outputs

    def classify(
        self,
        servable: Servable,
        signature_name: str,
        examples: Sequence[bytes],
        context: RequestContext,
    ) -> Iterable[Iterable[tuple[str | bytes, float]]]:
        """Gives labels and scores of each example."""
        return example_calls.classify(
            servable, signature_name, examples, context, self._options
        )

    def regress(
        self,
        servable: Servable,
        signature_name: str,
        examples: Sequence[bytes],
        context: RequestContext,
    ) -> Iterable[float]:
        """Gives a value of each example."""
        return example_calls.regress(
            servable, signature_name, examples, context, self._options
        )
