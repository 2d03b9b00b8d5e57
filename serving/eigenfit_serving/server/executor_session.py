"""Runs any SavedModel in a session, by tensor names, as TensorFlow Serving does.

A deadline stops a run. A cancelled run goes on to its end or deadline: sessions have no
means to stop one of several runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.saved_model import loader_impl

from eigenfit_serving.server.executor_arrays import as_array
from eigenfit_serving.server.executor_errors import running_errors
from eigenfit_serving.server.executor_files import SavedGraph
from eigenfit_serving.server.executor_threads import parallelism
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError

# A year; the runtime counts nanoseconds in 64 bits.
_LONGEST = 3.2e7


class SessionServable:
    """A version of a model in a session of its own; see `Servable`.

    Args:
        path: Folder of the version.
        name: Of the model.
        version: Its number.
        graph: What is in its file.
        tags: Of the graph.
        options: The numbers of threads are used.
    """

    def __init__(
        self,
        path: str,
        name: str,
        version: int,
        graph: SavedGraph,
        tags: Sequence[str],
        options: Options,
    ) -> None:
        self.name, self.version, self.path = name, version, path
        self.signatures = graph.signatures
        intra, inter = parallelism(options)
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra,
            inter_op_parallelism_threads=inter,
            allow_soft_placement=True,
        )
        self._graph = tf.Graph()
        self._session: Any = tf.compat.v1.Session(graph=self._graph, config=config)
        try:
            with self._graph.as_default():
                loader_impl.SavedModelLoader(path).load(self._session, list(tags))
                self._session._extend_graph()
        except BaseException:
            self._session.close()
            raise
        self._graph.finalize()
        self._tensors: dict[str, Any] = {}

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs the graph; see `Servable.run`."""
        context.check()
        session = self._session
        if session is None:
            raise ServingError(Code.UNAVAILABLE, f"{self.name} is unloaded.")
        if not fetches:
            raise _invalid("Must specify at least one target to fetch or execute.")
        fed = {
            self._tensor(name, "FeedInputs: unable to find feed output"): array
            for name, array in feeds.items()
        }
        # A tensor fetched twice comes once.
        names = list(dict.fromkeys(fetches))
        fetched = [self._tensor(name, "FetchOutputs node") for name in names]
        options = _run_options(context)
        start = time.perf_counter()
        try:
            with running_errors(context):
                results = session._call_tf_sessionrun(options, fed, fetched, [], None)
        finally:
            context.run_seconds += time.perf_counter() - start
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)
        by_name = dict(zip(names, results, strict=True))
        return [as_array(by_name[name]) for name in fetches]

    def close(self) -> None:
        """Closes the session."""
        session, self._session = self._session, None
        self._tensors = {}
        if session is not None:
            session.close()

    def _tensor(self, name: str, fault: str) -> Any:
        found = self._tensors.get(name)
        if found is None:
            try:
                found = self._graph.get_tensor_by_name(name)._as_tf_output()
            except (KeyError, ValueError):
                raise _invalid(f"{fault} {name}: not found") from None
            self._tensors[name] = found
        return found


def _run_options(context: RequestContext) -> Any:
    remaining = context.remaining()
    if remaining is None:
        return None
    milliseconds = math.ceil(min(max(remaining, 0.001), _LONGEST) * 1000)
    options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds)
    return pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
