"""Every notebook runs from top to bottom, and shows what its cells promise."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def executed(name, folder):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    return notebook


def outputs(notebook):
    """By kind, what all cells show."""
    shown = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                shown.setdefault(output.name, []).append(output.text)
            for kind, data in output.get("data", {}).items():
                shown.setdefault(kind, []).append(data)
    return shown


def test_results(tmp_path):
    shown = outputs(executed("results.ipynb", tmp_path))
    text = "".join(shown["stdout"])
    assert "197581.5594(210)" in text  # MHz, as published
    assert "True" in text  # what was loaded reports as what was saved
    pages = "".join(shown["text/html"])
    assert "197581.5594(210)" in pages
    assert "scale and offset" in pages
    assert len(shown["image/png"]) == 3
    # The bar of the fit, and the sliders.
    assert len(shown["application/vnd.jupyter.widget-view+json"]) == 2
