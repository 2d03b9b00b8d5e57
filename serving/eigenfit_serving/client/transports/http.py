"""Sends calls over REST, with httpx."""

from __future__ import annotations

import ssl
from typing import Any

from eigenfit_serving.client.address import Address, Tls
from eigenfit_serving.client.calls import Call
from eigenfit_serving.client.errors import (
    ClientError,
    ConnectionFailed,
    DeadlineExceeded,
)
from eigenfit_serving.client.transports.http_wire import HttpRequest, decode, encode
from eigenfit_serving.protocol.status import Code


class HttpTransport:
    """Sends calls over persistent connections; may be used by several threads."""

    def __init__(self, address: Address, api_key: str | None, tls: Tls | None) -> None:
        httpx = _httpx()
        self._client = httpx.Client(**_settings(address, api_key, tls))

    def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call; see `Transport.send`."""
        request = encode(call)
        try:
            response = self._client.request(**_arguments(request, timeout))
        except Exception as error:
            raise _translated(error) from error
        return decode(call, response.status_code, response.content)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


class AsyncHttpTransport:
    """`HttpTransport` for asyncio."""

    def __init__(self, address: Address, api_key: str | None, tls: Tls | None) -> None:
        httpx = _httpx()
        self._client = httpx.AsyncClient(**_settings(address, api_key, tls))

    async def send(self, call: Call, timeout: float | None) -> Any:
        """Sends one call; see `Transport.send`."""
        request = encode(call)
        try:
            response = await self._client.request(**_arguments(request, timeout))
        except Exception as error:
            raise _translated(error) from error
        return decode(call, response.status_code, response.content)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise ImportError(
            'http:// needs httpx. Install it: pip install "eigenfit[serving]"'
        ) from None
    return httpx


def _settings(address: Address, api_key: str | None, tls: Tls | None) -> dict[str, Any]:
    settings: dict[str, Any] = {"base_url": address.target, "trust_env": False}
    if api_key is not None:
        settings["headers"] = {"Authorization": f"Bearer {api_key}"}
    if address.secure:
        context = ssl.create_default_context(cafile=tls.ca if tls else None)
        if tls is not None and tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
        settings["verify"] = context
    return settings


def _arguments(request: HttpRequest, timeout: float | None) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.path,
        "content": request.body,
        "headers": dict(request.headers),
        "timeout": timeout,
    }


def _translated(error: Exception) -> Exception:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return DeadlineExceeded(Code.DEADLINE_EXCEEDED, "The timeout has ended.")
    if isinstance(error, httpx.TransportError):
        text = str(error) or type(error).__name__
        return ConnectionFailed(Code.UNAVAILABLE, f"No connection: {text}.")
    if isinstance(error, httpx.HTTPError):
        return ClientError(str(error))
    return error
