"""Runs from beginning to end, in this process."""

import contextlib
import csv
import errno
import io
import json
import os
import stat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from tests.serving.batch import tables

from eigenfit_serving import InputError
from eigenfit_serving.batch import run
from eigenfit_serving.batch.plan.parts import Part
from eigenfit_serving.batch.plan.run_folder import Places, claimed
from eigenfit_serving.batch.tables import writing


def test_one_file(inline, mixed_file, expected, tmp_path):
    output = tmp_path / "out.parquet"
    report = inline(mixed_file, output)
    tables.assert_same(pq.read_table(output), pa.table(expected))
    codes = np.bincount(expected.column("result").to_numpy(), minlength=6)
    assert report.counts == {
        "converged": codes[0],
        "stationary": codes[1],
        "invalid_input": codes[5],
    }
    assert report.rows == sum(report.counts.values()) == 10_000
    written = json.loads((tmp_path / "out.parquet.report.json").read_text())
    assert written["counts"] == report.counts
    assert sorted(x.name for x in tmp_path.iterdir()) == [
        "out.parquet",
        "out.parquet.report.json",
    ]


def test_a_folder(inline, mixed_file, expected, tmp_path):
    output = tmp_path / "out"
    inline(mixed_file, output)
    parts = sorted(output.glob("*.parquet"))
    assert len(parts) == 5
    found = pa.concat_tables(map(pq.read_table, parts))
    tables.assert_same(found, pa.table(expected))
    # Readers of folders see no more than that.
    assert pq.read_table(output).num_rows == 10_000


def test_limit(inline, mixed_file, expected, tmp_path):
    report = inline(mixed_file, tmp_path / "out.parquet", limit=2500)
    found = pq.read_table(tmp_path / "out.parquet")
    tables.assert_same(found, pa.table(expected).slice(0, 2500))
    assert report.rows == 2500


