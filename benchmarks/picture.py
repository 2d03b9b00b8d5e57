"""Numbers for people, and the picture of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def duration(seconds: float | None) -> str:
    """Writes a time with a unit."""
    if seconds is None:
        return "-"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def number(ratio: float | None) -> str:
    """Writes a ratio with three digits."""
    if ratio is None:
        return "-"
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.3g}"


def draw(record: dict[str, Any], path: Path) -> None:
    """Draws the time per solved start of every problem (per start of a floor)."""
    from matplotlib.figure import Figure

    results = record["results"]
    heights = [len(result["rows"]) + 1.3 for result in results]
    figure = Figure(figsize=(9, 0.28 * sum(heights) + 0.8), layout="constrained")
    panels = figure.subplots(
        len(results), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for panel, result in zip(panels, results, strict=True):
        rows = result["rows"]
        shortest = min(row["per_start"] for row in rows)
        for i, row in enumerate(rows):
            floor = row["solved"] is None
            seconds = row["per_start"] if floor else row["per_solved"]
            text = "solved none" if seconds is None else duration(seconds)
            if not floor and seconds is not None and row["solved"] < row["count"]:
                text += f" (solved {row['solved'] / row['count']:.0%})"
            ratio = row["ratio"] if floor else row["ratio_solved"]
            if i and ratio is not None:
                text += f", {number(ratio)} x"
            mine = row["title"].startswith("eigenfit")
            if seconds is not None:
                panel.barh(i, seconds, color="C0" if mine else "C7", height=0.7)
            panel.annotate(
                text,
                (seconds or shortest / 3, i),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        longest = max(row["per_solved"] or row["per_start"] for row in rows)
        panel.set_xscale("log")
        panel.set_xlim(shortest / 3, longest * 30)
        panel.set_yticks(range(len(rows)), [row["title"] for row in rows], fontsize=8)
        panel.set_ylim(len(rows) - 0.5, -0.5)
        panel.set_title(result["title"], loc="left", fontsize=9, fontweight="bold")
        panel.tick_params(axis="x", labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel(
        "seconds per solved start (floors: per start); x: against the first row",
        fontsize=9,
    )
    machine = record["machine"]
    figure.suptitle(
        f"eigenfit and its peers, float64, {machine['cores']} cores, "
        f"{machine['date'][:10]}",
        fontsize=10,
    )
    figure.savefig(path, dpi=130)
