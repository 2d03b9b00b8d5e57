"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from eigenfit_serving.client.address import Tls, parse_address
from eigenfit_serving.client.arrays import Arrays
from eigenfit_serving.client.calls import (
    AsyncTransport,
    Call,
    Metadata,
    Transport,
    VersionStatus,
)
from eigenfit_serving.client.errors import Unavailable
from eigenfit_serving.client.iteration import Iteration, tolerance_of
from eigenfit_serving.client.operations import Operations, Steps
from eigenfit_serving.client.retries import Attempts, Retries
from eigenfit_serving.client.solution import Gradient, Progress, RandomFit, Solution
from eigenfit_serving.client.sync import check_every, describe

T = TypeVar("T")


class AsyncClient:
    """`Client` for asyncio: the same arguments and methods, to be awaited.

    A synchronous transport, such as `InProcess`, runs in a thread.

    Example:
        >>> async def fit_many(targets):
        ...     async with AsyncClient("grpc://localhost:8500", "chain") as client:
        ...         fits = [client.fit(np.ones(5), t) for t in targets]
        ...         return await asyncio.gather(*fits)
    """

    def __init__(
        self,
        server: str | AsyncTransport | Transport,
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
            is_async = asyncio.iscoroutinefunction(server.send)
            self._transport: Any = server if is_async else _InThread(server)
            return
        address = parse_address(server, tls is not None)
        if address.protocol == "grpc":
            from eigenfit_serving.client.transports.grpc import AsyncGrpcTransport

            self._transport = AsyncGrpcTransport(address, api_key, tls)
        else:
            from eigenfit_serving.client.transports.http import AsyncHttpTransport

            self._transport = AsyncHttpTransport(address, api_key, tls)

    def __repr__(self) -> str:
        return f"AsyncClient({self._shown})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection."""
        await self._transport.close()

    async def fit(
        self,
        initial: ArrayLike,
        targets: ArrayLike,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike | None = None,
    ) -> Solution:
        """Fits parameters to targets; see `Client.fit`."""
        return await self._run(
            self._operations.fit(initial, targets, tolerance, max_steps)
        )

    async def fit_from_random(
        self,
        seed: ArrayLike,
        targets: ArrayLike,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike | None = None,
    ) -> RandomFit:
        """Fits from starts drawn inside the model; see `Client.fit_from_random`."""
        return await self._run(
            self._operations.fit_from_random(seed, targets, tolerance, max_steps)
        )

    async def eigenvalues(self, parameters: ArrayLike) -> np.ndarray:
        """Computes all levels; see `Client.eigenvalues`."""
        return await self._run(self._operations.eigenvalues(parameters))

    async def gradient(self, parameters: ArrayLike, targets: ArrayLike) -> Gradient:
        """Computes loss, gradient and eigenvalues; see `Client.gradient`."""
        return await self._run(self._operations.gradient(parameters, targets))

    async def eigengradient(self, matrix: ArrayLike, level: ArrayLike) -> Arrays:
        """Computes the derivative of a level; see `Client.eigengradient`."""
        return await self._run(self._operations.eigengradient(matrix, level))

    async def init(self, initial: ArrayLike, targets: ArrayLike) -> Arrays:
        """Returns the method's first state; see `Client.init`."""
        return await self._run(self._operations.init(initial, targets))

    async def step(self, state: Mapping[str, np.ndarray], targets: ArrayLike) -> Arrays:
        """Takes one step of the method; see `Client.step`."""
        return await self._run(self._operations.step(state, targets))

    async def iterate(
        self,
        initial: ArrayLike,
        targets: ArrayLike,
        *,
        tolerance: ArrayLike | None = None,
        max_steps: ArrayLike = 1000,
        every: int = 1,
    ) -> AsyncIterator[Progress]:
        """Fits step by step; see `Client.iterate`."""
        check_every(every)
        state = await self.init(initial, targets)
        enough = tolerance_of(tolerance, targets, state)
        iteration = Iteration(state, enough, max_steps)
        yield iteration.progress()
        while iteration.is_running:
            iteration.advance(await self.step(iteration.state, targets))
            progress = iteration.progress()
            if progress.step % every == 0 or not iteration.is_running:
                yield progress

    async def predict(self, signature: str, /, **arrays: Any) -> Arrays:
        """Runs any signature of any model; see `Client.predict`."""
        return await self._run(self._operations.predict(signature, arrays))

    async def metadata(self) -> Metadata:
        """Fetches the version and the signatures of the model."""
        return await self._run(self._operations.metadata())

    async def status(self) -> list[VersionStatus]:
        """Lists the versions of the model and their states, newest first."""
        return await self._run(self._operations.status())

    async def models(self) -> list[str]:
        """Lists the models of the server; see `Client.models`."""
        return await self._run(self._operations.models())

    async def _run(self, steps: Steps[T]) -> T:
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self._send(call)
                except Exception as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            return end.value

    async def _send(self, call: Call) -> Any:
        attempts = Attempts(self._retries, self._timeout)
        while True:
            try:
                return await self._transport.send(call, attempts.remaining())
            except Unavailable as error:
                await asyncio.sleep(attempts.pause(error))


class _InThread:
    def __init__(self, transport: Any) -> None:
        self._transport = transport

    async def send(self, call: Call, timeout: float | None) -> Any:
        return await asyncio.to_thread(self._transport.send, call, timeout)

    async def close(self) -> None:
        await asyncio.to_thread(self._transport.close)
