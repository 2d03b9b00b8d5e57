"""Tables of problems of order 2, with couplings of 1 and a free diagonal.

The difference of the two levels is at least 2: closer targets are infeasible.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eigenfit_serving.batch.tables.columns import normalised, rows_schema, written_type

MALFORMED = (
    (None, "`targets` is null"),
    ([1.0], "`targets` has 1 number, must have 2"),
    ([], "`targets` has 0 numbers, must have 2"),
    ([1.0, 2.0, 3.0], "`targets` has 3 numbers, must have 2"),
    ([1.0, float("nan")], "a null, NaN, infinite or unreadable number"),
    ([None, 4.0], "a null, NaN, infinite or unreadable number"),
    ([5.0, -5.0], "`targets` do not ascend"),
)


def lists(values: np.ndarray) -> pa.Array:
    return pa.array(list(values), pa.list_(pa.float64()))


def good_targets(number: int, rng: np.random.Generator) -> np.ndarray:
    middle = rng.normal(size=number)
    half = rng.uniform(1.1, 5.0, size=number)
    return np.stack([middle - half, middle + half], axis=1)


def mixed(number: int, rng: np.random.Generator, share: float = 0.02) -> pa.Table:
    """Makes rows of which a share is malformed and another infeasible."""
    targets = list(good_targets(number, rng))
    kind = rng.uniform(size=number)
    for k in np.flatnonzero(kind < 2 * share):
        if kind[k] < share:
            targets[k] = MALFORMED[k % len(MALFORMED)][0]
        else:
            targets[k] = np.array([-0.5, 0.5])
    ids = pa.array([f"row {k}" for k in range(number)])
    column = pa.array(targets, pa.list_(pa.float64()))
    return pa.table({"id": ids, "targets": column})


def write(table: pa.Table, path: Path, row_group_size: int = 2**20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def rows(table: pa.Table) -> pa.RecordBatch:
    """Gives the rows of a table as a kernel gets them."""
    (batch,) = table.combine_chunks().to_batches()
    id_type = written_type(batch.schema.field("id").type)
    return normalised(batch, rows_schema(batch.schema.names, id_type))


def assert_same(found: pa.Table, wanted: pa.Table) -> None:
    """Compares answers, but for who computed them and how long it took."""
    assert found.num_rows == wanted.num_rows
    for name in ("id", "row", "steps", "result", "text", "message"):
        assert found.column(name).to_pylist() == wanted.column(name).to_pylist(), name
    for name in ("parameters", "eigenvalues"):
        one, two = (x.column(name).combine_chunks() for x in (found, wanted))
        assert one.is_null().to_pylist() == two.is_null().to_pylist()
        np.testing.assert_allclose(one.flatten(), two.flatten(), rtol=0, atol=1e-12)
