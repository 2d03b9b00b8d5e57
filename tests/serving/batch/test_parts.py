"""Inputs divided into parts, and read in any order."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from tests.serving.batch import tables

from eigenfit_serving import InputError
from eigenfit_serving.batch.choosing import distinct
from eigenfit_serving.batch.parts import Part, parts_of, remaining
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
