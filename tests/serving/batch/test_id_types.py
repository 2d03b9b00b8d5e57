"""Ids of all types: written by every output, or refused before any work."""

import csv
import datetime
import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.combinations import each

from eigenfit_serving import InputError
from eigenfit_serving.batch.plan.table import Table

TEXTS = ["a", "a text that is longer than twelve bytes", None]
TARGETS = [[-2.5, 2.5], [-3.0, 3.0], [-2.0, 2.0]]
INPUTS = ("in.parquet", "in.arrow")
OUTPUTS = ("out.parquet", "out.csv", "out.arrow", "out")


def write(ids, path):
    table = pa.table({"id": ids, "targets": TARGETS[: len(ids)]})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=1)
    return path


def folder_of(home, input, output):
    folder = home / f"{input} to {output}"
    folder.mkdir()
    return folder


def ids_of(path):
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [row["id"] for row in csv.DictReader(file)]
    if path.suffix == ".arrow":
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"].to_pylist()
    return pq.read_table(path)["id"].to_pylist()


def stored_type(path):
    return Table.of(path, weights=False).id_type


@pytest.mark.slow
@pytest.mark.parametrize(
    "ids",
    [
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.large_string()).dictionary_encode(),
        pa.array([7, 2**63, None], pa.uint64()),
        pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
        pa.array([datetime.date(2026, 1, 2), None], pa.date64()),
        pa.array([datetime.datetime(2026, 1, 2), None], pa.timestamp("s")),
        pa.array([datetime.timedelta(seconds=3), None], pa.duration("s")),
    ],
    ids=lambda ids: str(ids.type),
)
def test_ids_are_kept(inline, tmp_path, ids):
    def check(input, output):
        folder = folder_of(tmp_path, input, output)
        path = write(ids, folder / input)
        inline(path, folder / output)
        found, given = ids_of(folder / output), ids.to_pylist()
        if output == "out.csv":
            # Parquet knows no whole seconds.
            texts = pa.array(given, stored_type(path)).cast(pa.string()).to_pylist()
            assert found == [text or "" for text in texts]
        else:
            assert found == given

    each(check, input=INPUTS, output=OUTPUTS)


@pytest.mark.slow
def test_views_in_dictionaries(inline, tmp_path):
    values = pa.array(TEXTS[:2], pa.string_view())
    ids = pa.DictionaryArray.from_arrays(pa.array([1, 0, 1]), values)
    path = write(ids, tmp_path / "in.arrow")
    inline(path, tmp_path / "out.csv")
    assert ids_of(tmp_path / "out.csv") == [TEXTS[1], TEXTS[0], TEXTS[1]]


BYTES = pa.array([b"\xff" * 16, b"\xfe" * 16])


@pytest.mark.parametrize(
    "ids",
    [
        BYTES,
        BYTES.cast(pa.binary(16)),
        BYTES.cast(pa.large_binary()),
        pa.array(BYTES.to_pylist(), pa.binary_view()),
        pa.array([uuid.UUID(int=k).bytes for k in (1, 2)], pa.uuid()),
    ],
    ids=lambda ids: str(ids.type),
)
def test_bytes_do_not_go_into_text(inline, tmp_path, ids):
    def check(input, output):
        folder = folder_of(tmp_path, input, output)
        path = write(ids, folder / input)
        if output != "out.csv":
            inline(path, folder / output)
            assert ids_of(folder / output) == ids.to_pylist()
            return
        with pytest.raises(InputError) as caught:
            inline(path, folder / output)
        text = str(caught.value)
        assert f"INPUT = {path}: column id is " in text
        told = "which a .csv file cannot hold. Make the ids numbers or texts, or"
        assert told in text
        assert list(folder.iterdir()) == [path]

    each(check, input=INPUTS, output=OUTPUTS)


def test_types_that_nothing_can_hold(inline, tmp_path):
    ids = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    path = write(ids, tmp_path / "in.arrow")
    told = "column id is month_day_nano_interval, which"

    def check(output):
        with pytest.raises(InputError, match=told):
            inline(path, tmp_path / output)
        assert list(tmp_path.iterdir()) == [path]

    each(check, output=OUTPUTS)


def test_files_of_several_layouts(inline, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    kinds = (pa.string(), pa.string_view(), pa.large_string())
    for k, kind in enumerate(kinds):
        write(pa.array([f"{k}"], kind), folder / f"{k}.parquet")
    inline(folder, tmp_path / "out.csv")
    assert ids_of(tmp_path / "out.csv") == ["0", "1", "2"]
