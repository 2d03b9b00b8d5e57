"""Sends calls over gRPC."""

from __future__ import annotations

from typing import Any

from eigenfit_serving.client.address import Address, Tls
from eigenfit_serving.client.calls import Call
from eigenfit_serving.client.errors import ConnectionFailed, ServerError, error_of
from eigenfit_serving.protocol.status import Code

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The client does its own retries, and then wants a new connection at once.
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class GrpcTransport:
    """Sends calls over one channel; may be used by several threads."""

    def __init__(self, address: Address, api_key: str | None, tls: Tls | None) -> None:
        self._channel = _channel(_grpc(), address, tls)
        self._metadata = _metadata(api_key)
        self._stubs: dict[str, Any] = {}

    def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call; see `Transport.send`."""
        from eigenfit_serving.client.transports.grpc_wire import decode, encode

        method, request = encode(call)
        stub = _stub(self._stubs, self._channel, method)
        try:
            response = stub(request, timeout=timeout, metadata=self._metadata)
        except _grpc().RpcError as error:
            raise _translated(error) from error
        return decode(call, response)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class AsyncGrpcTransport:
    """`GrpcTransport` for asyncio."""

    def __init__(self, address: Address, api_key: str | None, tls: Tls | None) -> None:
        self._make = lambda: _channel(_grpc().aio, address, tls)
        self._metadata = _metadata(api_key)
        self._channel: Any = None
        self._stubs: dict[str, Any] = {}

    async def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call; see `Transport.send`."""
        from eigenfit_serving.client.transports.grpc_wire import decode, encode

        method, request = encode(call)
        if self._channel is None:  # bind it to the loop that runs now
            self._channel = self._make()
        stub = _stub(self._stubs, self._channel, method)
        try:
            response = await stub(request, timeout=timeout, metadata=self._metadata)
        except _grpc().RpcError as error:
            raise _translated(error) from error
        return decode(call, response)

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()


def _grpc() -> Any:
    try:
        import grpc
        import grpc.aio
    except ImportError:
        raise ImportError(
            'grpc:// needs grpcio. Install it: pip install "eigenfit[serving]"'
        ) from None
    return grpc


def _channel(module: Any, address: Address, tls: Tls | None) -> Any:
    if not address.secure:
        return module.insecure_channel(address.target, options=_OPTIONS)
    ca, cert, key = (tls or Tls()).read()
    credentials = _grpc().ssl_channel_credentials(ca, key, cert)
    return module.secure_channel(address.target, credentials, options=_OPTIONS)


def _metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    return () if api_key is None else (("authorization", f"Bearer {api_key}"),)


def _stub(stubs: dict[str, Any], channel: Any, method: Any) -> Any:
    if method.path not in stubs:
        stubs[method.path] = channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
    return stubs[method.path]


def _translated(error: Any) -> ServerError:
    code = Code(error.code().value[0])
    message = error.details() or ""
    # These words are gRPC's own, when no server has answered.
    if code is Code.UNAVAILABLE and any(x in message for x in _CONNECTION):
        return ConnectionFailed(code, f"No connection: {message}")
    return error_of(code, message)


_CONNECTION = ("failed to connect", "Socket closed", "Connection reset", "GOAWAY")
