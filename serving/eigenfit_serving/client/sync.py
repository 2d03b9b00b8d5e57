"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from eigenfit_serving.client.address import Tls, parse_address
from eigenfit_serving.client.arrays import Arrays
from eigenfit_serving.client.calls import Call, Metadata, Transport, VersionStatus
from eigenfit_serving.client.errors import Unavailable
from eigenfit_serving.client.iteration import Iteration, tolerance_of
from eigenfit_serving.client.operations import Operations, Steps
from eigenfit_serving.client.retries import Attempts, Retries
from eigenfit_serving.client.solution import Gradient, Progress, RandomFit, Solution

T = TypeVar("T")


class Client:
    """Calls the functions of a served model with NumPy arrays.

    It works with TensorFlow Serving and with eigenfit's own server, needs neither
    TensorFlow nor tensorflow-serving-api, and may be used by several threads. Arguments
    may have leading batch dimensions, which broadcast, as in `eigenfit.Solver`.

    Args:
        server: `grpc://host:8500`, `http://host:8501`, `grpcs://` and `https://` for
            encrypted connections, `unix:/path/of/socket` (gRPC); or a transport, such
            as `InProcess("models")`.
        model: Name of the model; may be left out if the server lists its models (ours
            does, over REST) and has only one.
        version: Version of the model; the newest by default.
        label: Label of a version, in place of its number.
        timeout: Seconds for a call with all its retries; None for no limit.
        retries: Number of tries after the first, or a `Retries`. Only calls that the
            server did not begin are tried again.
        api_key: Key to send with each call, if the server asks for one.
        tls: Certificates with which to encrypt the connection, whatever the URL says;
            `grpcs://` and `https://` alone use those of the system.

    Raises:
        ValueError: If an argument cannot be used.
        ImportError: If the package for that protocol is not installed.

    Example:
        >>> client = Client("grpc://localhost:8500", model="chain")  # doctest: +SKIP
        >>> solution = client.fit(np.ones(5), [0.3, 1.5, 3.0, 4.2])  # doctest: +SKIP
        >>> solution.raise_for_result().parameters  # doctest: +SKIP
    """

    def __init__(
        self,
        server: str | Transport,
        model: str | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float | None = 60.0,
        retries: int | Retries = 3,
        api_key: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self._operations = Operations(model, version, label)
        self._timeout = timeout
        self._retries = retries if isinstance(retries, Retries) else Retries(retries)
        self._shown = describe(server, model, version, label, api_key)
        if not isinstance(server, str):
            self._transport: Transport = server
            return
        address = parse_address(server, tls is not None)
        if address.protocol == "grpc":
            from eigenfit_serving.client.transports.grpc import GrpcTransport

            self._transport = GrpcTransport(address, api_key, tls)
        else:
            from eigenfit_serving.client.transports.http import HttpTransport

            self._transport = HttpTransport(address, api_key, tls)

    def __repr__(self) -> str:
        return f"Client({self._shown})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def fit(
        self,
        initial: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike | None = None,
    ) -> Solution:
        """Fits parameters to targets, from given starts.

        Args:
            initial: Starts, `[..., p]`; None for the start with which the model was
                exported.
            targets: `[..., m]`, in the order of the levels, ascending.
            tolerance: `[...]`, positive; a member has converged when its loss is at or
                below it. None for the model's default, relative to the targets.
            max_steps: Step limit, `[...]` integer; by default, and at most, that of
                the export.

        Returns:
            The solution; the result code of each member says how it ended.

        Raises:
            ValueError: If a shape does not fit, or `initial` is None and the model was
                exported without a start.
            ServerError: If the server refuses, or does not answer.
        """
        return self._run(self._operations.fit(initial, targets, tolerance, max_steps))

    def fit_from_random(
        self,
        seed: ArrayLike,
        targets: ArrayLike,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike | None = None,
    ) -> RandomFit:
        """Fits from starts drawn inside the model.

        Args:
            seed: `[...]` integer; a member's draw does not depend on the others.
            targets: Values to fit, `[..., m]`.
            tolerance: As for `fit`.
            max_steps: As for `fit`.

        Returns:
            The starts `[..., p]` and the solution.
        """
        return self._run(
            self._operations.fit_from_random(seed, targets, tolerance, max_steps)
        )

    def eigenvalues(self, parameters: ArrayLike) -> np.ndarray:
        """Computes all levels `[..., n]`, ascending, from parameters `[..., p]`."""
        return self._run(self._operations.eigenvalues(parameters))

    def gradient(self, parameters: ArrayLike, targets: ArrayLike) -> Gradient:
        """Computes loss, gradient and eigenvalues.

        Args:
            parameters: `[..., p]`.
            targets: Values to fit, `[..., m]`.
        """
        return self._run(self._operations.gradient(parameters, targets))

    def eigengradient(self, matrix: ArrayLike, level: ArrayLike) -> Arrays:
        """Computes the derivative of a level by the matrix.

        Args:
            matrix: `[..., n, n]` of any order; only the lower triangle is read.
            level: Index of the level, `[...]` integer; negative ones count from the
                top.

        Returns:
            `eigenvalues` `[..., n]`; `gradient` `[..., n, n]`, symmetric; and
            `gradient_lower`, by the entries of the lower triangle.
        """
        return self._run(self._operations.eigengradient(matrix, level))

    def init(self, initial: ArrayLike, targets: ArrayLike) -> Arrays:
        """Returns the method's first state, arrays by name, for `step`."""
        return self._run(self._operations.init(initial, targets))

    def step(self, state: Mapping[str, np.ndarray], targets: ArrayLike) -> Arrays:
        """Takes one step of the method.

        Args:
            state: State returned by `init` or `step`.
            targets: As for `fit`, `[..., m]`.
        """
        return self._run(self._operations.step(state, targets))

    def iterate(
        self,
        initial: ArrayLike,
        targets: ArrayLike,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike = 1000,
        every: int = 1,
    ) -> Iterator[Progress]:
        """Fits step by step, one call per step, to follow its progress.

        Args:
            initial: Starts, `[..., p]`.
            targets: Values to fit, `[..., m]`.
            tolerance: `[...]`, as for `fit`; None for residuals of 1e-10 of the
                largest target (1e-5 in float32), for a model without weights.
            max_steps: Step limit, `[...]` integer.
            every: Number of steps between yields.

        Yields:
            The progress at the start, after every `every` steps, and at the end.
        """
        check_every(every)
        state = self.init(initial, targets)
        enough = tolerance_of(tolerance, targets, state)
        iteration = Iteration(state, enough, max_steps)
        progress = iteration.progress()
        yield progress
        while iteration.is_running:
            iteration.advance(self.step(iteration.state, targets))
            progress = iteration.progress()
            if progress.step % every == 0 or not iteration.is_running:
                yield progress

    def predict(self, signature: str, /, **arrays: Any) -> Arrays:
        """Runs any signature of any model.

        Args:
            signature: Name of the signature, such as `serving_default`.
            **arrays: Its inputs by name. They broadcast if the first dimension of every
                input counts members of a batch, and are sent as they are otherwise.

        Returns:
            The outputs by name.
        """
        return self._run(self._operations.predict(signature, arrays))

    def metadata(self) -> Metadata:
        """Fetches the version and the signatures of the model."""
        return self._run(self._operations.metadata())

    def status(self) -> list[VersionStatus]:
        """Lists the versions of the model and their states, newest first."""
        return self._run(self._operations.status())

    def models(self) -> list[str]:
        """Lists the models of the server; only ours does so, and over REST.

        Raises:
            Unsupported: Over gRPC.
        """
        return self._run(self._operations.models())

    def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    answer = self._send(call)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            return end.value

    def _send(self, call: Call) -> Any:
        attempts = Attempts(self._retries, self._timeout)
        while True:
            try:
                return self._transport.send(call, attempts.remaining())
            except Unavailable as error:
                time.sleep(attempts.pause(error))


def describe(
    server: Any,
    model: str | None,
    version: int | None,
    label: str | None,
    api_key: str | None,
) -> str:
    """Writes the arguments of a client, with secrets masked."""
    parts = [repr(parse_address(server).shown if isinstance(server, str) else server)]
    named = {"model": model, "version": version, "label": label}
    parts += [f"{name}={value!r}" for name, value in named.items() if value is not None]
    if api_key is not None:
        parts.append("api_key='***'")
    return ", ".join(parts)


def check_every(every: int) -> None:
    """Checks the argument `every` of `iterate`."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` must be a positive integer, got {every!r}.")