def test_a_folder_of_files(inline, expected, mixed_file, tmp_path):
    table = pq.read_table(mixed_file)
    folder = tmp_path / "in"
    tables.write(table.slice(0, 700), folder / "a.parquet", row_group_size=100)
    tables.write(table.slice(700, 0), folder / "b.parquet")
    tables.write(table.slice(700, 3000), folder / "c" / "d.parquet")
    tables.write(table, folder / "_not" / "this.parquet")
    inline(folder, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    tables.assert_same(found, pa.table(expected).slice(0, 3700))


@pytest.mark.parametrize("rows", [10, 300])
def test_many_small_files_make_few_parts(inline, expected, mixed_file, tmp_path, rows):
    table = pq.read_table(mixed_file).slice(0, 3000)
    kinds = [pa.string(), pa.large_string(), pa.string_view()]
    for k in range(0, 3000, rows):
        # Not all alike.
        part = table.slice(k, rows)
        ids = part["id"].cast(kinds[k // rows % 3])
        part = part.set_column(0, "id", ids)
        if k // rows % 2:
            part = part.select(["targets", "id"])
        tables.write(part, tmp_path / "in" / f"{k:05d}.parquet")
    inline(tmp_path / "in", tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 2
    found = pq.read_table(tmp_path / "out")
    tables.assert_same(found, pa.table(expected).slice(0, 3000))
    with pytest.raises(KeyboardInterrupt):
        inline(tmp_path / "in", tmp_path / "out.parquet", stop_after=1)
    report = inline(tmp_path / "in", tmp_path / "out.parquet", resume=True)
    assert 2048 - rows < report.rows_before <= 2048
    found = pq.read_table(tmp_path / "out.parquet")
    tables.assert_same(found, pa.table(expected).slice(0, 3000))


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow(inline, expected, mixed_file, tmp_path, make):
    table = pq.read_table(mixed_file)
    path = tmp_path / "in.arrow"
    with make(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=777)
    inline(path, tmp_path / "out.arrow")
    found = pa.ipc.open_file(pa.memory_map(str(tmp_path / "out.arrow"))).read_all()
    tables.assert_same(found, pa.table(expected))


def test_csv(inline, expected, mixed_file, tmp_path):
    rows = pq.read_table(mixed_file).slice(0, 3000).to_pylist()
    lines = ["id;targets;note"]
    for k, row in enumerate(rows):
        given = row["targets"]
        text = (
            ""
            if given is None
            else ", ".join("?" if x is None else repr(x) for x in given)
        )
        lines.append(f"{row['id']};[{text}];x")
        lines += [""] * (k % 100 == 0)
    # Rows with too few and too many fields are malformed, not lost.
    lines += ["short", "long;1 2;3;4", "last;-2 2;x"]
    path = tmp_path / "in.csv"
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    report = inline(path, tmp_path / "out.csv")
    assert report.rows == 3003
    with (tmp_path / "out.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    wanted = pa.table(expected).slice(0, 3000).to_pylist()
    for one, two in zip(found, wanted, strict=False):
        assert one["id"] == two["id"]
        assert int(one["result"]) == two["result"]
        if two["parameters"]:
            assert json.loads(one["parameters"]) == two["parameters"]
        else:
            assert one["parameters"] == ""
    assert [x["id"] for x in found[3000:]] == ["short", "long", "last"]
    assert [x["result"] for x in found[3000:]] == ["5", "5", "0"]
    assert json.loads(found[-1]["eigenvalues"]) == pytest.approx([-2, 2], abs=1e-4)


def test_no_rows(inline, tmp_path, mixed_file):
    table = pq.read_table(mixed_file).slice(0, 0)
    path = tables.write(table, tmp_path / "in.parquet")
    for output in (tmp_path / "out.parquet", tmp_path / "out"):
        report = inline(path, output)
        assert report.rows == 0
        assert report.counts == {}
        assert pq.read_table(output).num_rows == 0
        assert "parameters" in pq.read_table(output).column_names


@pytest.mark.parametrize(
    ("name", "parts"), [("out.parquet", 3), ("out", 0), ("out", 1)]
)
def test_resume(inline, mixed_file, expected, tmp_path, name, parts):
    output = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=parts)
    places = Places(output)
    # What a process that was killed leaves behind.
    (places.drafts / "part-x.parquet.123").write_bytes(b"half")
    with pytest.raises(InputError, match=r"holds a run that was begun .* --resume"):
        inline(mixed_file, output)
    report = inline(mixed_file, output, resume=True)
    assert report.rows_before == 2048 * parts
    assert report.rows == 10_000
    tables.assert_same(pq.read_table(output), pa.table(expected))
    assert not list(tmp_path.rglob("part-x*"))
    again = inline(mixed_file, output, resume=True)
    assert again.counts == report.counts


def test_what_a_resumed_run_shows(inline, mixed_file, tmp_path, monkeypatch):
    output, shown, text = tmp_path / "out.parquet", [], io.StringIO()
    console = Console(file=text)
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=3)

    @contextlib.contextmanager
    def recorded(*_):
        yield lambda counts, rate: shown.append(sum(counts))

    monkeypatch.setattr(run, "shown", recorded)
    report = inline(mixed_file, output, resume=True, console=console)
    # Rows that were done before are in the counts as well.
    assert shown[0] == 3 * 2048
    assert shown[-1] == 10_000
    # Nothing but how rows without a start began.
    assert text.getvalue().count("\n") == 1
    assert text.getvalue().startswith("Rows without initial began at random")
    assert inline(mixed_file, output, resume=True, console=console) == report
    assert "was finished before. This is its report" in text.getvalue()


def test_a_part_whose_file_is_not_whole_is_done_again(
    inline, mixed_file, expected, tmp_path
):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=3)
    first, second, _ = sorted(output.glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-10])
    report = inline(mixed_file, output, resume=True)
    assert report.rows_before == 2048
    tables.assert_same(pq.read_table(output), pa.table(expected))


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["out.parquet", "out"])
@pytest.mark.parametrize("rows", [300, 5000])
def test_resume_with_parts_of_another_size(
    inline, mixed_file, expected, tmp_path, monkeypatch, name, rows
):
    # As another number of workers makes them.
    output = tmp_path / name
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=3)
    monkeypatch.setattr(run, "rows_per_part", lambda *_: rows)
    report = inline(mixed_file, output, resume=True)
    assert report.rows_before == 3 * 2048
    tables.assert_same(pq.read_table(output), pa.table(expected))


