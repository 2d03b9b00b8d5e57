"""Writes and reads SavedModels in the layout of TensorFlow Serving."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from typing import Any

import tensorflow as tf

import eigenfit
from eigenfit import Gradient, Solution, Solver
from eigenfit.batching import batch_rank, flatten, unflatten
from eigenfit.validation import as_tensor, broadcast_batch
from eigenfit_export.signatures import SERVING_DEFAULT, signatures_of

MANIFEST = pathlib.PurePath("assets.extra", "eigenfit.json")


def save_model(solver: Solver, base_path: str | os.PathLike[str]) -> pathlib.Path:
    """Writes a solver as the next version below a folder, all at once.

    The model is written beside its place and then renamed, so that a server that
    watches the folder never sees half of it.

    Args:
        solver: What to export.
        base_path: Folder of the versions `1`, `2`, ...; made if missing.

    Returns:
        The folder of the new version.

    Raises:
        TypeError: If `solver` is not a Solver.
        OSError: If the folder cannot be written.
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"`solver` must be an eigenfit.Solver, got {solver!r}.")
    base = pathlib.Path(base_path)
    base.mkdir(parents=True, exist_ok=True)
    staging = pathlib.Path(tempfile.mkdtemp(prefix=".eigenfit-", dir=base))
    try:
        _write(solver, staging / "model")
        while True:
            # Every entry with a number counts, also a file or an unfinished folder.
            version = base / str(max(_versions(base), default=0) + 1)
            try:
                # Fails if another process took this number in the meantime.
                os.rename(staging / "model", version)
            except OSError:
                if not version.exists():
                    raise
                continue
            return version
    finally:
        shutil.rmtree(staging)


def load_model(path: str | os.PathLike[str]) -> LoadedSolver:
    """Reads a solver back.

    Args:
        path: The folder of a version, or the one above, for the newest version.

    Raises:
        FileNotFoundError: If there is no model.
        ValueError: If it is a SavedModel of something else.
    """
    folder = pathlib.Path(path)
    if not (folder / "saved_model.pb").is_file():
        versions = {
            int(child.name): child
            for child in (folder.iterdir() if folder.is_dir() else ())
            if _is_version(child) and (child / "saved_model.pb").is_file()
        }
        if not versions:
            raise FileNotFoundError(
                f"No SavedModel in {folder}: it has neither saved_model.pb nor a "
                f"version folder such as {folder / '1'}. Write one with save_model."
            )
        folder = versions[max(versions)]
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise ValueError(
            f"{folder} is not a model of eigenfit: it has no {MANIFEST}. Write one "
            f"with save_model."
        ) from None
    return LoadedSolver(tf.saved_model.load(str(folder)), manifest)


class LoadedSolver:
    """The functions of a Solver, read from a SavedModel.

    Attributes:
        signatures: The exported functions by name; see `signatures_of`.
        manifest: What the model was made from.
    """

    def __init__(self, model: Any, manifest: dict[str, Any]) -> None:
        self._model = model  # keeps alive what the functions capture
        self.signatures = dict(model.signatures)
        self.manifest = manifest

    def fit(
        self,
        initial: Any,
        targets: Any,
        *,
        tolerance: Any = 1e-8,
        max_steps: Any = None,
    ) -> Solution:
        """Fits parameters to targets; see `eigenfit.Solver.fit`.

        Targets that do not ascend, and limits out of range, give
        `Result.invalid_input` for their member.
        """
        if max_steps is None:
            max_steps = self.manifest["default_max_steps"]
        answer = self._call(
            SERVING_DEFAULT,
            initial=initial,
            targets=targets,
            tolerance=tolerance,
            max_steps=max_steps,
        )
        return Solution(**answer)

    def eigenvalues(self, parameters: Any) -> tf.Tensor:
        """Computes `[..., n]` from `[..., p]`; see `eigenfit.Solver.eigenvalues`."""
        return self._call("eigenvalues", parameters=parameters)["eigenvalues"]

    def gradient(self, parameters: Any, targets: Any) -> Gradient:
        """Computes loss, gradient, eigenvalues; see `eigenfit.Solver.gradient`."""
        return Gradient(
            **self._call("gradient", parameters=parameters, targets=targets)
        )

    def init(self, initial: Any, targets: Any) -> dict[str, tf.Tensor]:
        """Starts the method: its state, by name; see `eigenfit.Solver.init`."""
        return self._call("init", initial=initial, targets=targets)

    def step(self, state: dict[str, tf.Tensor], targets: Any) -> dict[str, tf.Tensor]:
        """Makes one step of the method; see `eigenfit.Solver.step`."""
        return self._call("step", **state, targets=targets)

    def _call(self, name: str, **arguments: Any) -> dict[str, tf.Tensor]:
        function = self.signatures[name]
        named: dict[str, tuple[tf.Tensor, int]] = {}
        for key, spec in function.structured_input_signature[1].items():
            event = spec.shape[1:]
            last = event[-1] if event.rank else None
            value = as_tensor(key, arguments[key], spec.dtype, last)
            named[key] = (value, event.rank)
        batch, values = broadcast_batch(**named)
        flat = flatten(values, batch_rank(batch))
        return unflatten(function(**dict(zip(named, flat, strict=True))), batch)


def _write(solver: Solver, folder: pathlib.Path) -> None:
    module = tf.Module()
    functions = {
        signature.name: tf.function(
            signature.function, input_signature=signature.inputs, autograph=False
        )
        for signature in signatures_of(solver)
    }
    # Kept on the module: a SavedModel stores what is reachable from it.
    module.functions = functions
    tf.saved_model.save(module, str(folder), signatures=functions)
    problem = solver.problem
    manifest = {
        "eigenfit": eigenfit.__version__,
        "tensorflow": tf.__version__,
        "problem": repr(problem),
        "method": repr(solver.method),
        "order": problem.order,
        "num_parameters": problem.num_parameters,
        "num_targets": problem.num_targets,
        "parameter_dtype": problem.parameter_dtype.name,
        "default_max_steps": solver.method.default_max_steps,
    }
    path = folder / MANIFEST
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(manifest, indent=2) + "\n")


def _versions(base: pathlib.Path) -> list[int]:
    return [int(child.name) for child in base.iterdir() if _is_version(child)]


def _is_version(path: pathlib.Path) -> bool:
    return path.name.isascii() and path.name.isdigit()
