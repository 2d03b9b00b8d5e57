"""Names and folders that cannot be used: one line, before any work."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables

from eigenfit_serving import InputError
from eigenfit_serving.batch.plan.run_folder import Places

LONG = "n" * 300


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"output": f"{LONG}.parquet"}, f"OUTPUT = {LONG}.parquet: cannot be written"),
        ({"output": LONG}, f"OUTPUT = {LONG}: cannot be written (File name too long)"),
        # The output could be written, but not its report.
        ({"output": f"{'n' * 240}.csv"}, "(File name too long). Give a shorter name."),
        ({"table": f"{LONG}.parquet"}, f"INPUT = {LONG}.parquet: cannot be read"),
        ({"model": LONG}, f"MODEL_OR_PROBLEM = {LONG}: cannot be read"),
        ({"output": "/"}, "OUTPUT = /: has no name. Give a file or a folder."),
        ({"output": "file/out.parquet"}, "cannot be written (Not a directory)"),
    ],
)
def test_names_that_cannot_be(
    inline, mixed_file, tmp_path, monkeypatch, arguments, text
):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(InputError) as caught:
        inline(**{"table": mixed_file, "output": tmp_path / "out", **arguments})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("which", ["model", "table", "output"])
def test_folders_without_rights(inline, mixed_file, tmp_path, monkeypatch, which):
    locked = tmp_path / "locked"
    real = os.stat

    def stat(path, *arguments, **options):
        if not isinstance(path, int) and locked in Path(os.fsdecode(path)).parents:
            raise PermissionError(13, os.strerror(13), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    given = {"table": mixed_file, "output": tmp_path / "out"}
    given[which] = locked / "x.parquet"
    with pytest.raises(InputError, match=r"\(Permission denied\)"):
        inline(**given)


@pytest.mark.parametrize(
    "name", ["out.csv.gz", "out.tsv", "out.arrows", "out.json", "out.xlsx"]
)
def test_unknown_endings_are_no_folders(inline, mixed_file, tmp_path, name):
    with pytest.raises(InputError, match=r"must end in .parquet, .pq, .csv") as caught:
        inline(mixed_file, tmp_path / name)
    assert "for a folder of Parquet files, one without an ending" in str(caught.value)
    assert not list(tmp_path.iterdir())
    (tmp_path / name).mkdir()
    inline(mixed_file, tmp_path / name, limit=10)
    assert pq.read_table(tmp_path / name).num_rows == 10


@pytest.mark.parametrize("name", ["run.2", "v1.0", ".hidden"])
def test_names_of_folders(inline, mixed_file, tmp_path, name):
    inline(mixed_file, tmp_path / name, limit=10)
    assert list((tmp_path / name).glob("part-*.parquet"))


def test_what_a_killed_removal_left_is_of_its_run(
    inline, mixed_file, expected, tmp_path, monkeypatch
):
    output = tmp_path / "out.parquet"
    places = Places(output)
    real, removed = Path.unlink, []

    def unlink(path, **options):
        if path.name.startswith("part-") and "drafts" not in path.parts:
            if removed:
                raise KeyboardInterrupt
            removed.append(path)
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            inline(mixed_file, output, limit=6000)
    assert removed
    assert places.done()
    output.unlink()
    with pytest.raises(InputError, match="holds a run that was begun"):
        inline(mixed_file, output)
    table = pq.read_table(mixed_file).slice(5000)
    path = tables.write(table, tmp_path / "other.parquet")
    with pytest.raises(InputError, match="INPUT, limit are not what they were"):
        inline(path, output, resume=True)
    report = inline(mixed_file, output, limit=6000, resume=True)
    assert 0 < report.rows_before < 6000
    tables.assert_same(pq.read_table(output), pa.table(expected).slice(0, 6000))
    assert not places.state.exists()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", "part-1.csv", "models/mine"])
def test_folders_of_the_user_are_left_alone(inline, mixed_file, tmp_path, name, resume):
    mine = tmp_path / "out.parquet.parts" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match=r"out.parquet.parts, which holds others \("):
        inline(mixed_file, tmp_path / "out.parquet", resume=resume)
    assert mine.read_text() == "mine"
    assert not (tmp_path / "out.parquet").exists()
