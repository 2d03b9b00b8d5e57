"""The command line of eigenfit, its server, and the client of that server.

Names are imported when they are first used: the client needs neither TensorFlow nor
the requirements of the command line.

Example:
    >>> import eigenfit_serving
    >>> with eigenfit_serving.serve("models/chain", port=0) as server:  # doctest: +SKIP
    ...     client = eigenfit_serving.Client(server.grpc_url, model="chain")
    ...     client.fit(np.ones(5), [0.3, 1.5, 3.0, 4.2]).raise_for_result()
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eigenfit_serving.client import AsyncClient, Client, InProcess, Tls
    from eigenfit_serving.errors import InputError
    from eigenfit_serving.launch.served import Served, serve
    from eigenfit_serving.problem_file.reading import ProblemFile, read_problem

_HOMES = {
    "AsyncClient": "client",
    "Client": "client",
    "InProcess": "client",
    "Tls": "client",
    "InputError": "errors",
    "Served": "launch.served",
    "serve": "launch.served",
    "ProblemFile": "problem_file.reading",
    "read_problem": "problem_file.reading",
}

__all__ = [
    "AsyncClient",
    "Client",
    "InProcess",
    "InputError",
    "ProblemFile",
    "Served",
    "Tls",
    "read_problem",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
