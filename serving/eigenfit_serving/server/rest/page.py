"""The page at `/` and its files."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import PurePath

from eigenfit_serving.protocol.result_codes import Result
from eigenfit_serving.server.rest.messages import Reply

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

PAGE_METRICS = "/page/metrics"
"""Where the page finds the metrics, even if they are not offered to others."""

_HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-cache"),
)


def load_page() -> dict[str, Reply]:
    """Reads the files of the page; returns the replies to `GET` by path."""
    folder = files("eigenfit_serving.server.rest") / "static"
    texts = {
        str(int(result)): {
            "name": result.name,
            "text": result.text,
            "success": result.is_success,
        }
        for result in Result
    }
    results = json.dumps(texts).encode()
    page = {"/page/results.json": Reply(200, results, "application/json", _HEADERS)}
    for file in folder.iterdir():
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        content_type = _TYPES[PurePath(file.name).suffix]
        page[path] = Reply(200, file.read_bytes(), content_type, _HEADERS)
    return page
