"""The calls of a client and their answers, independent of the transport."""

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
    """The inputs and outputs of a function of a model."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = ""


class Metadata(NamedTuple):
    """Version and signatures of a model."""

    model: str
    version: int | None
    signatures: Mapping[str, Signature]


class VersionStatus(NamedTuple):
    """State of one version of a model."""

    version: int
    state: str  # START, LOADING, AVAILABLE, UNLOADING or END
    code: str  # name of a status code: "OK", or why it ended
    message: str


class Outputs(NamedTuple):
    """The outputs of a signature."""

    arrays: dict[str, np.ndarray]
    version: int | None  # the version that answered; None over REST


@dataclass(frozen=True)
class Target:
    """The model that a call addresses."""

    name: str
    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Predict:
    """Runs a signature; the answer is `Outputs`.

    Attributes:
        target: Model to run.
        signature: Name of the function.
        inputs: Arrays by name.
        outputs: Specs of the outputs, whose dtypes JSON does not carry.
    """

    target: Target
    signature: str
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, TensorSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class GetMetadata:
    """Asks for the signatures; the answer is `Metadata`."""

    target: Target


@dataclass(frozen=True)
class GetStatus:
    """Asks for the versions; the answer is a list of `VersionStatus`, newest first."""

    target: Target


@dataclass(frozen=True)
class ListModels:
    """Asks for the models of the server; the answer is a list of names."""


Call = Predict | GetMetadata | GetStatus | ListModels


class Transport(Protocol):
    """Sends calls to a server. This is all that a client needs of it."""

    def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call.

        Args:
            call: Call to send.
            timeout: Seconds until the caller gives up; None for no limit.

        Returns:
            The answer that the class of the call describes.

        Raises:
            ServerError: If the server reports an error, or does not answer.
            BadReply: If the answer is not understood.
        """
        ...

    def close(self) -> None:
        """Ends the connection; no call follows."""
        ...


class AsyncTransport(Protocol):
    """`Transport` for asyncio."""

    async def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call; see `Transport.send`."""
        ...

    async def close(self) -> None:
        """Ends the connection; no call follows."""
        ...
