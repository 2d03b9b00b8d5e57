"""Loads a SavedModel into something that runs.

There are two ways to run one. A function of the eager runtime can be cancelled at any
time; a session takes every graph that TensorFlow ever wrote, feeds and fetches by name
as TensorFlow Serving does, and knows deadlines only. Models saved by TensorFlow 2 run
as functions if a small trial of the private interfaces succeeds, all others in a
session.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Protocol

import numpy as np

from eigenfit_serving.server.executor_errors import loading_errors
from eigenfit_serving.server.executor_files import read_graph, tags_of
from eigenfit_serving.server.executor_functions import (
    FunctionServable,
    UnsuitableError,
    try_functions,
)
from eigenfit_serving.server.executor_session import SessionServable
from eigenfit_serving.server.executor_threads import set_parallelism
from eigenfit_serving.server.interfaces import Servable
from eigenfit_serving.server.options import Options

_log = logging.getLogger(__name__)


class LoadedServable(Servable, Protocol):
    """A servable that holds memory."""

    def close(self) -> None:
        """Frees it; nothing may run then, and nothing runs afterwards."""
        ...


def load_servable(
    path: str, name: str, version: int, options: Options
) -> LoadedServable:
    """Loads the SavedModel of a folder; may take long.

    Args:
        path: Folder of one version.
        name: Of the model.
        version: Its number.
        options: `saved_model_tags` and the numbers of threads are used.

    Raises:
        ServingError: With the code and text of the loader.
    """
    set_parallelism(options)
    tags = tags_of(options.saved_model_tags)
    graph = read_graph(path, tags)
    with loading_errors(path):
        if graph.has_objects and functions_work():
            try:
                return FunctionServable(path, name, version, graph, tags)
            except UnsuitableError as error:
                _log.info("%s runs in a session: %s", path, error)
        return SessionServable(path, name, version, graph, tags, options)


@cache
def functions_work() -> bool:
    """Tries once whether functions can be run the short way."""
    try:
        return bool(np.all(try_functions() == 3.0))
    except Exception as error:  # whatever a changed private interface raises
        _log.warning("Models run in sessions, which cannot be cancelled: %r", error)
        return False
