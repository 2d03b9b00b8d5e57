"""Inputs divided into parts, and read in any order."""

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from tests.serving.batch import tables

from eigenfit_serving import InputError
from eigenfit_serving.batch.choosing import distinct
from eigenfit_serving.batch.parts import Part, joined, parts_of, remaining
from eigenfit_serving.batch.pending import Pending
from eigenfit_serving.batch.reading import Reader, open_file

ROWS = 1000


@pytest.fixture(params=["in.parquet", "in.arrow", "in.arrows", "in.csv"])
def file(request, tmp_path):
    table = pa.table(
        {"id": np.arange(ROWS).astype(str), "targets": [[1.0, 2.0]] * ROWS}
    )
    path = tmp_path / request.param
    if path.suffix == ".parquet":
        return tables.write(table, path, row_group_size=300)
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
def test_parts_have_all_rows(file, rows, backwards):
    parts = list(parts_of(file, open_file(file).blocks(), rows, 0, ROWS - 1))
    parts = parts[:40][:: -1 if backwards else 1]
    reader, found = Reader(), {}
    for part in parts:
        batches = list(reader.read(part, 64))
        assert max(batch.num_rows for batch in batches) <= 64
        ids = [x for batch in batches for x in batch.column("id").to_pylist()]
        found[part.first] = ids
    last = min(40 * rows, ROWS - 1)
    together = [x for first in sorted(found) for x in found[first]]
    assert together == [str(k) for k in range(last)]


def test_pieces_of_a_part(file):
    (part,) = parts_of(file, open_file(file).blocks(), ROWS, 500, 500 + ROWS)
    pieces = remaining([part], {500: 123, 900: 1})
    reader = Reader()
    ids = [
        x
        for piece in pieces
        for batch in reader.read(piece, 50)
        for x in batch.column("id").to_pylist()
    ]
    assert ids == [str(k) for k in range(123, ROWS) if k != 400]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 50])
def test_what_was_done_in_parts_of_other_sizes(size):
    done = {0: 4, 9: 13, 22: 1, 30: 20}
    parts = [Part("a", k, min(size, 50 - k), 0, k) for k in range(0, 50, size)]
    found = remaining(parts, done)
    rows = [row for part in found for row in range(part.first, part.first + part.rows)]
    assert rows == [*range(4, 9), *range(23, 30)]
    assert all(part.skip == part.first for part in found)


def test_a_file_that_has_become_shorter(file):
    part = Part(str(file), 0, ROWS + 5, 0, 0)
    if file.suffix == ".csv":
        (part, *_) = parts_of(file, [(12, ROWS + 5)], ROWS + 5, 0, ROWS + 5)
    with pytest.raises(InputError, match="has 5 rows fewer than when the run began"):
        list(Reader().read(part, 64))


def test_workers_go_on_where_they_are():
    parts = [Part("a", 10 * k, 10, 0, 10 * k) for k in range(8)]
    pending = Pending(parts)
    one, two = pending.take(), pending.take()
    assert one
    assert two
    # The second one begins in the middle of what the first one comes to.
    assert (one.first, two.first) == (0, 40)
    assert pending.take(one) == parts[1]
    assert pending.take(two) == parts[5]


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
    part = Part(str(path), 0, rows, 0, 0)
    before = pa.total_allocated_bytes()
    peak, found = 0, 0
    for batch in Reader().read(part, 1000):
        found += batch.num_rows
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert found == rows
    assert peak < 2**23


def test_record_batches_are_counted_by_one_column(tmp_path):
    rows = 200_000
    table = pa.table(
        {
            "note": np.random.rand(rows),
            "targets": tables.lists(np.random.rand(rows, 4)),
            "id": np.arange(rows),
            "more": np.random.rand(rows),
        }
    )
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        path = tmp_path / "in.arrow"
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with make(path, table.schema, options=options) as writer:
            writer.write_table(table)
        before = pa.total_allocated_bytes()
        blocks = open_file(path).blocks()
        assert next(blocks) == (0, rows)
        # The ids alone, while the batch is there.
        assert pa.total_allocated_bytes() - before < 2 * 8 * rows
        blocks.close()
        (part,) = parts_of(path, [(0, rows)], rows, 0, rows)
        batch = next(Reader().read(part, rows))
        assert batch.schema.names == ["targets", "id"]
        assert batch.column("id").to_pylist() == list(range(rows))


def test_parts_of_several_files():
    parts = [Part(str(k), 3 * k, 3, 0, 0) for k in range(10)]
    together = joined(parts, 12)
    assert [part.rows for part in together] == [12, 12, 6]
    again = [Part.from_json(json.loads(json.dumps(asdict(x)))) for x in together]
    assert again == together
    pieces = [piece for part in together for piece in part.pieces]
    assert pieces == parts
    single = [x for part in together for x in part.split()]
    rows = [
        (x.file, x.skip + k) for y in single for x in y.pieces for k in range(x.rows)
    ]
    assert rows == [(str(k), i) for k in range(10) for i in range(3)]
    given_up = replace(together[0].cut(5, 1), give_up=True)
    assert given_up.pieces == [Part("1", 5, 1, 0, 2, give_up=True)]
