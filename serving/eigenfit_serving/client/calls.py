"""What a client asks and what it is told, without regard to how it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

DTYPES: dict[str, Any] = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
    "DT_COMPLEX64": np.complex64,
    "DT_COMPLEX128": np.complex128,
    "DT_STRING": np.object_,
}
"""NumPy dtypes by TensorFlow's names; strings are object arrays of bytes."""


class TensorSpec(NamedTuple):
    """An input or output of a signature."""

    dtype: np.dtype | None  # None if NumPy has no such dtype
    shape: tuple[int | None, ...] | None  # None for an unknown rank

    @property
    def is_batch_major(self) -> bool:
        """Whether the first dimension counts members of a batch."""
        return bool(self.shape) and self.shape[0] is None


@dataclass(frozen=True)
class Signature:
    """What a function of a model takes and gives."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = ""


class Metadata(NamedTuple):
    """What is known of one version of a model."""

    model: str
    version: int | None
    signatures: Mapping[str, Signature]


class VersionStatus(NamedTuple):
    """State of one version of a model."""

    version: int
    state: str  # START, LOADING, AVAILABLE, UNLOADING or END
    code: str  # "OK", or why it ended
    message: str


class Outputs(NamedTuple):
    """What a signature gave."""

    arrays: dict[str, np.ndarray]
    version: int | None  # that answered; REST does not say


@dataclass(frozen=True)
class Target:
    """Which model is meant."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Predict:
    """Runs a signature; the answer is `Outputs`.

    Attributes:
        target: The model.
        signature: Name of the function.
        inputs: Arrays by name.
        outputs: What is known of the outputs, which JSON alone does not tell.
    """

    target: Target
    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, TensorSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class GetMetadata:
    """Asks for signatures; the answer is `Metadata`."""

    target: Target


@dataclass(frozen=True)
class GetStatus:
    """Asks for states; the answer is a list of `VersionStatus`, newest first."""

    target: Target


@dataclass(frozen=True)
class ListModels:
    """Asks which models there are; the answer is a list of names."""


Call = Predict | GetMetadata | GetStatus | ListModels


class Transport(Protocol):
    """What carries calls to a server. This is all a client needs of it."""

    def send(self, call: Call, timeout: float | None) -> Any:
        """Carries one call.

        Args:
            call: What is asked.
            timeout: Seconds until the caller gives up.

        Returns:
            What the class of the call says.

        Raises:
            ServerError: As the server answered, or for want of an answer.
            BadReply: If the answer is not understood.
        """
        ...

    def close(self) -> None:
        """Ends the connection; no call follows."""
        ...


class AsyncTransport(Protocol):
    """The same for an event loop."""

    async def send(self, call: Call, timeout: float | None) -> Any:
        """Carries one call; see `Transport.send`."""
        ...

    async def close(self) -> None:
        """Ends the connection; no call follows."""
        ...
