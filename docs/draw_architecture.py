"""Draws the rooms of the three packages and the imports between them.

    python docs/draw_architecture.py            # writes docs/architecture.svg
    python docs/draw_architecture.py --list     # prints what it would draw

Rooms and their order are those of the import contracts in pyproject.toml, imports those
of the source. An import that others imply (a to c, beside a to b and b to c) is left
out. Needs matplotlib.
"""

import argparse
import ast
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).with_name("architecture.svg")
HOMES = {
    "eigenfit_serving": "serving",
    "eigenfit_export": "export",
    "eigenfit": "solver",
}
WIDTH, HEIGHT, GAP = 1.02, 0.34, 0.08  # of a box, in inches


def layers(package: str) -> list[list[str]]:
    """Reads the rooms of a package from its contract, the top layer first."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for contract in content["tool"]["importlinter"]["contracts"]:
        if contract.get("containers") == [package]:
            rows = [row.split(" | ") for row in contract["layers"]]
            return [row for row in rows if row != ["__main__"]]
    raise ValueError(f"pyproject.toml has no layers of {package}.")


def imports(package: str) -> set[tuple[str, str]]:
    """Finds which room of a package imports which, types included."""
    folder = ROOT / HOMES[package] / package
    found = set()
    for path in folder.rglob("*.py"):
        room = path.relative_to(folder).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                if name.startswith(f"{package}."):
                    found.add((room, name.split(".")[1]))
    rooms = {room for row in layers(package) for room in row}
    return {(a, b) for a, b in found if a != b and {a, b} <= rooms}


def reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leaves out the edges that lead where other ones lead too."""

    def reach(start: str) -> set[str]:
        ends = {b for a, b in edges if a == start}
        return ends.union(*(reach(end) for end in ends))

    return {
        (a, b)
        for a, b in edges
        if not any(b in reach(c) for d, c in edges if d == a and c != b)
    }


def content() -> set[str]:
    """Lists rooms and imports: `eigenfit.methods`, `eigenfit.methods->problem`."""
    found = set()
    for package in HOMES:
        found |= {f"{package}.{room}" for row in layers(package) for room in row}
        found |= {f"{package}.{a}->{b}" for a, b in reduced(imports(package))}
    return found


def draw(path: Path) -> None:
    """Draws the packages side by side and writes an SVG file."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    matplotlib.rcParams["svg.hashsalt"] = "eigenfit"
    widths = {p: max(map(len, layers(p))) * (WIDTH + GAP) + 0.25 for p in HOMES}
    rows = max(len(layers(package)) for package in HOMES)
    size = (sum(widths.values()) + 0.5, rows * 0.72 + 0.7)
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    axes.set_axis_off()
    left = 0.1
    for package, width in widths.items():
        axes.add_patch(
            FancyBboxPatch(
                (left + 0.05, 0.1),
                width - 0.1,
                size[1] - 0.2,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor="#f3f5f8",
                edgecolor="#9aa5b1",
            )
        )
        middle = left + width / 2
        title = {"fontsize": 11, "fontweight": "bold", "ha": "center"}
        axes.text(middle, size[1] - 0.38, package, **title)
        places = {}
        for i, row in enumerate(layers(package)):
            y = size[1] - 0.85 - i * (size[1] - 1.3) / (len(layers(package)) - 1)
            for j, room in enumerate(row):
                x = middle + (j - (len(row) - 1) / 2) * (WIDTH + GAP)
                places[room] = x, y
                box = FancyBboxPatch(
                    (x - WIDTH / 2, y - HEIGHT / 2),
                    WIDTH,
                    HEIGHT,
                    boxstyle="round,pad=0,rounding_size=0.06",
                    facecolor="white",
                    edgecolor="#33415c",
                    zorder=3,
                    gid=f"{package}.{room}",
                )
                axes.add_patch(box)
                text = {"fontsize": 9, "ha": "center", "va": "center", "zorder": 4}
                axes.text(x, y, room, **text)
        for a, b in sorted(reduced(imports(package))):
            arrow = axes.annotate(
                "",
                xy=(places[b][0], places[b][1] + HEIGHT / 2),
                xytext=(places[a][0], places[a][1] - HEIGHT / 2),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": "#5b7db1",
                    "lw": 1,
                    "shrinkA": 0,
                    "shrinkB": 1,
                },
                zorder=2,
            )
            arrow.arrow_patch.set_gid(f"{package}.{a}->{b}")
        left += width + 0.15
        if package != "eigenfit":
            axes.annotate(
                "",
                xy=(left + 0.12, size[1] - 0.33),
                xytext=(left - 0.3, size[1] - 0.33),
                arrowprops={"arrowstyle": "-|>", "color": "#33415c", "lw": 2.5},
            )
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Writes the picture, or prints its content."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print, do not draw")
    if parser.parse_args().list:
        print(*sorted(content()), sep="\n")
    else:
        draw(PICTURE)


if __name__ == "__main__":
    main()
