"""A client of TensorFlow Serving's protocol with methods for fits.

NumPy and grpcio with protobuf (`grpc://`) or httpx (`http://`) are all it needs.
`eigenfit_serving.client.errors` shows the tree of errors.
"""

from eigenfit_serving.client.address import Tls
from eigenfit_serving.client.asynchronous import AsyncClient
from eigenfit_serving.client.calls import (
    AsyncTransport,
    Metadata,
    Signature,
    TensorSpec,
    Transport,
    VersionStatus,
)
from eigenfit_serving.client.errors import (
    AccessDenied,
    BadReply,
    ClientError,
    ConnectionFailed,
    DeadlineExceeded,
    FitError,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServerError,
    ServerFault,
    Unavailable,
    Unsupported,
)
from eigenfit_serving.client.retries import Retries
from eigenfit_serving.client.solution import Gradient, Progress, RandomFit, Solution
from eigenfit_serving.client.sync import Client
from eigenfit_serving.client.transports.in_process import InProcess
from eigenfit_serving.protocol.result_codes import Result

__all__ = [
    "AccessDenied",
    "AsyncClient",
    "AsyncTransport",
    "BadReply",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "DeadlineExceeded",
    "FitError",
    "Gradient",
    "InProcess",
    "InvalidRequest",
    "Metadata",
    "NotFound",
    "Overloaded",
    "Progress",
    "RandomFit",
    "Result",
    "Retries",
    "ServerError",
    "ServerFault",
    "Signature",
    "Solution",
    "TensorSpec",
    "Tls",
    "Transport",
    "Unavailable",
    "Unsupported",
    "VersionStatus",
]
