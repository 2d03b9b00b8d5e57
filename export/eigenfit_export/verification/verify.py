"""Runs an export in fresh processes and compares it with its stored answers."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eigenfit_export.loading.manifest_reader import (
    FORMAT,
    MANIFEST,
    read_manifest,
)
from eigenfit_export.manifest import PROBES, check_manifest, digest, files_in
from eigenfit_export.verification.finding import Finding
from eigenfit_export.verification.process import run_artefacts
from eigenfit_export.verification.runner import RUNTIMES
from eigenfit_export.versions import is_version

_OLDER = (
    "An older eigenfit wrote this export, whose probes have no tolerances that can be "
    "relied on. Export again."
)


def verify_export(
    path: str | os.PathLike[str],
    progress: Callable[[str], None] | None = None,
) -> list[Finding]:
    """Checks the digests and numbers of all artefacts of an export.

    Artefacts are loaded by their own runtime, in a process that never imports eigenfit
    and calls every function with the input stored at export. An artefact with a
    damaged file is not loaded.

    Args:
        path: Folder of a version, or the one above it for all versions.
        progress: Called with the name of each artefact before it runs.

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
        if manifest["format"] < FORMAT:
            return [Finding(name, "SHA-256", "failed", detail=(_OLDER,))]
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
    found: dict[str, Finding] = {}
    usable: dict[str, list[dict[str, Any]]] = {}
    for artefact in artefacts:
        own = _own_files(artefact["path"], manifest["files"], artefacts)
        title = prefix + (artefact["path"] if artefact["path"] != "." else "savedmodel")
        artefact["title"] = title
        runtime = RUNTIMES.get(artefact["kind"])
        reason = None
        if runtime is None:
            reason = f"no runtime for the kind {artefact['kind']!r}"
        elif any(file in bad for file in (*own, PROBES.as_posix())):
            reason = "a file that it needs is damaged"
        elif importlib.util.find_spec(runtime.module) is None:
            reason = f"{runtime.module} is not installed"
        if reason is None:
            usable.setdefault(artefact["kind"], []).append(artefact)
        else:
            shown = runtime.title if runtime else "-"
            found[title] = Finding(title, shown, "not run", detail=(reason,))
    # One process per runtime, side by side.
    with ThreadPoolExecutor(max(1, len(usable))) as pool:
        for findings in pool.map(
            lambda kind: run_artefacts(folder, usable[kind], progress), usable
        ):
            found |= {x.artefact: x for x in findings}
    return [files, *(found[x["title"]] for x in artefacts)]


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
    # A SavedModel owns every file that belongs to no other artefact.
    others = {x["path"] for x in artefacts if x["path"] != "."}
    if path == ".":
        return [name for name in files if name not in others]
    return [path]