def test_rows_that_were_done_twice_count_once(inline, mixed_file, expected, tmp_path):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=2)
    first = pq.read_table(output / Part(0, 2048).name)
    drafts = Places(output).drafts
    again = [500, 0, 0, 0, 0, 0, 0, 0]
    writing.write_part(first, again, output / Part(1000, 500).name, drafts)
    report = inline(mixed_file, output, resume=True)
    assert report.rows_before == 4096
    tables.assert_same(pq.read_table(output), pa.table(expected))


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_an_output_in_the_folder_of_the_input(
    inline, mixed_file, expected, tmp_path, name, monkeypatch
):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "rows.parquet").write_bytes(mixed_file.read_bytes())
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    with pytest.raises(KeyboardInterrupt):
        inline(".", name, stop_after=3)
    report = inline(".", name, resume=True)
    assert report.rows_before == 3 * 2048
    # By another way to the same place.
    again = inline(tmp_path / "in", tmp_path / "in" / name, resume=True)
    assert again.counts == report.counts
    found = tmp_path / "link" / name
    tables.assert_same(pq.read_table(found), pa.table(expected))
    with pytest.raises(InputError, match=r"column targets is missing"):
        inline(tmp_path / "link", tmp_path / "other.parquet")


def test_an_output_that_is_the_input(inline, mixed_file, tmp_path):
    path = tmp_path / "in.parquet"
    path.write_bytes(mixed_file.read_bytes())
    for same in (path, tmp_path):
        for resume in (False, True):
            with pytest.raises(InputError, match="is INPUT as well"):
                inline(same, same, resume=resume)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out.parquet", "out"])
def test_killed_at_the_very_beginning_and_end(inline, mixed_file, tmp_path, name):
    output = tmp_path / name
    places = Places(output)
    places.drafts.mkdir(parents=True)
    report = inline(mixed_file, output, limit=100)
    assert report.rows_before == 0
    # While the folder of the run was being removed.
    places.drafts.mkdir(parents=True, exist_ok=True)
    again = inline(mixed_file, output, limit=100, resume=True)
    assert again.counts == report.counts
    assert pq.read_table(output).num_rows == 100
    assert places.state.exists() is (name == "out")


def test_a_file_that_is_not_the_part_of_its_name_is_removed(
    inline, mixed_file, expected, tmp_path
):
    output = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=2)
    (first, *_) = sorted(output.glob("*.parquet"))
    (output / Part(4096, 100).name).write_bytes(first.read_bytes())
    (output / "part-mine.parquet").write_bytes(first.read_bytes())
    inline(mixed_file, output, resume=True)
    tables.assert_same(pq.read_table(output), pa.table(expected))


def test_resume_refuses_what_has_changed(inline, mixed_file, tmp_path):
    path, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    path.write_bytes(mixed_file.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        inline(path, output, stop_after=1)
    with pytest.raises(InputError, match=r": seed is not what it was when it began"):
        inline(path, output, resume=True, seed=1)
    with pytest.raises(
        InputError, match=r": limit, starts, keep are not what they were"
    ):
        inline(path, output, resume=True, limit=5, starts=2)
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match=r": INPUT is not what it was"):
        inline(path, output, resume=True)


