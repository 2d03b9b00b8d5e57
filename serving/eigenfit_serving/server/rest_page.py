"""The page at `/` and its files."""

from __future__ import annotations

import json
from importlib.resources import files

from eigenfit_serving.results import Result
from eigenfit_serving.server.rest_messages import Reply

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page/drawing.js": ("drawing.js", "text/javascript; charset=utf-8"),
    "/page/server.js": ("server.js", "text/javascript; charset=utf-8"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}

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
    """Reads the files of the page: what is replied to `GET`, by path."""
    folder = files("eigenfit_serving.server") / "page"
    texts = {
        str(int(result)): {
            "name": result.name,
            "text": result.text,
            "success": result.is_success,
        }
        for result in Result
    }
    results = json.dumps(texts).encode()
    return {
        "/page/results.json": Reply(200, results, "application/json", _HEADERS),
        **{
            path: Reply(200, (folder / name).read_bytes(), content_type, _HEADERS)
            for path, (name, content_type) in _FILES.items()
        },
    }
