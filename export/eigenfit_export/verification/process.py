"""Starts the processes that run artefacts, and judges their answers."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from eigenfit_export.manifest import PROBES
from eigenfit_export.verification.finding import Finding
from eigenfit_export.verification.runner import RUNTIMES

TIMEOUT = 600.0
"""Time limit for one artefact, in seconds."""

_RUNNER = Path(__file__).with_name("runner.py")


def run_artefacts(
    folder: Path, artefacts: list[dict[str, Any]], progress: Callable[[str], None]
) -> list[Finding]:
    """Runs artefacts of one kind, one after the other in one process.

    One that crashes the process gets a finding, and a new process runs the rest.

    Args:
        folder: Folder of their version.
        artefacts: Entries of its manifest, each with a `title`.
        progress: Called with the title of each before it runs.
    """
    findings: list[Finding] = []
    while len(findings) < len(artefacts):
        findings += _run(folder, artefacts[len(findings) :], progress)
    return findings


def _run(
    folder: Path, artefacts: list[dict[str, Any]], progress: Callable[[str], None]
) -> list[Finding]:
    # Findings of all of them, or of those up to the first that ended the process.
    kind = artefacts[0]["kind"]
    runtime = RUNTIMES[kind].title
    request = [
        {"path": str(folder / x["path"]), "checks": x["checks"]} for x in artefacts
    ]
    findings: list[Finding] = []
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, str(_RUNNER), kind, str(folder / PROBES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        assert process.stdin
        assert process.stdout
        try:
            lines = _lines(process.stdout)
            process.stdin.write(json.dumps(request))
            process.stdin.close()
            for artefact in artefacts:
                title = artefact["title"]
                progress(title)
                try:
                    line = lines.get(timeout=TIMEOUT)
                except queue.Empty:
                    detail = (f"no answer within {TIMEOUT:.0f} s",)
                    return [*findings, Finding(title, runtime, "failed", detail=detail)]
                if line is None:
                    detail = (_last_words(log, process.wait()),)
                    return [*findings, Finding(title, runtime, "failed", detail=detail)]
                findings.append(_judged(artefact, runtime, json.loads(line)))
        except BrokenPipeError:
            detail = (_last_words(log, process.wait()),)
            title = artefacts[len(findings)]["title"]
            return [*findings, Finding(title, runtime, "failed", detail=detail)]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    return findings


def _lines(stream: IO[str]) -> queue.SimpleQueue[str | None]:
    # A queue of whole lines, then None.
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stream:
            if line.endswith("\n"):
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _last_words(log: IO[bytes], code: int) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {code}"


def _judged(artefact: dict[str, Any], runtime: str, answer: dict[str, Any]) -> Finding:
    title = artefact["title"]
    if answer["error"]:
        return Finding(title, runtime, "failed", detail=(answer["error"],))
    rows = answer["rows"]
    failed = tuple(f"{x['function']}: {x['error']}" for x in rows if x["error"])
    compared = [x for x in rows if not x["error"]]
    differing = tuple(
        f"{x['function']}: {x['output']} differs by {x['worst']:.1e}, allowed "
        f"{x['allowed']:.1e}"
        for x in compared
        if not x["ratio"] <= 1
    )
    nearest = max(compared, key=lambda x: x["ratio"], default=None)
    return Finding(
        title,
        runtime,
        "failed" if failed else "differs" if differing else "ok",
        len(rows),
        nearest["worst"] if nearest else None,
        nearest["allowed"] if nearest else None,
        answer["load_seconds"] + sum(x["seconds"] for x in rows),
        failed + differing,
    )
