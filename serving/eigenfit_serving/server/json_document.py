"""The body of a request, once it is read: what the handlers ask of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eigenfit_serving.server.json_tensors import (
    PredictInputs,
    predict_inputs,
    signature_name_of,
)
from eigenfit_serving.server.json_text import parse_object
from eigenfit_serving.server.json_values import invalid


class Document:
    """The JSON object of a request.

    Args:
        body: Of the request.

    Attributes:
        signature_name: As asked for; may be empty.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """

    def __init__(self, body: bytes) -> None:
        self._document = parse_object(body)
        self.signature_name = signature_name_of(self._document)

    def inputs(self, kinds: Mapping[str, int], max_rows: int) -> PredictInputs:
        """Converts the tensors of a predict request; see `predict_inputs`.

        Args:
            kinds: Number in `DataType` by name, of the inputs of the signature.
            max_rows: Rows that there may be; 0 for any number.
        """
        return predict_inputs(
            self._document, kinds, self.signature_name, check_rows(max_rows)
        )


def check_rows(limit: int) -> Callable[[int], None]:
    """Makes a function that raises if there are too many rows."""

    def check(rows: int) -> None:
        if limit and rows > limit:
            raise invalid(
                f"The request has {rows} rows, over the limit of {limit} (--max_rows)."
            )

    return check
