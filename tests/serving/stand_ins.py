"""Programs that stand in for tensorflow_model_server and docker.

They record the arguments they are given, and answer the status of any model over REST
as TensorFlow Serving does, so that what starts them can be tested where neither is.
"""

import json
import sys
from pathlib import Path

_SERVER = """#!{python} -SE
import http.server, json, os, signal, sys
here = os.path.dirname(os.path.abspath(__file__))
BEHAVIOUR = {behaviour!r}

def serve(port):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status = {{"error_code": "OK", "error_message": ""}}
            state = "AVAILABLE"
            if BEHAVIOUR == "bad model":
                state, status = "END", {{"error_code": "NOT_FOUND",
                                       "error_message": "no such tags"}}
            if BEHAVIOUR == "never ready":
                state = "LOADING"
            answer = {{"version": "1", "state": state, "status": status}}
            body = json.dumps({{"model_version_status": [answer]}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *arguments):
            print("GET", self.path, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()

def record(name, arguments):
    with open(os.path.join(here, name + ".json"), "w") as file:
        json.dump(arguments, file)

def flag(arguments, name):
    found = [x.split("=", 1)[1] for x in arguments if x.startswith(name + "=")]
    return found[-1]
"""

_BINARY = """
if sys.argv[1:] == ["--version"]:
    print("TensorFlow ModelServer: 2.20.0-stand-in\\nTensorFlow Library: 2.20.0")
    sys.exit(1 if BEHAVIOUR == "broken" else 0)
record("binary", sys.argv[1:])
for x in sys.argv[1:]:
    if x.startswith("--model_config_file="):
        record("config", open(x.split("=", 1)[1]).read())
if BEHAVIOUR == "dies":
    print("starting", flush=True)
    print("Failed to start server. Error: Unknown: out of luck", flush=True)
    sys.exit(255)
serve(int(flag(sys.argv, "--rest_api_port")))
"""

_DOCKER = """
command = sys.argv[1]
if command == "info":
    print("Cannot connect to the Docker daemon.")
    sys.exit(1 if BEHAVIOUR == "no engine" else 0)
if command == "image":
    sys.exit(1 if BEHAVIOUR == "no image" else 0)
if command == "stop":
    record("stopped", sys.argv[2:])
    os.kill(json.load(open(os.path.join(here, "pid.json"))), signal.SIGTERM)
    sys.exit(0)
record("docker", sys.argv[1:])
record("pid", os.getpid())
published = [x for x in sys.argv if x.startswith("--publish=") and x.endswith(":8501")]
serve(int(published[0].split(":")[-2]))
"""


def install(folder: Path, name: str, behaviour: str = "") -> None:
    """Writes a stand-in: `tensorflow_model_server` or `docker`."""
    own = _DOCKER if name == "docker" else _BINARY
    text = _SERVER.format(python=sys.executable, behaviour=behaviour) + own
    file = folder / name
    file.write_text(text)
    file.chmod(0o755)


def recorded(folder: Path, name: str) -> list[str]:
    """Reads what a stand-in recorded."""
    return json.loads((folder / f"{name}.json").read_text())


def make_model(folder: Path, *versions: int) -> Path:
    """Makes version folders that look like a model."""
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "saved_model.pb").touch()
    return folder
