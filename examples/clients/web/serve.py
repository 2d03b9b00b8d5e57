"""Serves the page that fits in the browser, on this machine only.

    (cd ../node && npm install --onnxruntime-node-install=skip)
    python serve.py MODEL.onnx
    http://127.0.0.1:8000/?initial=1,1,1&targets=0.8,2.5,4.5

`ort/` is onnxruntime-web as npm installs it, `model.onnx` the given model; any server
of static files does the same.
"""

import functools
import http.server
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page, the runtime and the model.

    Args:
        *arguments: Those of the base class.
        model: Path of the ONNX file.
        runtime: Folder `onnxruntime-web/dist`.
        **options: Those of the base class.
    """

    extensions_map = {  # noqa: RUF012
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments, model, runtime, **options):
        self._model, self._runtime = pathlib.Path(model), pathlib.Path(runtime)
        super().__init__(*arguments, directory=str(HERE), **options)

    def translate_path(self, path):
        """Maps the path of a request to a file."""
        name = path.partition("?")[0]
        if name == "/model.onnx":
            return str(self._model)
        if name.startswith("/ort/"):
            return str(self._runtime / pathlib.PurePosixPath(name).name)
        return super().translate_path(path)

    def log_message(self, *arguments):
        """Says nothing of requests."""


def server(model, runtime, port=8000):
    """Makes the server; port 0 for any free one."""
    handler = functools.partial(Handler, model=model, runtime=runtime)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    dist = HERE.parent / "node" / "node_modules" / "onnxruntime-web" / "dist"
    with server(sys.argv[1], dist) as running:
        print(f"http://127.0.0.1:{running.server_port}/?initial=...&targets=...")
        running.serve_forever()
