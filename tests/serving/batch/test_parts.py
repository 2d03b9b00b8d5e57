"""Inputs divided into parts, and read in any order."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables

from eigenfit_serving import InputError
from eigenfit_serving.batch.plan.parts import remaining
from eigenfit_serving.batch.plan.run_folder import Places
from eigenfit_serving.batch.plan.table import Table
from eigenfit_serving.batch.solving.choosing import distinct
from eigenfit_serving.batch.tables.reading import Reader

ROWS = 1000


def reader_of(path, folder, limit=None):
    """Makes what workers read an input with, and the number of its rows."""
    places = Places(folder / "out")
    places.drafts.mkdir(parents=True, exist_ok=True)
    table = Table.of(path, weights=True)
    inputs = table.rows(places, limit, print)
    assert not list(places.drafts.iterdir())
    return Reader(inputs, table.schema), sum(sum(groups) for _, groups in inputs)


def ids_of(batches):
    return [x for batch in batches for x in batch.column("id").to_pylist()]


@pytest.fixture(params=["in.parquet", "in.arrow", "in.arrows", "in.csv", "in"])
def file(request, tmp_path):
    table = pa.table(
        {"id": np.arange(ROWS).astype(str), "targets": [[1.0, 2.0]] * ROWS}
    )
    path = tmp_path / request.param
    if path.suffix == ".parquet":
        return tables.write(table, path, row_group_size=300)
    if not path.suffix:
        for k in range(0, ROWS, 37):
            tables.write(table.slice(k, 37), path / f"{k:04d}.parquet", 10)
        return path
    if path.suffix == ".csv":
        text = "".join(f"{k},1 2\n{chr(10) * (k % 3)}" for k in range(ROWS))
        path.write_text(f"id,targets\n{text}")
        return path
    make = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
    with make(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=130)
    return path


@pytest.mark.parametrize("rows", [1, 77, 100, 5000])
@pytest.mark.parametrize("backwards", [False, True])
def test_parts_have_all_rows(file, tmp_path, rows, backwards):
    reader, total = reader_of(file, tmp_path)
    assert total == ROWS
    parts = list(remaining(ROWS - 1, rows, {}))
    # Some of them, as one of several workers gets them.
    parts = parts[:80:2][:: -1 if backwards else 1]
    for part in parts:
        batches = list(reader.read(part.first, part.rows, 64))
        assert all(batch.num_rows == 64 for batch in batches[:-1])
        wanted = range(part.first, part.first + part.rows)
        assert ids_of(batches) == [str(k) for k in wanted]
    assert sum(part.rows for part in remaining(ROWS - 1, rows, {})) == ROWS - 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 50])
def test_what_was_done_in_parts_of_other_sizes(size):
    done = {0: 4, 9: 13, 22: 1, 30: 20}
    found = list(remaining(50, size, done))
    rows = [row for part in found for row in range(part.first, part.first + part.rows)]
    assert rows == [*range(4, 9), *range(23, 30)]
    assert max(part.rows for part in found) <= size


def test_a_file_that_has_other_rows_than_before(file, tmp_path):
    reader, _ = reader_of(file, tmp_path)
    path, groups = reader._files[0]
    rows = sum(groups)
    pq.write_table(pq.read_table(path).slice(5), path)
    text = f"has {rows - 5} rows, but had {rows} when the run began"
    with pytest.raises(InputError, match=text):
        list(reader.read(0, ROWS, 64))


def test_a_file_that_has_other_row_groups_than_before(tmp_path):
    table = pa.table({"id": np.arange(ROWS), "targets": [[1.0]] * ROWS})
    path = tables.write(table, tmp_path / "in.parquet", row_group_size=100)
    reader, _ = reader_of(path, tmp_path)
    tables.write(table, path, row_group_size=300)
    with pytest.raises(InputError, match=r"when the run began, or other row groups"):
        list(reader.read(0, ROWS, 64))


def test_row_groups_without_rows(tmp_path):
    table = pa.table({"id": np.arange(ROWS), "targets": [[1.0]] * ROWS})
    path = tmp_path / "in.parquet"
    with pq.ParquetWriter(path, table.schema) as writer:
        for first, rows in ((0, 0), (0, 400), (400, 0), (400, 600), (1000, 0)):
            writer.write_table(table.slice(first, rows))
    reader, total = reader_of(path, tmp_path)
    assert total == ROWS
    for first in (0, 390, 400, 10):
        assert ids_of(reader.read(first, 30, 8)) == list(range(first, first + 30))


def test_a_part_is_not_looked_for_from_the_beginning(tmp_path, monkeypatch):
    table = pa.table({"id": np.arange(ROWS), "targets": [[1.0]] * ROWS})
    path = tables.write(table, tmp_path / "in.parquet", row_group_size=100)
    reader, _ = reader_of(path, tmp_path)
    asked = []
    real = pq.ParquetFile.iter_batches

    def iter_batches(self, *arguments, row_groups, **options):
        asked.append(row_groups[0])
        return real(self, *arguments, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    for first in (10, 50, 110, 530, 560, 20):
        assert ids_of(reader.read(first, 30, 8)) == list(range(first, first + 30))
    # What follows in the same row group is read on, over others it is jumped.
    assert asked == [0, 1, 5, 0]


def test_fits_that_did_not_converge_are_no_solutions():
    parameters = np.array([[[2.0], [2.0], [1.0]]])
    found = distinct(parameters, np.ones([1, 3]), np.array([[2, 0, 0]]))
    assert found.start.tolist() == [1, 2]
    assert found.starts.tolist() == [1, 1]


def test_row_groups_are_not_read_at_once(tmp_path):
    rows = 400_000
    table = pa.table(
        {"id": np.arange(rows), "targets": tables.lists(np.random.rand(rows, 4))}
    )
    path = tables.write(table, tmp_path / "in.parquet", row_group_size=rows)
    assert path.stat().st_size > 2**23
    del table
    reader, _ = reader_of(path, tmp_path)
    before = pa.total_allocated_bytes()
    peak, found = 0, 0
    for batch in reader.read(0, rows, 1000):
        found += batch.num_rows
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert found == rows
    assert peak < 2**23


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_only_columns_that_are_needed_are_converted(tmp_path, make):
    table = pa.table(
        {
            "note": np.random.rand(ROWS),
            "targets": pa.array([[1, 2]] * ROWS, pa.list_(pa.int32(), 2)),
            "id": np.arange(ROWS),
        }
    )
    path = tmp_path / "in.arrow"
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with make(path, table.schema, options=options) as writer:
        writer.write_table(table)
    reader, _ = reader_of(path, tmp_path, limit=10)
    (batch,) = reader.read(0, 10, 10)
    assert batch.to_pylist() == [{"id": k, "targets": [1.0, 2.0]} for k in range(10)]


def test_files_with_other_columns(tmp_path):
    for k, text in enumerate(("id,targets\na,1 2\n", "targets,initial,id\n3,4 5,b")):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{k}.csv").write_text(text)
    reader, _ = reader_of(tmp_path / "in", tmp_path)
    (batch,) = reader.read(0, 2, 10)
    assert batch.column("id").to_pylist() == ["a", "b"]
    assert batch.column("targets").to_pylist() == [[1.0, 2.0], [3.0]]
    assert batch.column("initial").to_pylist() == [None, [4.0, 5.0]]


def test_what_is_converted_is_converted_once(inline, tmp_path):
    path, output = tmp_path / "in.csv", tmp_path / "out"
    path.write_text("id,targets\n" + "a,-2 2\n" * 5000)
    with pytest.raises(KeyboardInterrupt):
        inline(path, output, stop_after=1)
    rows = Places(output).rows
    before = rows.stat().st_mtime_ns
    with pytest.raises(KeyboardInterrupt):
        inline(path, output, stop_after=1, resume=True)
    assert rows.stat().st_mtime_ns == before
    report = inline(path, output, resume=True)
    assert report.rows_before == 4096
    # It is no more than a copy of what is there.
    assert not rows.exists()
    assert inline(path, output, resume=True) == report
    assert not rows.exists()
