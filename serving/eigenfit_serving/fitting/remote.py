"""Fits a problem file on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.errors import InputError
from eigenfit_serving.protocol.result_codes import Result

if TYPE_CHECKING:
    import eigenfit as ef
    from eigenfit_serving.client import Client


def connect(url: str, model: str | None, stem: str) -> Client:
    """Makes a client for `--server`, for the model that is meant.

    Args:
        url: URL of the server.
        model: Name of the model; None for the only one of the server.
        stem: Stem of the problem file's name, the model's name if the server does not
            list exactly one.

    Raises:
        InputError: If the server cannot be used.
    """
    from eigenfit_serving.client import Client, ClientError

    try:
        return Client(url, model or _only_model(url) or stem)
    except (ClientError, ImportError, ValueError) as error:
        raise _refused(url, error) from None


class RemoteFit:
    """Replaces `Solver.fit` by calls to a server.

    Args:
        client: Client for the model.
        solver: Solver of the problem file, whose blocks name the matrices.
        url: URL of the server, for messages.
    """

    def __init__(self, client: Client, solver: ef.Solver, url: str) -> None:
        self._client, self._url, self._solver = client, url, solver

    def __call__(self, initial: Any, targets: Any, **limits: Any) -> ef.Solution:
        """Fits all starts; see `eigenfit.Solver.fit`."""
        import eigenfit as ef
        from eigenfit_export.naming import matrix_names
        from eigenfit_serving.client import ClientError

        try:
            found = self._client.fit(initial, targets, **limits)
        except ClientError as error:
            raise _refused(self._url, error) from None
        except (TypeError, ValueError) as error:
            raise InputError(
                f"--server = {self._url}: its model is another one than this file "
                f"describes: {error}"
            ) from None
        refused = np.asarray(found.result) == Result.invalid_input
        if limits.get("tolerance") is None and refused.all():
            raise InputError(
                f"--server = {self._url}: its model refuses all starts. If it was "
                f"exported by an eigenfit without a default tolerance, give one, e.g. "
                f"--tolerance 1e-16, or export it again; if not, its bounds are other "
                f"ones than those of this file."
            )
        names = matrix_names(self._solver.problem)
        matrix: Any = found.matrix
        if len(names) > 1:
            labels = [name.removeprefix("matrix_") for name in names]
            matrix = tuple(found.matrix[label] for label in labels)
        dtype = np.asarray(initial).dtype
        return ef.Solution(
            **{
                **found._asdict(),
                "parameters": found.parameters.astype(dtype),
                "matrix": matrix,
            }  # type: ignore[arg-type]
        )


def _only_model(url: str) -> str | None:
    from eigenfit_serving.client import Client, InvalidRequest, NotFound, Unsupported

    with Client(url) as client:
        try:
            listed = client.models()
        except (Unsupported, InvalidRequest, NotFound):
            return None
    return listed[0] if len(listed) == 1 else None


def _refused(url: str, error: Exception) -> InputError:
    return InputError(f"--server = {url}: {error}")
