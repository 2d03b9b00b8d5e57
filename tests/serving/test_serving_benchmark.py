import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "serving.py"


@pytest.mark.slow
def test_it_prints_and_writes_what_it_measures(tmp_path):
    file = tmp_path / "serving.json"
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--quick", "--json", file],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    rows = {(x["way"], x["clients"]) for x in document["load"]}
    expected = {(way, clients) for way in ("gRPC", "REST") for clients in (1, 8)}
    assert rows == {("in process", 1)} | expected
    assert all(0 < x["p50"] <= x["p99"] and x["rate"] > 0 for x in document["load"])
    [turn] = document["turns"]
    assert turn["in process"] < turn["gRPC"]
    for text in ("requests/s", "empty call of gRPC", "goal: below 1 ms"):
        assert text in done.stdout
