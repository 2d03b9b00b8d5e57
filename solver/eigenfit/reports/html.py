"""Reports as HTML, for notebooks and for files that a browser opens."""

from __future__ import annotations

from html import escape

from eigenfit.reports.record import Record
from eigenfit.reports.sections import WORDS, Section, overview, remarks, sections

_STYLE = """
.eigenfit table { border-collapse: collapse; margin: .3em 0 1em; }
.eigenfit th, .eigenfit td { padding: .15em .9em .15em 0; text-align: right;
  font-variant-numeric: tabular-nums; vertical-align: top; }
.eigenfit th { font-weight: normal; opacity: .65; }
.eigenfit .word { text-align: left; }
.eigenfit h4 { margin: .8em 0 .2em; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body {{ font-family: system-ui, sans-serif; margin: 2em; }}</style>
</head>
<body>
{body}
</body>
</html>
"""


def fragment(record: Record, position: str = "") -> str:
    """Writes the report of a fit as a piece of HTML.

    Args:
        record: The fit.
        position: Which of several fits it is; empty if it is the only one.
    """
    parts = [f"<style>{_STYLE}</style>"]
    if record.question.title:
        parts.append(f"<h3>{escape(record.question.title)}</h3>")
    rows = "".join(
        f'<tr><th class="word">{escape(word)}</th>'
        f'<td class="word">{escape(text)}</td></tr>'
        for word, text in overview(record, position)
    )
    parts.append(f"<table>{rows}</table>")
    parts += [_section(section) for section in sections(record)]
    parts += [f"<p>{escape(text)}</p>" for text in remarks(record)]
    return f'<div class="eigenfit">{"".join(parts)}</div>'


def page(record: Record) -> str:
    """Writes the report of a fit as a page of its own."""
    title = record.question.title or "Report of a fit"
    return _PAGE.format(title=escape(title), body=fragment(record))


def table(columns: list[str], rows: list[list[str]], caption: str = "") -> str:
    """Writes a table as a piece of HTML.

    Args:
        columns: Headings.
        rows: Entries, one for each heading.
        caption: Line above the table.
    """
    section = Section("", tuple(columns), tuple(map(tuple, rows)))
    head = f"<p>{escape(caption)}</p>" if caption else ""
    return f'<div class="eigenfit"><style>{_STYLE}</style>{head}{_rows(section)}</div>'


def listing(section: Section, remark: str = "") -> str:
    """Writes one section as a piece of HTML of its own, with a sentence below it."""
    below = f"<p>{escape(remark)}</p>" if remark else ""
    body = f"<style>{_STYLE}</style>{_section(section)}{below}"
    return f'<div class="eigenfit">{body}</div>'


def _section(section: Section) -> str:
    heading = f"<h4>{escape(section.heading)}</h4>"
    if section.text:
        return f"{heading}<pre>{escape(section.text)}</pre>"
    return heading + _rows(section)


def _rows(section: Section) -> str:
    classes = [' class="word"' if x in WORDS else "" for x in section.columns]
    head = "".join(
        f"<th{own}>{escape(name)}</th>"
        for own, name in zip(classes, section.columns, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{own}>{escape(cell)}</td>"
            for own, cell in zip(classes, row, strict=True)
        )
        + "</tr>"
        for row in section.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