def test_an_output_is_not_overwritten(inline, mixed_file, tmp_path):
    output = tmp_path / "out.parquet"
    inline(mixed_file, output, limit=10)
    with pytest.raises(InputError, match=r"is there already. Remove it"):
        inline(mixed_file, output, limit=10)
    with pytest.raises(InputError, match="was not made by this run"):
        inline(mixed_file, output, limit=11, resume=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").touch()
    with pytest.raises(InputError, match="is a folder with other files"):
        inline(mixed_file, tmp_path / "folder")


def test_two_runs_into_one_output(inline, mixed_file, tmp_path):
    output = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        inline(mixed_file, output, stop_after=1)
    places = Places(output)
    agreement = json.loads((places.state / "run.json").read_text())
    with (
        claimed(places, agreement, resume=True),
        pytest.raises(InputError, match="another process works on it"),
    ):
        inline(mixed_file, output, resume=True)


def test_a_full_disk(inline, mixed_file, expected, tmp_path, monkeypatch):
    output = tmp_path / "out.parquet"
    places, real = Places(output), os.fsync

    def parts():
        return [path.name for path in sorted(places.parts.glob("part-*.parquet"))]

    def fsync(handle):
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        if is_file and len(parts()) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(writing.OutputError) as caught:
            inline(mixed_file, output)
    text = str(caught.value)
    assert "No space left on device" in text
    assert "--resume" in text
    assert "\n" not in text
    done = [Part.named(name).rows for name in parts()]
    assert len(done) == 2
    assert not list(places.drafts.iterdir())
    report = inline(mixed_file, output, resume=True)
    assert report.rows_before == sum(done) < 10_000
    tables.assert_same(pq.read_table(output), pa.table(expected))


def test_bad_columns(inline, tmp_path):
    table = pa.table({"id": [[1]], "target": [[1.0, 2.0]], "max_steps": ["x"]})
    path = tables.write(table, tmp_path / "in.parquet")
    with pytest.raises(InputError) as caught:
        inline(path, tmp_path / "out.parquet")
    text = str(caught.value)
    assert "column targets is missing" in text
    assert "column id is list<element: int64>, must be numbers or texts" in text
    assert "column max_steps is string, must be numbers" in text
    assert list(tmp_path.iterdir()) == [path]


def test_weights_need_a_problem_file(inline, tmp_path):
    table = pa.table({"id": [1], "targets": [[1.0, 2.0]], "weights": [[1.0, 2.0]]})
    path = tables.write(table, tmp_path / "in.parquet")
    with pytest.raises(InputError, match="give the problem file in its place"):
        inline(path, tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"workers": 0}, "workers = 0: must be an integer of at least 1"),
        ({"starts": "two"}, "starts = 'two'"),
        ({"engine": "spark"}, "engine = 'spark': must be local or ray"),
        ({"keep": "some"}, "keep = 'some'"),
        ({"keep": "all"}, "keep = 'all': needs starts"),
        ({"max_steps": 10**6}, "max_steps = 1000000: the model makes at most "),
        ({"tolerance": -1.0}, "tolerance = -1.0"),
        ({"tolerance": "small"}, "tolerance = 'small'"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"table": "no.parquet"}, "INPUT = no.parquet: is not there"),
        ({"table": "pyproject.toml"}, "the name must end in .parquet"),
        ({"model": "examples"}, "MODEL_OR_PROBLEM = examples: holds no exported"),
        ({"model": "README.md"}, "is neither the folder"),
        ({"model": "no.toml"}, "no.toml: there is no such file"),
    ],
)
def test_bad_arguments(inline, mixed_file, tmp_path, arguments, text):
    with pytest.raises(InputError) as caught:
        inline(**{"table": mixed_file, "output": tmp_path / "out", **arguments})
    assert text in str(caught.value)


def test_a_tolerance_that_is_zero_for_the_model(
    inline, mixed_file, bounded_model, tmp_path
):
    with pytest.raises(InputError, match=r"tolerance = 1e-50: is zero in float32"):
        inline(mixed_file, tmp_path / "out", model=bounded_model, tolerance=1e-50)
    assert not list(tmp_path.iterdir())


def test_bad_files(inline, tmp_path):
    path = tmp_path / "in.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match=r"INPUT = .*in.parquet: cannot be read"):
        inline(path, tmp_path / "out")
