"""Runs what was exported in fresh processes, against the answers stored with it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_export.manifest import (
    MANIFEST,
    PROBES,
    check_manifest,
    digest,
    files_in,
    read_manifest,
)
from eigenfit_export.probe_runner import RUNTIMES
from eigenfit_export.versions import is_version

_TIMEOUT = 600.0
"""Seconds that one artefact may take."""

_RUNNER = Path(__file__).with_name("probe_runner.py")


@dataclass(frozen=True)
class Finding:
    """What was found of one artefact.

    Attributes:
        artefact: Its path, from the folder that was asked for.
        runtime: What ran it.
        status: `ok`, `differs`, `damaged`, `failed` or `not run`.
        num_checks: How many functions, or files, were looked at.
        worst: Difference of the function that comes nearest to its tolerance, or
            exceeds it most, relative to the largest number of the output; None if
            nothing was compared.
        tolerance: Of that function.
        seconds: Time taken by loading and running.
        detail: What is wrong, a line for each function or file.
    """

    artefact: str
    runtime: str
    status: str
    num_checks: int = 0
    worst: float | None = None
    tolerance: float | None = None
    seconds: float = 0.0
    detail: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether something is wrong; what was not run is not."""
        return self.status in ("differs", "damaged", "failed")


def verify_export(
    path: str | os.PathLike[str],
    progress: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Checks digests and numbers of all artefacts of an export.

    Each artefact is loaded by its own runtime in a process that knows nothing of
    eigenfit, and calls every function with the input stored when it was exported. An
    artefact with a damaged file is not loaded.

    Args:
        path: Folder of a version, or the one above for all versions.
        progress: Told the name of each artefact before it runs.

    Returns:
        A finding for the files of each version, and one for each artefact.

    Raises:
        FileNotFoundError: If there is no export.
    """
    root = Path(path)
    folders = [root]
    if not (root / MANIFEST).is_file():
        children = root.iterdir() if root.is_dir() else ()
        folders = sorted(
            (x for x in children if is_version(x) and x.is_dir()),
            key=lambda x: int(x.name),
        )
    if not folders:
        raise FileNotFoundError(
            f"No export in {root}: it has neither {MANIFEST} nor a version folder such "
            f"as {root / '1'}. Write one with eigenfit export."
        )
    findings: list[Finding] = []
    for folder in folders:
        prefix = "" if folder == root else f"{folder.name}/"
        findings.extend(
            _verify_version(folder, prefix, progress or (lambda name: None))
        )
    return findings


def _verify_version(
    folder: Path, prefix: str, progress: Callable[[str], None]
) -> list[Finding]:
    name = prefix + "files"
    try:
        manifest = read_manifest(folder)
        check_manifest(manifest)
        artefacts = manifest["artefacts"]
        bad = _bad_files(folder, manifest["files"])
    except FileNotFoundError:
        return [Finding(name, "SHA-256", "damaged", detail=(f"no {MANIFEST}",))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [Finding(name, "SHA-256", "damaged", detail=(str(error),))]
    files = Finding(
        name,
        "SHA-256",
        "damaged" if bad else "ok",
        len(manifest["files"]),
        detail=tuple(f"{file}: {what}" for file, what in bad.items()),
    )
    findings = [files]
    for artefact in artefacts:
        own = _own_files(artefact["path"], manifest["files"], artefacts)
        title = prefix + (artefact["path"] if artefact["path"] != "." else "savedmodel")
        runtime = RUNTIMES.get(artefact["kind"])
        if runtime is None:
            detail = (f"no runtime for the kind {artefact['kind']!r}",)
            findings.append(Finding(title, "-", "not run", detail=detail))
        elif any(file in bad for file in (*own, PROBES.as_posix())):
            detail = ("a file that it needs is damaged",)
            findings.append(Finding(title, runtime.title, "not run", detail=detail))
        elif importlib.util.find_spec(runtime.module) is None:
            detail = (f"{runtime.module} is not installed",)
            findings.append(Finding(title, runtime.title, "not run", detail=detail))
        else:
            progress(title)
            findings.append(_run(folder, artefact, title, runtime.title))
    return findings


def _bad_files(folder: Path, known: dict[str, Any]) -> dict[str, str]:
    bad = {}
    present = set(files_in(folder))
    for name, facts in known.items():
        path = folder / name
        if name not in present:
            bad[name] = "missing"
        elif path.stat().st_size != facts["bytes"]:
            bad[name] = f"{path.stat().st_size} bytes, should be {facts['bytes']}"
        elif digest(path) != facts["sha256"]:
            bad[name] = "its digest is not the one in the manifest"
    for name in sorted(present - set(known)):
        bad[name] = "not in the manifest"
    return bad


def _own_files(path: str, files: dict[str, Any], artefacts: list[Any]) -> list[str]:
    # A SavedModel is all that belongs to no other artefact.
    others = {x["path"] for x in artefacts if x["path"] != "."}
    if path == ".":
        return [name for name in files if name not in others]
    return [path]


def _run(folder: Path, artefact: dict[str, Any], title: str, runtime: str) -> Finding:
    checks = artefact["checks"]
    command = [
        sys.executable,
        str(_RUNNER),
        artefact["kind"],
        str(folder / artefact["path"]),
        str(folder / PROBES),
    ]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(checks),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
            env=quiet,
        )
    except subprocess.TimeoutExpired:
        detail = (f"no answer within {_TIMEOUT:.0f} s",)
        return Finding(title, runtime, "failed", detail=detail)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Finding(title, runtime, "failed", detail=(lines[-1],))
    answer = json.loads(done.stdout)
    return _judged(title, runtime, checks, answer)


def _judged(
    title: str, runtime: str, checks: list[Any], answer: dict[str, Any]
) -> Finding:
    rows = list(zip(checks, answer["rows"], strict=True))
    failed = tuple(
        f"{row['function']}: {row['error']}" for _, row in rows if row["error"]
    )
    compared = [(check["tolerance"], row) for check, row in rows if not row["error"]]
    differing = tuple(
        f"{row['function']}: differs by {row['worst']:.1e}, allowed {tolerance:.0e}"
        for tolerance, row in compared
        if not row["worst"] <= tolerance
    )
    worst, tolerance = max(
        ((row["worst"], tolerance) for tolerance, row in compared),
        key=lambda pair: pair[0] / pair[1],
        default=(None, None),
    )
    status = "failed" if failed else "differs" if differing else "ok"
    seconds = answer["load_seconds"] + sum(row["seconds"] for _, row in rows)
    return Finding(
        title,
        runtime,
        status,
        len(rows),
        worst,
        tolerance,
        seconds,
        failed + differing,
    )
