"""The operations of both clients, written once as generators of calls.

Each function yields a call, is sent its answer, and returns the result. It neither
waits nor knows how calls are sent.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

import numpy as np

from eigenfit_serving.client.arrays import (
    Arrays,
    join_complex,
    nothing,
    prepare,
    restore,
)
from eigenfit_serving.client.calls import (
    Call,
    GetMetadata,
    GetStatus,
    ListModels,
    Metadata,
    Outputs,
    Predict,
    Signature,
    Target,
    VersionStatus,
)
from eigenfit_serving.client.errors import InvalidRequest, NotFound, Unsupported
from eigenfit_serving.client.solution import Gradient, RandomFit, Solution, solution_of

T = TypeVar("T")
Steps = Generator[Call, Any, T]

FIT_FROM_START = "fit_from_start"
"""Signature of models that were exported with a start."""

NO_LIMIT = np.iinfo(np.int32).max
"""Number of steps, which the model clips to the limit of its export."""


class Operations:
    """The operations on one model, whose metadata are cached."""

    def __init__(
        self, model: str | None, version: int | None, label: str | None
    ) -> None:
        if version is not None and label is not None:
            raise ValueError("`version` and `label` cannot be given together.")
        if version is not None and (isinstance(version, bool) or version < 0):
            raise ValueError(f"`version` must not be negative, got {version!r}.")
        self._name = model
        self._version, self._label = version, label
        self._metadata: Metadata | None = None

    def target(self) -> Steps[Target]:
        """Returns the model to address; asks the server if the caller named none."""
        if self._name is None:
            try:
                names = yield ListModels()
            except (Unsupported, InvalidRequest, NotFound):
                raise ValueError(
                    "`model` must be given: this server does not list its models."
                ) from None
            if len(names) != 1:
                shown = ", ".join(names) or "none"
                raise ValueError(
                    f"`model` must be given: the server has {shown}."
                ) from None
            [self._name] = names
        return Target(self._name, self._version, self._label)

    def models(self) -> Steps[list[str]]:
        """Lists the models of the server."""
        return (yield ListModels())

    def status(self) -> Steps[list[VersionStatus]]:
        """Lists the versions of the model."""
        target = yield from self.target()
        return (yield GetStatus(target))

    def metadata(self) -> Steps[Metadata]:
        """Fetches the signatures, even if they are cached."""
        target = yield from self.target()
        metadata: Metadata = yield GetMetadata(target)
        self._metadata = metadata
        return metadata

    def signature(self, name: str) -> Steps[Signature]:
        """Finds a signature; fetches the metadata if it is not cached."""
        metadata = self._metadata or (yield from self.metadata())
        if name not in metadata.signatures:
            metadata = yield from self.metadata()
        try:
            return metadata.signatures[name]
        except KeyError:
            known = ", ".join(sorted(metadata.signatures))
            raise ValueError(
                f"The model {metadata.model!r} has no signature {name!r}. It has "
                f"{known}."
            ) from None

    def predict(self, name: str, arguments: Mapping[str, Any]) -> Steps[Arrays]:
        """Runs a signature on arrays with any batch dimensions."""
        if not isinstance(name, str):
            raise TypeError(
                "The name of a signature comes first, as in "
                f"predict('serving_default', x=...), got {type(name).__name__}."
            )
        signature = yield from self.signature(name)
        prepared = prepare(name, signature, arguments)
        if prepared.batch is not None and 0 in prepared.batch:
            return restore(nothing(signature), prepared.batch)
        target = yield from self.target()
        call = Predict(target, name, prepared.inputs, signature.outputs)
        try:
            answer: Outputs = yield call
        except (InvalidRequest, NotFound):
            self._metadata = None  # a new version may have other signatures
            raise
        known = self._metadata
        if known is not None and answer.version not in (None, known.version):
            self._metadata = None
        return restore(answer.arrays, prepared.batch)

    def fit(self, initial: Any, targets: Any, *limits: Any) -> Steps[Solution]:
        """Fits from given starts, or from the model's own start."""
        if targets is None:
            raise TypeError("`targets` must be given.")
        named = {"targets": targets, **_limits(*limits)}
        if initial is not None:
            named["initial"] = initial
            return solution_of((yield from self.predict("fit", named)))
        metadata = self._metadata or (yield from self.metadata())
        if FIT_FROM_START not in metadata.signatures:
            raise ValueError(
                f"`initial` must be given: the model {metadata.model!r} was exported "
                f"without a start. Give it, call fit_from_random, or export a problem "
                f"file with [start] parameters."
            )
        answer = yield from self.predict(FIT_FROM_START, named)
        return solution_of({k: v for k, v in answer.items() if k != "initial"})

    def fit_from_random(
        self, seed: Any, targets: Any, *limits: Any
    ) -> Steps[RandomFit]:
        """Fits from starts that the model draws."""
        named = {"seed": seed, "targets": targets, **_limits(*limits)}
        answer = yield from self.predict("fit_from_random", named)
        return RandomFit(answer.pop("initial"), solution_of(answer))

    def eigenvalues(self, parameters: Any) -> Steps[np.ndarray]:
        """Computes all levels."""
        named = {"parameters": parameters}
        return (yield from self.predict("eigenvalues", named))["eigenvalues"]

    def gradient(self, parameters: Any, targets: Any) -> Steps[Gradient]:
        """Computes the loss and its gradient."""
        named = {"parameters": parameters, "targets": targets}
        return Gradient(**(yield from self.predict("gradient", named)))

    def eigengradient(self, matrix: Any, level: Any) -> Steps[Arrays]:
        """Computes the derivative of a level by the matrix."""
        named = {"matrix": matrix, "level": level}
        return join_complex((yield from self.predict("eigengradient", named)))

    def init(self, initial: Any, targets: Any) -> Steps[Arrays]:
        """Returns the method's first state."""
        named = {"initial": initial, "targets": targets}
        return (yield from self.predict("init", named))

    def step(self, state: Mapping[str, np.ndarray], targets: Any) -> Steps[Arrays]:
        """Takes one step of the method."""
        return (yield from self.predict("step", {**state, "targets": targets}))


def _limits(tolerance: Any, max_steps: Any) -> dict[str, Any]:
    # A tolerance of 0 stands for the model's default, relative to the targets.
    return {
        "tolerance": 0.0 if tolerance is None else tolerance,
        "max_steps": NO_LIMIT if max_steps is None else max_steps,
    }
