"""Imports run one way."""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOMES = {
    "eigenfit": "solver",
    "eigenfit_export": "export",
    "eigenfit_serving": "serving",
}


def modules():
    found = {}
    for package, home in HOMES.items():
        for path in (ROOT / home / package).rglob("*.py"):
            parts = path.relative_to(ROOT / home).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(tree, known):
    """The modules of ours that are imported anywhere, for types alone or not."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {x if x in known else node.module for x in names}
        else:
            found |= imports(node, known)
    return found & known.keys()


def test_no_circles():
    found = modules()
    graph = {
        name: imports(ast.parse(path.read_text("utf-8")), found) - {name}
        for name, path in found.items()
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(found) > 300
    assert order.index("eigenfit.results") < order.index("eigenfit_serving.cli.app")
