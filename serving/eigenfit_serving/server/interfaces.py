"""The interfaces between the parts of the server.

gRPC and REST turn a request into arrays, ask a `ModelSource` for a `Servable`, run it,
and turn the answer back. They see nothing else of models.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from eigenfit_serving.protocol.status import Code, ServingError, invalid, not_found

_USABLE_ID = re.compile(r"[\x21-\x7e]{1,128}")

REQUEST_ID = "x-request-id"
"""Header with the id of a request, which the log and the answer repeat."""

WARMUP = "WARMUP"
"""Entrypoint of the warm-up requests that come with a model."""


@dataclass(frozen=True)
class ModelSpec:
    """The model, version and signature that a caller asks for."""

    name: str
    version: int | None = None  # None: the newest that is available
    label: str | None = None  # of a version, in place of its number
    signature_name: str = ""  # empty: `serving_default`


@dataclass
class RequestContext:
    """What accompanies one request through the server; threads may share it."""

    api: str  # predict, metadata, status, list or reload
    entrypoint: str  # GRPC, REST or WARMUP
    request_id: str  # that the caller gave, or a new one
    deadline: float | None = None  # in seconds of `time.monotonic`
    model: str = ""  # once it is known; for metrics and logs
    version: int | None = None  # the one that answered
    signature: str = ""  # the one that was run
    rows: int | None = None  # first dimension of the inputs
    run_seconds: float = 0.0  # spent in TensorFlow
    extra: dict[str, Any] = field(default_factory=dict)  # fields of the access log
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _cancelled: bool = False
    _stop: Callable[[], None] | None = field(default=None, repr=False)

    def remaining(self) -> float | None:
        """Computes the seconds left, not negative; None without a deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raises if the deadline has passed or the caller has gone."""
        if self.remaining() == 0.0:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, "Timed out waiting for the model to run."
            )
        if self._cancelled:
            raise ServingError(Code.CANCELLED, "The request was cancelled.")

    def cancel(self) -> None:
        """Tells whoever works for the request to stop; may be called repeatedly."""
        with self._lock:
            self._cancelled = True
            stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def on_cancel(self, stop: Callable[[], None] | None) -> None:
        """Sets what to call, if anything, when it is cancelled; at once if it is."""
        with self._lock:
            if not self._cancelled:
                self._stop = stop
                return
        if stop is not None:
            stop()


class Servable(Protocol):
    """One version of a model, ready to run."""

    name: str
    version: int
    path: str  # folder of the version
    signatures: Mapping[str, Any]  # `SignatureDef`s, with `defaults` if they have some

    def run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs one signature, and returns the outputs in the order asked for.

        Args:
            signature: Name of the signature.
            inputs: Arrays by the names of the signature, all of them, uncast: what does
                not fit is reported by the runtime. Strings are object arrays of bytes.
            outputs: Names of the outputs wanted.
            context: Context of the request; cancelling it stops the run.

        Raises:
            ServingError: With the code of the runtime.
        """
        ...


class ModelSource(Protocol):
    """Where requests find models."""

    def acquire(self, spec: ModelSpec) -> AbstractContextManager[Servable]:
        """Holds a version: it is not unloaded before the context ends.

        Raises:
            ServingError: NOT_FOUND, with the texts of the protocol.
        """
        ...

    def status(self, name: str, version: int | None = None) -> list[Any]:
        """Lists states as `ModelVersionStatus` messages, highest version first.

        Raises:
            ServingError: NOT_FOUND.
        """
        ...

    def names(self) -> list[str]:
        """Lists the configured models."""
        ...

    def reload(self, config: Any) -> None:
        """Replaces the configuration; waits until the new models are available.

        Args:
            config: A `ModelServerConfig` of `eigenfit_serving.protocol`.

        Raises:
            ServingError: With the texts of the protocol; nothing has changed then.
        """
        ...


def request_id(given: str) -> str:
    """Returns the id that the caller chose; a new one if it is long or not printable.

    Example:
        >>> request_id("job-7"), len(request_id(""))
        ('job-7', 16)
    """
    return given if _USABLE_ID.fullmatch(given) else os.urandom(8).hex()


def unknown_label(label: str) -> ServingError:
    """Makes the error of a label that no version has."""
    return invalid(f"Unrecognized servable version label: {label}")


def unknown_version(name: str, version: int | None) -> ServingError:
    """Makes the error of a model, or a version of it, that does not serve."""
    asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return not_found(f"Servable not found for request: {asked}")
