"""The address of a server, and the certificates to connect to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SCHEMES = ("grpc", "grpcs", "http", "https")


@dataclass(frozen=True)
class Tls:
    """Files for an encrypted connection, in PEM.

    Attributes:
        ca: CA certificates that must have signed the server's certificate; those of
            the system if None.
        cert: Certificate of the client, if the server asks for one; with `key`.
        key: Private key of `cert`.

    Example:
        >>> Tls(cert="client.pem")
        Traceback (most recent call last):
        ValueError: `tls` must have both `cert` and `key`, or none of them.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("`tls` must have both `cert` and `key`, or none of them.")

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Reads the files `ca`, `cert` and `key`; None for those not given."""
        ca, cert, key = (
            None if path is None else Path(path).read_bytes()
            for path in (self.ca, self.cert, self.key)
        )
        return ca, cert, key


@dataclass(frozen=True)
class Address:
    """A parsed server address.

    Attributes:
        protocol: `grpc` or `http`.
        target: Address as the library of that protocol takes it.
        secure: Whether the connection is encrypted.
        shown: Address for messages, with user and password masked.
    """

    protocol: str
    target: str
    secure: bool
    shown: str


def parse_address(url: str, has_tls: bool = False) -> Address:
    """Parses the URL of a server.

    Args:
        url: `grpc://host:8500`, `grpcs://...` (encrypted), `unix:/path/of/socket` (gRPC
            too), `http://host:8501` or `https://...`.
        has_tls: Whether to encrypt the connection whatever the URL says.

    Raises:
        ValueError: If the URL is none of these.

    Example:
        >>> parse_address("grpc://localhost").target
        'localhost:8500'
        >>> parse_address("http://me:secret@host:80/models/").shown
        'http://***@host:80/models'
    """
    if not isinstance(url, str):
        raise TypeError(f"`server` must be a URL or a transport, got {url!r}.")
    if url.startswith("unix:"):
        return Address("grpc", url, has_tls, url)
    parts = urlsplit(url)
    try:
        port, is_port = parts.port, True
    except ValueError:
        port, is_port = None, False
    name = parts.hostname or ""
    if parts.scheme not in _SCHEMES or not name or not is_port or parts.query:
        raise ValueError(
            f"`server` must be like grpc://host:8500, http://host:8501 or unix:/path, "
            f"got {_masked(url)!r}."
        )
    secure = has_tls or parts.scheme in ("grpcs", "https")
    if parts.scheme.startswith("http"):
        url = url.rstrip("/")
        if secure:
            url = parts._replace(scheme="https").geturl().rstrip("/")
        return Address("http", url, secure, _masked(url))
    host = f"[{name}]" if ":" in name else name
    target = f"{host}:{port or 8500}"
    return Address("grpc", target, secure, f"grpc{'s' * secure}://{target}")


def _masked(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    return f"{scheme}{mark}***@{host}" if at and user else url
