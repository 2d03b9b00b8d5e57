"""Programs in other languages, each built and run against the Python solver."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tests.export import chromium
from tests.export.conftest import gallery_solver

from eigenfit import gallery

CLIENTS = Path("examples/clients")
ENTRY = gallery.load("fno-additive")
START = ",".join(map(repr, ENTRY.initial.tolist()))
TARGETS = ",".join(map(repr, ENTRY.targets.tolist()))
LIMITS = ("200", repr(ENTRY.tolerance))
FIELDS = ("parameters", "matrix", "eigenvalues", "loss", "num_steps", "result")


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


@pytest.fixture(scope="module")
def expected():
    solver = gallery_solver("fno-additive")
    return solver.fit(ENTRY.initial, ENTRY.targets, tolerance=ENTRY.tolerance)


def run(*command, fails=False, **options):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **options,
    )
    assert bool(done.returncode) == fails, done.stderr[-2000:]
    return done.stderr if fails else done.stdout


def check(text, expected, tolerance):
    """Compares lines of a name and its numbers with a solution, row 0 of the batch."""
    lines = (line.split() for line in text.splitlines())
    found = {name: np.array(numbers, float) for name, *numbers in lines}
    assert sorted(found) == sorted(FIELDS)
    assert found["result"] == [0]
    for name in FIELDS:
        wanted = getattr(expected, name).numpy().ravel()
        np.testing.assert_allclose(
            found[name], wanted, rtol=0, atol=tolerance, err_msg=name
        )


# ---- TensorFlow without Python ----


def built(compiler, source, folder, *options):
    lib = Path(tf.sysconfig.get_lib())
    program = folder / f"{source.stem}_{source.suffix[1:]}{len(options)}"
    libraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]
    run(
        *(compiler, "-O0", source, "-o", program, f"-I{lib / 'include'}", *options),
        *(lib / name for name in libraries),
        f"-Wl,-rpath,{lib}",
    )
    return program


@pytest.fixture(scope="module")
def fit_c(tmp_path_factory):
    warnings = ("-std=c11", "-Wall", "-Wextra", "-Werror")
    return built("gcc", CLIENTS / "fit.c", tmp_path_factory.mktemp("c"), *warnings)


@needs("gcc")
def test_c(fit_c, fno, expected):
    for signature, tolerance in (("serving_default", 1e-12), ("fit_xla", 1e-10)):
        answer = run(fit_c, fno, signature, START, TARGETS, *LIMITS)
        check(answer, expected, tolerance)


@pytest.mark.slow
@needs("gcc")
def test_c_explains_misuse(fit_c, fno):
    for arguments, words in (
        ((fno, "nothing", "1", "1"), "nothing: no such signature"),
        ((fno, "eigenvalues", "1", "1"), "takes something else"),
        ((fno, "fit", "1,x", "1"), "x: is no list of numbers"),
        (("missing", "fit", "1", "1"), "missing"),
        (("missing",), "MODEL SIGNATURE INITIAL TARGETS"),
    ):
        assert words in run(fit_c, *arguments, fails=True)


CC = (
    *("-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=1", "-DEIGEN_MAX_ALIGN_BYTES=64"),
    "-Wl,--no-as-needed",
)


@pytest.mark.slow  # The headers of C++ take a minute.
@needs("g++")
def test_cc(tmp_path, fno, expected):
    fit = built("g++", CLIENTS / "fit.cc", tmp_path, *CC)
    for signature, tolerance in (("serving_default", 1e-12), ("fit_xla", 1e-10)):
        answer = run(fit, fno, signature, START, TARGETS, *LIMITS)
        check(answer, expected, tolerance)


@pytest.mark.slow  # a second build; in Python test_warmup.py has the same for all
@needs("g++")
def test_cc_where_xla_is_switched_off(tmp_path, fno, expected):
    fit = built("g++", CLIENTS / "fit.cc", tmp_path, *CC, "-DNO_XLA")
    answer = run(fit, fno, "serving_default", START, TARGETS, *LIMITS)
    check(answer, expected, 1e-12)
    arguments = (fno, "fit_xla", START, TARGETS, *LIMITS)
    assert "XLA compilation disabled" in run(fit, *arguments, fails=True)


# ---- Python without eigenfit ----

STRANGER = """
import importlib.util, json, sys
import numpy as np
import tensorflow as tf

for name in ("eigenfit", "eigenfit_export", "eigenfit_serving"):
    assert importlib.util.find_spec(name) is None, name
