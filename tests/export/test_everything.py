"""Every example and every published problem, in every format that takes it."""

from pathlib import Path

import pytest
import typer.testing

import eigenfit as ef
from eigenfit import gallery
from eigenfit_export import export_solver, verify_export
from eigenfit_serving import read_problem
from eigenfit_serving.cli.app import app

EXAMPLES = sorted(path.name for path in Path("examples").glob("*.toml"))
FORMATS = ("savedmodel", "onnx", "stablehlo")

IN_CI = {
    ("identity.toml", "savedmodel"),
    ("identity.toml", "stablehlo"),
    ("identity.toml", "onnx"),
}


def cases():
    for name in (*EXAMPLES, *gallery.names()):
        for kind in FORMATS:
            slow = () if (name, kind) in IN_CI else pytest.mark.slow
            yield pytest.param(name, kind, id=f"{name}-{kind}", marks=slow)


def made(name):
    if name in EXAMPLES:
        content = read_problem(Path("examples", name))
        return content.solver(), content.start.build(content.unknowns)
    entry = gallery.load(name)
    return ef.Solver(entry.problem, entry.method), entry.initial


@pytest.mark.parametrize(("name", "kind"), list(cases()))
def test_an_export_verifies_or_is_refused(tmp_path, name, kind):
    if kind == "onnx":
        pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    solver, start = made(name)
    blocks = solver.problem.blocks
    is_complex = any(x.structure.dtype.is_complex for x in blocks)
    is_joint = solver.problem.observation is None
    if kind == "onnx" and (is_complex or is_joint):
        words = "complex" if is_complex else "several blocks or observations"
        with pytest.raises(ValueError, match=words):
            export_solver(solver, tmp_path, (kind,))
        assert not list(tmp_path.iterdir())
        return
    if name in EXAMPLES:
        arguments = ["export", f"examples/{name}", str(tmp_path), "--format", kind]
        answer = typer.testing.CliRunner().invoke(app, arguments)
        assert answer.exit_code == 0, answer.output
        # Nothing is said but where it went.
        assert answer.stderr == ""
    else:
        export_solver(solver, tmp_path, (kind,), start=start)
    findings = verify_export(tmp_path)
    assert not any(x.is_bad for x in findings), findings
    assert all(x.status == "ok" for x in findings), findings
    # Nor are tolerances so wide that nothing would be found.
    wide = 0.2 if solver.problem.parameter_dtype.name == "float32" else 1e-4
    for found in findings:
        assert (found.tolerance or 0) < wide, found
