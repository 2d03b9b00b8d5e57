import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
from tests.serving.stand_ins import install, make_model, recorded
from typer.testing import CliRunner

import eigenfit_serving
from eigenfit_serving.cli import serve as serve_command
from eigenfit_serving.cli.app import app
from eigenfit_serving.launch.ready import Prober
from eigenfit_serving.launch.served import StartError


@pytest.fixture
def bin_folder(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    install(folder, "tensorflow_model_server")
    return folder


def start(bin_folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "eigenfit_serving", "serve", *map(str, arguments)],
        env={**os.environ, "PATH": str(bin_folder), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_at_a_signal(bin_folder, tmp_path, number):
    model = make_model(tmp_path / "chain", 1)
    extra = ["--", "--num_load_threads=2", "--enable_profiler=false"]
    with start(bin_folder, model, "--port", 0, "--rest-port", 0, *extra) as process:
        killer = threading.Timer(60.0, process.kill)
        killer.start()
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if "Ctrl-C" in line:
                break
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
        killer.cancel()
    text = "\n".join(lines)
    arguments = recorded(bin_folder, "binary")
    port, rest_port = (x.split("=")[1] for x in arguments[:2])
    assert "Serving chain by binary: TensorFlow ModelServer: 2.20.0" in text
    [ready] = [line for line in lines if line.startswith("Ready after ")]
    assert ready.endswith(
        f" s: gRPC grpc://127.0.0.1:{port}, REST http://127.0.0.1:{rest_port}"
    )
    assert f"curl http://127.0.0.1:{rest_port}/v1/models/chain/metadata" in text
    assert arguments[-2:] == extra[1:]
    assert (process.returncode, rest) == (0, "Stopped.\n"), errors
    # What happened meanwhile, each with its time.
    steps = [line.split(" s  ")[1] for line in errors.splitlines()]
    assert steps[0].startswith("Starting TensorFlow ModelServer: 2.20.0")
    assert steps[-1] == "model chain is AVAILABLE"


def test_a_server_that_ends_is_reported(bin_folder, tmp_path):
    model = make_model(tmp_path / "chain", 1)
    install(bin_folder, "tensorflow_model_server", "dies")
    with start(bin_folder, model, "--port", 0, "--rest-port", 0) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.endswith(
        "\neigenfit: The server ended with code 255: Failed to start server. Error: "
        "Unknown: out of luck\n"
    )


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["nowhere"], ["PATH = nowhere: no such file"]),
        ([], ["PATH", "eigenfit serve --help"]),
        ([".", "--kind", "fast"], ["has no model"]),
        ([".", "--port", "x"], ["--port", "eigenfit serve --help"]),
        ([".", "--ports", "1"], ["--ports", "eigenfit serve --help"]),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, arguments, fragments):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["serve", *arguments], prog_name="eigenfit")
    assert result.exit_code == 2
    assert result.stderr.startswith("eigenfit: ")
    assert result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


def test_signals_are_as_before():
    before = signal.getsignal(signal.SIGTERM)
    CliRunner().invoke(app, ["serve", "nowhere"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_model_that_cannot_be_loaded_is_said_at_once(tmp_path):
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "1" / "saved_model.pb").write_bytes(b"junk")
    with pytest.raises(StartError, match="Can't parse"):
        eigenfit_serving.serve(tmp_path / "m", kind="embedded", port=0, rest_port=0)


def test_the_log_begins_below_what_it_says(monkeypatch, tmp_path):
    model = make_model(tmp_path / "chain", 1)

    class Fake:
        kind, about, models = "embedded", "a fake", ["chain"]
        grpc_url, rest_url = "grpc://a:1", "http://a:2"

        def __init__(self, log):
            self.log = log

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def wait_ready(self, timeout, tell):
            self.log("early")
            tell("model chain is LOADING")

        def wait(self):
            self.log("late")
            return 7

        def last_lines(self):
            return ["late"]

    monkeypatch.setattr(
        "eigenfit_serving.launch.served.serve", lambda *_, log, **__: Fake(log)
    )
    result = CliRunner().invoke(app, ["serve", str(model)], prog_name="eigenfit")
    assert result.exit_code == 1
    assert "Serving chain" in result.stdout
    assert result.stderr.splitlines() == [
        "  0.0 s  Starting a fake",
        "  0.0 s  model chain is LOADING",
        "late",
        "eigenfit: the server ended by itself with code 7: late",
    ]


@pytest.mark.parametrize("key", [None, "hunter2"])
def test_the_example_works(key, tmp_path):
    # Of several models the first one of ours; the others know no such inputs.
    sizes = {"num_parameters": 3, "num_targets": 2, "format": 2}
    version = tmp_path / "chain" / "1"
    (version / "assets.extra").mkdir(parents=True)
    (version / "assets.extra" / "eigenfit.json").write_text(json.dumps(sizes))
    (version / "saved_model.pb").touch()
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["x-api-key"], json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"answered")

        def log_message(self, format, *args):
            pass

    file = None
    if key:
        file = tmp_path / "a file of keys"
        file.write_text(f"\n{key} of a user\n")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{httpd.server_port}"
        served = types.SimpleNamespace(models=["a", "chain"], rest_url=url)
        command = serve_command._example(served, tmp_path, file)
        answer = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, check=True
        )
    assert answer.stdout == "answered"
    [(path, shown, body)] = seen
    assert path == "/v1/models/chain:predict"
    assert shown == key
    [row] = body["instances"]
    # A server refuses a request that leaves one out.
    sizes = {name: np.shape(value) for name, value in row.items()}
    assert sizes == {"initial": (3,), "targets": (2,), "tolerance": (), "max_steps": ()}


def test_every_model_is_told_when_it_is_loaded(monkeypatch):
    loading = {"model_version_status": [{"state": "LOADING"}]}
    loaded = {"model_version_status": [{"state": "AVAILABLE"}]}
    answers = {"/v1/models/slow": loading, "/v1/models/fast": loaded}
    prober = Prober("http://127.0.0.1:1", ["slow", "fast"])
    monkeypatch.setattr(prober, "_get", lambda path: (200, answers[path]))
    assert prober.failure() is None
    assert prober.news == ["model slow is LOADING", "model fast is AVAILABLE"]
    assert prober.waiting == ["slow"]
    assert prober.describe() == "model slow is LOADING"
    answers["/v1/models/slow"] = loaded
    assert prober.failure() is None
    assert prober.news[2:] == ["model slow is AVAILABLE"]
    assert not prober.waiting
