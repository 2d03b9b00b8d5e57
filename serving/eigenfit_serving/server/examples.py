"""Classification and regression of `tf.Example`s, apart from how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eigenfit_serving.server.example_signatures import (
    classified,
    classify_names,
    regress_names,
    regressed,
)
from eigenfit_serving.server.interfaces import RequestContext, Servable
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import (
    CLASSIFY_METHOD,
    DEFAULT_SIGNATURE,
    REGRESS_METHOD,
)
from eigenfit_serving.server.predict_limits import check_limits
from eigenfit_serving.server.status import Code, ServingError

Classes = list[list[tuple[bytes, float]]]
"""Labels and scores of each example."""


@dataclass(frozen=True)
class Task:
    """One signature to run on all examples.

    Attributes:
        model: Name that the caller gave.
        signature_name: Empty for `serving_default`.
        method: `CLASSIFY_METHOD` or `REGRESS_METHOD`.
    """

    model: str
    signature_name: str
    method: str


def classify(
    servable: Servable,
    signature_name: str,
    examples: Sequence[bytes],
    context: RequestContext,
    options: Options,
) -> Classes:
    """Classifies examples.

    Args:
        servable: What to run.
        signature_name: Empty for `serving_default`.
        examples: Serialised `tf.Example`s.
        context: Of the request.
        options: Limits, and whether the signature's method is checked.

    Raises:
        ServingError: With the texts of the protocol.
    """
    signature = _signature(servable, signature_name, context)
    feed, fetches = classify_names(signature, options)
    outputs = _run(servable, feed, fetches, examples, context, options)
    return classified(signature, len(examples), outputs)


def regress(
    servable: Servable,
    signature_name: str,
    examples: Sequence[bytes],
    context: RequestContext,
    options: Options,
) -> list[float]:
    """Gives a number for each example; see `classify`.

    Raises:
        ServingError: With the texts of the protocol.
    """
    signature = _signature(servable, signature_name, context)
    feed, fetches = regress_names(signature, options)
    outputs = _run(servable, feed, fetches, examples, context, options)
    return regressed(signature, len(examples), outputs)


def multi_inference(
    servable: Servable,
    tasks: Sequence[Task],
    examples: Sequence[bytes],
    context: RequestContext,
    options: Options,
) -> list[Classes | list[float]]:
    """Runs several signatures on the same examples, in one run of the graph.

    Returns:
        What `classify` or `regress` gives, for each task.

    Raises:
        ServingError: With the texts of the protocol.
    """
    feed = ""
    fetches: dict[str, None] = {}
    seen: set[str] = set()
    for task in tasks:
        if not task.model:
            raise _invalid("Found ModelSpec with an empty model name.")
        if task.model != tasks[0].model:
            raise _invalid(
                "All ModelSpecs in a MultiInferenceRequest must access the same model "
                "name."
            )
        used = task.signature_name or DEFAULT_SIGNATURE
        if used in seen:
            raise _invalid(f"Duplicate evaluation of signature: {used}")
        seen.add(used)
        name, outputs = _names(task, _task_signature(servable, used), options)
        if feed and feed != name:
            raise _invalid("Input tensor must be the same for all Signatures.")
        feed = name
        fetches.update(dict.fromkeys(outputs))
    context.signature = ",".join(sorted(seen))
    found = _run(servable, feed, sorted(fetches), examples, context, options)
    results: list[Classes | list[float]] = []
    for task in tasks:
        signature = _task_signature(servable, task.signature_name or DEFAULT_SIGNATURE)
        finish = classified if task.method == CLASSIFY_METHOD else regressed
        results.append(finish(signature, len(examples), found))
    return results


def _names(task: Task, signature: Any, options: Options) -> tuple[str, list[str]]:
    if task.method == CLASSIFY_METHOD:
        return classify_names(signature, options)
    if task.method == REGRESS_METHOD:
        return regress_names(signature, options)
    raise ServingError(
        Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method}"
    )


def _signature(servable: Servable, name: str, context: RequestContext) -> Any:
    used = name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(used)
    if signature is None:
        raise _invalid(f"No signature was found with the name: {used}")
    context.signature = used
    return signature


def _task_signature(servable: Servable, used: str) -> Any:
    signature = servable.signatures.get(used)
    if signature is None:
        raise _invalid(f"Requested signature not found in model graph: {used}")
    return signature


def _run(
    servable: Servable,
    feed: str,
    fetches: Sequence[str],
    examples: Sequence[bytes],
    context: RequestContext,
    options: Options,
) -> dict[str, np.ndarray]:
    if not examples:
        raise _invalid("Input is empty.")
    array = np.empty(len(examples), object)
    array[:] = examples
    context.rows = len(examples)
    check_limits({"inputs": array}, options)
    results = servable.run({feed: array}, fetches, context)
    return dict(zip(fetches, results, strict=True))


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