model = tf.saved_model.load(sys.argv[1])
numbers = [np.array([json.loads(f"[{x}]")]) for x in sys.argv[2:4]]
for signature in ("serving_default", "fit_xla"):
    answer = model.signatures[signature](
        initial=tf.constant(numbers[0], tf.float64),
        targets=tf.constant(numbers[1], tf.float64),
        max_steps=tf.constant([int(sys.argv[4])]),
        tolerance=tf.constant([float(sys.argv[5])], tf.float64),
    )
    for name, value in answer.items():
        print(name, *(repr(x.item()) for x in value.numpy().ravel()))
    print("---")
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The Python of a fresh environment: all packages of ours but eigenfit."""
    folder = tmp_path_factory.mktemp("venv") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = Path(run(python, "-c", where).strip())
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "eigenfit" not in entry.name and entry.suffix != ".pth":
            (target / entry.name).symlink_to(entry)
    return python


@pytest.mark.slow
def test_a_fresh_environment_without_eigenfit(stranger, fno, expected):
    quiet = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    arguments = (fno, START, TARGETS, *LIMITS)
    answer = run(stranger, "-c", STRANGER, *arguments, cwd="/", env=quiet)
    graph, xla, _ = answer.split("---\n")
    check(graph, expected, 1e-12)
    check(xla, expected, 1e-10)


# ---- ONNX Runtime ----


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from eigenfit_export.onnx import save_onnx

    solver = gallery_solver("fno-additive")
    written = save_onnx(solver, tmp_path_factory.mktemp("onnx"), functions=["fit"])
    return written["fit_float64"]


def test_python_with_onnxruntime_and_numpy_only(model, expected):
    script = (
        "import runpy, sys; from sys import modules; "
        "[modules.__setitem__(x, None) for x in ('tensorflow', 'eigenfit', 'onnx')]; "
        f"sys.argv[0] = {str(CLIENTS / 'fit_onnx.py')!r}; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    answer = run(sys.executable, "-c", script, model, START, TARGETS, *LIMITS)
    check(answer, expected, 1e-10)


@pytest.fixture(scope="module")
def node_modules():
    """The packages of npm, installed once for this machine."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    # Outside the repository, so that the tree stays as it is.
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "eigenfit-clients"
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    wanted = (CLIENTS / "node" / "package.json").read_text()
    listed = folder / "package.json"
    done = folder / "installed.json"  # written last
    if not (done.exists() and done.read_text() == wanted):
        listed.write_text(wanted)
        command = (
            *("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"),
            "--onnxruntime-node-install=skip",
        )
        found = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )
        if found.returncode:
            pytest.skip(f"npm cannot install: {found.stderr[-200:]}")
        done.write_text(wanted)
    return modules


@needs("node")
def test_node(model, node_modules, expected, tmp_path):
    shutil.copy(CLIENTS / "node" / "fit.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    script = tmp_path / "fit.mjs"
    answer = run("node", script, model, START, TARGETS, *LIMITS)
    check(answer, expected, 1e-10)


@pytest.mark.skipif(chromium.executable() is None, reason="Chromium is not installed")
def test_web_page(model, node_modules, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(CLIENTS / "web")
    serve = __import__("serve")
    runtime = node_modules / "onnxruntime-web" / "dist"
    solver = gallery_solver("fno-additive")
    with serve.server(model, runtime, port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/"
            with chromium.browse() as page:
                page.open(f"{address}?initial={START}&targets={TARGETS}")
                first = page.wait_for("window.answer")
                page.evaluate(
                    "window.answer = null;"
                    "const [low] = document.querySelectorAll('input');"
                    "low.value = 12.5; low.dispatchEvent(new Event('input'))"
                )
                moved = page.wait_for("window.answer")
                text = page.text()
                page.picture(tmp_path / "page.png")
                page.open(address)
                page.wait_for("document.body?.innerText.includes('Cannot start')")
        finally:
            server.shutdown()
            thread.join()
    for answer in (first, moved):
        assert "error" not in answer, answer
        assert answer["result"] == [0]
        # The page leaves the tolerance to the model.
        expected = solver.fit(ENTRY.initial, answer["targets"])
        for name in FIELDS:
            wanted = getattr(expected, name).numpy().ravel()
            np.testing.assert_allclose(answer[name], wanted, rtol=0, atol=1e-8)
    assert moved["targets"] == [12.5, *ENTRY.targets[1:].tolist()]
    assert "level 1\t12.500000" in text
    assert f"{moved['matrix'][0]:.6f}" in text
    assert text.splitlines().count("Matrix") == 1
    assert json.dumps(first) != json.dumps(moved)
