"""The client."""

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
    take leading batch dimensions, which broadcast, as those of `eigenfit.Solver`.

    Args:
        server: `grpc://host:8500`, `http://host:8501`, `grpcs://` and `https://` for
            encrypted connections, `unix:/path/of/socket` (gRPC); or a transport, such
            as `InProcess("models")`.
        model: Its name; may be left out where the server lists its models (ours over
            REST) and has one.
        version: Of the model; the newest by default.
        label: Of a version, instead of its number.
        timeout: Seconds for a call with all its tries; None for no limit.
        retries: Tries after the first, or a `Retries`. Only what the server did not
            begin is tried again.
        api_key: Sent with each call, where the server asks for one.
        tls: Encrypts the connection, whatever the URL says, with these certificates;
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
            from eigenfit_serving.client.grpc_transport import GrpcTransport

            self._transport = GrpcTransport(address, api_key, tls)
        else:
            from eigenfit_serving.client.http_transport import HttpTransport

            self._transport = HttpTransport(address, api_key, tls)

    def __repr__(self) -> str:
        return f"Client({self._shown})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
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
            initial: `[..., p]`, where to start; None for the start with which the
                model was exported.
            targets: `[..., m]`, ascending with their levels.
            tolerance: `[...]`, positive; a member has converged when its loss is at or
                below it. None for the model's default, relative to the targets.
            max_steps: `[...]` integer; by default, and at most, what the model was
                exported with.

        Returns:
            The solution; a member that went wrong has a code of its own.

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
            seed: `[...]` integer; a member draws the same whatever its neighbours.
            targets: `[..., m]`.
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
            targets: `[..., m]`.
        """
        return self._run(self._operations.gradient(parameters, targets))

    def eigengradient(self, matrix: ArrayLike, level: ArrayLike) -> Arrays:
        """Computes the derivative of a level by the matrix.

        Args:
            matrix: `[..., n, n]` of any order, of which the lower triangle is read.
            level: `[...]` integer; negative ones count from the top.

        Returns:
            `eigenvalues` `[..., n]`; `gradient` `[..., n, n]`, symmetric; and
            `gradient_lower`, by the entries of the lower triangle.
        """
        return self._run(self._operations.eigengradient(matrix, level))

    def init(self, initial: ArrayLike, targets: ArrayLike) -> Arrays:
        """Starts the method: its state, arrays by name, for `step`."""
        return self._run(self._operations.init(initial, targets))

    def step(self, state: Mapping[str, np.ndarray], targets: ArrayLike) -> Arrays:
        """Makes one step of the method.

        Args:
            state: From `init` or `step`.
            targets: `[..., m]`.
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
        """Fits step by step, each step a call, to show how it goes.

        Args:
            initial: `[..., p]`.
            targets: `[..., m]`.
            tolerance: `[...]`, as for `fit`; None for residuals of 1e-10 of the
                largest target (1e-5 in float32), of a model without weights.
            max_steps: `[...]` integer.
            every: Steps between yields.

        Yields:
            The start, the state after every so many steps, and the end.
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
            signature: Its name, such as `serving_default`.
            **arrays: Its inputs. They broadcast if the first dimension of all of them
                counts members of a batch, and go as they are otherwise.

        Returns:
            Its outputs by name.
        """
        return self._run(self._operations.predict(signature, arrays))

    def metadata(self) -> Metadata:
        """Asks for the version and the signatures of the model."""
        return self._run(self._operations.metadata())

    def status(self) -> list[VersionStatus]:
        """Lists the versions of the model and their states, newest first."""
        return self._run(self._operations.status())

    def models(self) -> list[str]:
        """Lists the models of the server; only ours does so, and over REST.

        Raises:
            Unsupported: By gRPC.
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
    """Writes the arguments of a client, secrets masked."""
    parts = [repr(parse_address(server).shown if isinstance(server, str) else server)]
    named = {"model": model, "version": version, "label": label}
    parts += [f"{name}={value!r}" for name, value in named.items() if value is not None]
    if api_key is not None:
        parts.append("api_key='***'")
    return ", ".join(parts)


def check_every(every: int) -> None:
    """Checks the argument of `iterate`."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` must be a positive integer, got {every!r}.")
