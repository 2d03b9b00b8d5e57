"""CSV files as people write them: every row has its answer, whatever is wrong."""

import io

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigenfit_serving import InputError
from eigenfit_serving.batch import csv_records, csv_text
from eigenfit_serving.batch.csv_records import read_records
from eigenfit_serving.batch.parts import parts_of
from eigenfit_serving.batch.reading import Reader, open_file

GOOD = "-2.5 2.5"
TORN = csv_text.TORN


def read(path, rows=1000, size=64):
    """Reads a file in parts: its rows, of which its blocks must know the number."""
    blocks = list(open_file(path).blocks())
    total = sum(number for _, number in blocks)
    found = []
    for part in parts_of(path, blocks, rows, 0, total):
        for batch in Reader().read(part, size):
            found += batch.to_pylist()
    assert len(found) == total
    return found


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


@pytest.mark.parametrize(
    "bad",
    [f'"b,{GOOD}', f'b,"{GOOD}', 'b,"-2.5, 2.5', '"b,"-2.5, 2.5"', 'b,"-2"5 2'],
)
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_quote_that_is_not_closed_costs_one_row(inline, tmp_path, bad, quoted, end):
    good = f'"{GOOD}"' if quoted else GOOD
    lines = [f"a,{good}", bad, f"c,{good}", f'"d",{good}', bad, f"e,{good}", bad]
    found = answers(inline, tmp_path, end.join(lines))
    assert [name for name, _ in found] == ["a", "b", "c", "d", "b", "e", "b"]
    for name, message in found:
        assert (message is None) is (name != "b")
    assert {message for _, message in found} == {None, TORN}


def test_a_quote_is_not_looked_for_without_end(inline, tmp_path):
    # The other quote is far away, as is that of a field that is long but right.
    rows = csv_records.LONGEST // 10
    lines = ['"b,-3 3', *[f"{k},{GOOD}" for k in range(rows)], f'e",{GOOD}']
    lines.insert(0, f'"{"long " * csv_records.LONGEST}",{GOOD}')
    found = answers(inline, tmp_path, "\n".join(lines))
    assert len(found) == rows + 3
    assert found[1] == ("b", TORN)
    assert {message for name, message in found if name != "b"} == {None}


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
        f'"\xdf,{GOOD}',
        "c,1 \xa0 2",
        f"d,{GOOD}",
    ]
    path.write_bytes("\n".join(["id,targets", *lines]).encode("latin-1"))
    inline(path, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    names = ["m\ufffdller", "\ufffd", "\ufffd", "c", "d"]
    assert [row["id"] for row in found] == names
    assert [row["result"] for row in found] == [5, 0, 5, 5, 0]
    assert [row["message"] for row in found[:3]] == [number_of_fields(4), None, TORN]


@pytest.mark.parametrize(
    ("names", "line", "expected"),
    [
        ("targets,id", "[-2.5,2.5],b", "b"),
        ("targets,id,note", '"[-2.5, 2.5],b,', "b"),
        ("targets,id", "-2.5 2.5", None),
        ("targets,id,initial", "[-2.5,2.5],b,[0,0]", None),
    ],
)
def test_the_id_of_a_malformed_row(inline, tmp_path, names, line, expected):
    good = "-2.5 2.5,a" + "," * (names.count(",") - 1)
    found = answers(inline, tmp_path, f"{good}\n{line}\n{good}\n", names)
    assert [name for name, _ in found] == ["a", expected, "a"]
    assert found[1][1] == TORN or found[1][1].startswith("the line has")


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


def reference(text: str, longest: int) -> list[tuple[str, bool]]:
    """Divides a text character by character: records, and which are torn."""
    found, begin = [], 0

    def after_break(at: int) -> int:
        if text.startswith("\r\n", at):
            return at + 2
        return at + 1 if text[at : at + 1] in ("\r", "\n") else at

    while begin < len(text):
        at, torn, is_first = begin, False, True
        while at < len(text):
            if is_first and text[at] == '"':
                inner, closed, k = None, None, at + 1
                while k < len(text) and closed is None:
                    if text[k] == '"' and text[k + 1 : k + 2] == '"':
                        k += 1
                    elif text[k] == '"':
                        closed = k + 1
                    elif inner is None and after_break(k) > k:
                        inner = after_break(k)
                    k += 1
                while inner is None and k < len(text):
                    inner = after_break(k) if after_break(k) > k else None
                    k += 1
                rest = text[closed or 0 :].lstrip(" ")[:1]
                if not closed or rest not in ("", ",", "\r", "\n"):
                    closed = None
                if inner and closed and closed > inner + longest:
                    closed = None
                if closed is None:
                    at, torn = inner or len(text), True
                    break
                at, is_first = closed, False
                continue
            at, before = max(at + 1, after_break(at)), at
            if after_break(before) > before:
                break
            is_first = text[before] == ","
        if text[begin:at].strip("\r\n"):
            found.append((text[begin:at], torn))
        begin = at
    return found


PIECES = st.sampled_from(
    [
        "a",
        '"',
        '"',
        ",",
        " ",
        "\n",
        "\r",
        "\r\n",
        'b,"1, 2"\n',
        '"c ""d""",1 2\n',
        '"e\nf",',
    ]
)


@given(
    st.lists(PIECES, max_size=25).map("".join),
    st.sampled_from([1, 5, 1000]),
    st.sampled_from([3, 1000]),
)
def test_records_are_those_of_a_simple_reader(text, chunk, longest):
    expected = reference(text, longest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_records, "_CHUNK", chunk)
        patch.setattr(csv_records, "LONGEST", longest)
        found = []
        for at, records in read_records(io.BytesIO(text.encode()), ","):
            for k in range(len(records)):
                start, end = at + records.starts[k], at + records.ends[k]
                found.append((text[start:end], bool(records.torn[k])))
    assert found == expected


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from([1, 3, 100]))
def test_rows_are_those_that_were_counted(tmp_path_factory, text, size):
    path = tmp_path_factory.getbasetemp() / "counted.csv"
    path.write_bytes(b"id,targets\n" + text.encode())
    found = read(path, rows=size, size=2)
    expected = reference(text, csv_records.LONGEST)
    assert len(found) == len(expected)
    for row, (record, torn) in zip(found, expected, strict=True):
        cells = csv_text.fields(record.rstrip("\r\n"), ",")
        if torn:
            assert row[csv_text.FAULT] == TORN
        elif len(cells) != 2:
            assert row[csv_text.FAULT] == number_of_fields(len(cells))
        else:
            assert row[csv_text.FAULT] is None
            assert (row["id"] or "") == cells[0]
