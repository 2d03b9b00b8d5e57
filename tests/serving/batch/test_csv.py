"""CSV files as people write them: every row has its answer, whatever is wrong."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from eigenfit_serving import InputError
from eigenfit_serving.batch.tables import csv_text

GOOD = "-2.5 2.5"
TORN = csv_text.TORN


def read(path):
    """Reads a file."""
    return [
        row for batch in csv_text.CSVFile(path).batches() for row in batch.to_pylist()
    ]


def answers(inline, tmp_path, text, names="id,targets"):
    """Runs a file: the ids and what is wrong with each."""
    path = tmp_path / "in.csv"
    path.write_bytes(f"{names}\n{text}".encode())
    inline(path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["row"] for row in found] == list(range(len(found)))
    for row in found:
        assert row["result"] == (5 if row["message"] else 0)
    return [(row["id"], row["message"]) for row in found]


def number_of_fields(number, wanted=2):
    counted = f"{number} field{'s' * (number != 1)}"
    text = f"the line has {counted}, the first line has {wanted}"
    hint = ": put lists in quotes, with no blank before the quote"
    return text + hint * (number > wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A CR ends a record wherever it is, as in Arrow's parser.
        (f"a,{GOOD}\nb\rz,{GOOD}\nc,{GOOD}", ["a", "b", "z", "c"]),
        (f"a,{GOOD}\rb,{GOOD}\nc,{GOOD}\r\n\rd,{GOOD}", ["a", "b", "c", "d"]),
        # A field may hold line breaks, quotes and commas.
        (f'"two\nlines",{GOOD}\n"a\r\n\nb","-3,\n3"', ["two\nlines", "a\r\n\nb"]),
        (f'"say ""x"", y",{GOOD}\n5" w,{GOOD}', ['say "x", y', '5" w']),
    ],
)
def test_records(inline, tmp_path, text, expected):
    found = answers(inline, tmp_path, text + "\n")
    assert [name for name, _ in found] == expected
    assert dict(found) == {
        **dict.fromkeys(expected),
        **({"b": number_of_fields(1)} if "z" in expected else {}),
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "bad", [f'"b,{GOOD}', f'b,"{GOOD}', 'b,"-2.5, 2.5', f'"b,{GOOD},x']
)
def test_a_quote_that_is_not_closed_is_reported(inline, tmp_path, bad, end):
    lines = [f"a,{GOOD}", bad, f"c,{GOOD}", f'd,"{GOOD}"', f"e,{GOOD}", f"f,{GOOD}"]
    found = answers(inline, tmp_path, end.join(lines))
    # It takes in the lines up to the next quote, which are lost with it.
    assert [name for name, _ in found] == ["a", "b", "e", "f"]
    said = TORN if bad.startswith('"') else "`targets` has 8 numbers, must have 2"
    assert [message for _, message in found] == [None, said, None, None]
    # There is none.
    lines[3] = f"d,{GOOD}"
    (tmp_path / "out.parquet").unlink()
    found = answers(inline, tmp_path, end.join(lines))
    assert found == [("a", None), ("b", said.replace("8", "14"))]


def test_lines_that_make_whole_rows_with_a_torn_one_are_reported(inline, tmp_path):
    # Their fields are as many as there should be.
    text = f'a,{GOOD}\n"b,{GOOD}\nc,{GOOD}\n"d",{GOOD}\ne,{GOOD}\n'
    found = answers(inline, tmp_path, text)
    assert found == [("a", None), ("b", TORN), ("e", None)]
    (tmp_path / "out.parquet").unlink()
    found = answers(inline, tmp_path, f'a,"{GOOD}\nb,{GOOD}\nc,{GOOD}"\nd,{GOOD}\n')
    assert found == [("a", "`targets` has 8 numbers, must have 2"), ("d", None)]


@pytest.mark.parametrize("block", [100, 2**20])
def test_rows_that_are_lost_in_another_column_are_told(
    inline, tmp_path, monkeypatch, block
):
    monkeypatch.setattr(csv_text, "BLOCK", block)
    path, text = tmp_path / "in.csv", io.StringIO()
    lines = [f"{k},{GOOD},note" for k in range(50)]
    lines[3:5] = [f'3,{GOOD},"note', "", f'4,{GOOD},note"']
    path.write_text("\n".join(["id,targets,note", *lines]))
    inline(path, tmp_path / "out.parquet", console=Console(file=text))
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 49
    assert "in.csv: 1 lines are inside of fields that are in quotes" in text.getvalue()
    path.write_text("\n".join(lines).replace('"', "").join(["id,targets,note\n", ""]))
    text.truncate(0)
    inline(path, tmp_path / "other.parquet", console=Console(file=text))
    assert pq.read_table(tmp_path / "other.parquet").num_rows == 50
    assert "quotes" not in text.getvalue()


def test_a_quote_is_not_looked_for_without_end(inline, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "BLOCK", 2**16)
    path, output = tmp_path / "in.csv", tmp_path / "out.parquet"
    lines = [f"{k},{GOOD}" for k in range(20_000)]
    lines[7000] = f'"{lines[7000]}'
    path.write_text("\n".join(["id,targets", *lines]))
    text = r"in.csv: a record after row \d+ is longer than 65,536 bytes: a field there"
    with pytest.raises(InputError, match=text) as caught:
        inline(path, output)
    row = int(str(caught.value).partition("after row ")[2].split()[0])
    assert 0 <= 7000 - row < 2**16 / len(lines[0])
    # Nothing is left that would stand in the way of a corrected file.
    assert list(tmp_path.iterdir()) == [path]
    path.write_text(path.read_text().replace('"', ""))
    assert inline(path, output).counts == {"converged": 20_000}


@pytest.mark.parametrize("block", [100, 2**20])
def test_rows_stay_in_their_order(tmp_path, monkeypatch, block):
    monkeypatch.setattr(csv_text, "BLOCK", block)
    kinds = (f"{{}},{GOOD}", "{}", "", f'"{{}}\n",{GOOD}', "{},1,2,3")
    rng = np.random.default_rng(0)
    chosen = [kinds[k] for k in rng.integers(len(kinds), size=500)]
    lines = [kind.format(k) for k, kind in enumerate(chosen)]
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["id,targets", *lines]))
    found = read(path)
    numbers = [k for k, kind in enumerate(chosen) if kind]
    assert [int(row["id"]) for row in found] == numbers
    for row, k in zip(found, numbers, strict=True):
        fault = {kinds[1]: number_of_fields(1), kinds[4]: number_of_fields(4)}
        assert row[csv_text.FAULT] == fault.get(chosen[k])


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends(inline, tmp_path, end):
    path = tmp_path / "in.csv"
    lines = ['\ufeff"id";"targets" ;x', *[f"{k};[-{k}.5, 9];" for k in "123"]]
    path.write_text(end.join(lines) + end, newline="", encoding="utf-8")
    inline(path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [(row["id"], row["result"]) for row in found] == [(k, 0) for k in "123"]


def test_a_wrong_number_of_fields_is_said(inline, tmp_path):
    text = 'a,[-2.5,2.5,4.5]\nb, "[-2.5, 2.5]"\nc\nd,-2.5 2.5\n'
    assert answers(inline, tmp_path, text) == [
        ("a", number_of_fields(4)),
        ("b", number_of_fields(3)),
        ("c", number_of_fields(1)),
        ("d", None),
    ]


def test_bytes_that_are_no_utf_8(inline, tmp_path):
    path = tmp_path / "in.csv"
    lines = [
        "m\xfcller,1,2,3",
        f"\xe4,{GOOD}",
        f'"\xdf",{GOOD}',
        "c,1 \xa0 2",
        f"d,{GOOD}",
    ]
    path.write_bytes("\n".join(["id,targets", *lines]).encode("latin-1"))
    inline(path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    names = ["m\ufffdller", "\ufffd", "\ufffd", "c", "d"]
    assert [row["id"] for row in found] == names
    assert [row["result"] for row in found] == [5, 0, 0, 5, 0]
    assert found[0]["message"] == number_of_fields(4)


@pytest.mark.parametrize(
    ("names", "line", "expected"),
    [
        ("targets,id", "[-2.5,2.5],b", "b"),
        ("targets,id,note", "[-2.5,2.5],b,", "b"),
        ("targets,id", "-2.5 2.5", None),
        ("targets,id,initial", "[-2.5,2.5],b,[0,0]", None),
    ],
)
def test_the_id_of_a_malformed_row(inline, tmp_path, names, line, expected):
    good = "-2.5 2.5,a" + "," * (names.count(",") - 1)
    found = answers(inline, tmp_path, f"{good}\n{line}\n{good}\n", names)
    assert [name for name, _ in found] == ["a", expected, "a"]
    assert found[1][1].startswith("the line has")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'id,"targets\na,1 2\n', "a quote in its first line is not closed"),
        ("id,targets\na,1 2\n".encode("utf-16"), "it is UTF-16, must be UTF-8"),
        (b"", "column id is missing"),
    ],
)
def test_first_lines_that_cannot_be_read(inline, tmp_path, content, text):
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=text) as caught:
        inline(path, tmp_path / "out.parquet")
    assert str(path) in str(caught.value)
