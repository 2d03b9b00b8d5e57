"""Asks a server over REST whether its models are available."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_TIMEOUT = 5.0


class Prober:
    """Follows models from the start of a server until they are available.

    Attributes:
        waiting: Names of models that are not available yet.
        news: Changes of state, in words; the reader removes them.
    """

    def __init__(
        self, url: str, models: Iterable[str], api_key_file: Path | None = None
    ) -> None:
        self.waiting = list(models)
        self.news: list[str] = []
        self._url = urlsplit(url)
        self._states = dict.fromkeys(models, "not known: the server does not answer")
        self._headers = {}
        if api_key_file is not None:
            keys = api_key_file.read_text(encoding="utf-8").split()
            self._headers["Authorization"] = f"Bearer {keys[0] if keys else ''}"

    def failure(self) -> str | None:
        """Asks for the states of the models that are not available yet.

        Returns:
            Why one of them never will be; None if all still may.
        """
        for name in list(self.waiting):
            try:
                code, answer = self._get(f"/v1/models/{quote(name, safe='')}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._states[name] = f"not known: the server does not answer ({error})"
                return None
            if code == 401:
                return f"The server refuses the API key: {answer.get('error')}"
            versions = answer.get("model_version_status", [])
            states = {version.get("state") for version in versions}
            if "AVAILABLE" in states:
                self.waiting.remove(name)
                self._changed(name, "AVAILABLE")
                continue
            described = ", ".join(sorted(map(str, states))) or answer.get("error")
            self._changed(name, str(described))
            ended = [v.get("status", {}) for v in versions if v.get("state") == "END"]
            if versions and len(ended) == len(versions):
                text = ended[0].get("error_message") or "it was unloaded"
                return f"Model {name} cannot be served: {text}"
        return None

    def _changed(self, name: str, state: str) -> None:
        if state != self._states[name]:
            self._states[name] = state
            self.news.append(f"model {name} is {state}")

    def describe(self) -> str:
        """Describes the models still awaited, and their states."""
        return "; ".join(f"model {x} is {self._states[x]}" for x in self.waiting)

    def _get(self, path: str) -> tuple[int, dict[str, Any]]:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            # Trust the process just started here; its certificate names another host.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_TIMEOUT, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        return response.status, answer if isinstance(answer, dict) else {}
