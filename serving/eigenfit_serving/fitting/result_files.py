"""Writes the result files of a fit: .json and .npz."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.fitting.outcome import ARRAYS, Outcome
from eigenfit_serving.problem_file.reading import ProblemFile
from eigenfit_serving.protocol.result_codes import Result


def as_document(outcome: Outcome) -> dict[str, Any]:
    """Converts an outcome for `result.json`: nested dicts, lists and scalars only."""
    content, uncertainty = outcome.content, outcome.uncertainty
    names = content.parameters.all_names(outcome.all_parameters.shape[-1])
    return {
        "schema": 1,
        "title": content.title,
        "targets": content.targets.tolist(),
        "target_names": content.target_names,
        "weights": content.weights.tolist(),
        "parameter_names": content.unknowns.names,
        "success": outcome.success,
        "converged": outcome.converged,
        "best": outcome.best,
        "solutions": [
            {
                "initial": outcome.initial[start].tolist(),
                "parameters": outcome.parameters[start].tolist(),
                "all_parameters": dict(
                    zip(names, outcome.all_parameters[start].tolist(), strict=True)
                ),
                "values": outcome.values[start].tolist(),
                **_by_block(outcome, start),
                "loss": outcome.loss[start].item(),
                "num_steps": outcome.num_steps[start].item(),
                "result": outcome.result_names[start],
                "text": outcome.result_texts[start],
            }
            for start in range(len(outcome.loss))
        ],
        "distinct": _distinct(outcome),
        "uncertainty": None if uncertainty is None else _uncertainty(outcome),
        "undetermined": outcome.undetermined,
        "outliers": outcome.record.outlier_names,
        "seconds": round(outcome.seconds, 3),
        "settings": settings_of(outcome),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


_PACKAGES = ("eigenfit", "tensorflow", "numpy")


def _by_block(outcome: Outcome, start: int) -> dict[str, Any]:
    """Returns matrix and levels; by label if there are several blocks."""
    matrices = {k: _numbers(A[start]) for k, A in outcome.matrices.items()}
    levels = {k: w[start].tolist() for k, w in outcome.levels.items()}
    if len(matrices) == 1:
        [matrix], [own] = matrices.values(), levels.values()
        return {"matrix": matrix, "eigenvalues": own}
    return {"matrices": matrices, "eigenvalues": levels}


def _numbers(array: np.ndarray) -> Any:
    """Converts an array to the notation of problem files."""
    if np.iscomplexobj(array):
        return {"real": np.real(array).tolist(), "imag": np.imag(array).tolist()}
    return array.tolist()


def _distinct(outcome: Outcome) -> list[dict[str, Any]] | None:
    """Returns the distinct solutions, with the starts that led to each."""
    found = outcome.distinct
    if found is None:
        return None
    return [
        {
            "parameters": found.parameters[k].tolist(),
            "loss": found.loss[k].item(),
            "result": Result(int(found.result[k])).name,
            "starts": np.flatnonzero(found.labels == k).tolist(),
            "family_dimension": int(found.family_dimension[k]),
            "copies": int(found.copies[k]),
        }
        for k in range(len(found.loss))
    ]


def _uncertainty(outcome: Outcome) -> dict[str, Any]:
    found = outcome.uncertainty
    assert found is not None
    fitted = outcome.agreement
    return {
        "scale": found.scale,
        "standard_errors": found.standard_errors.tolist(),
        "all_standard_errors": dict(
            zip(found.all_names, found.all_standard_errors.tolist(), strict=True)
        ),
        "correlation": found.correlation.tolist(),
        "chi_square": float(found.chi_square),
        "degrees_of_freedom": int(found.degrees_of_freedom),
        "reduced_chi_square": float(found.reduced_chi_square),
        "probability": None if fitted is None else fitted.probability,
        "rank": int(found.rank),
        "num_undetermined": int(found.num_undetermined),
        "on_bounds": found.on_bounds.tolist(),
    }


def settings_of(outcome: Outcome) -> dict[str, Any]:
    """Returns the settings that were used, with defaults and "auto" resolved."""
    content = outcome.content
    fit, start = content.fit, content.start
    options = getattr(fit, outcome.method.replace("-", "_"), None)
    random = start.parameters is None
    return {
        "blocks": [
            {
                "label": matrix.label,
                "kind": matrix.structure.kind,
                "order": matrix.structure.order,
                "num_parameters": matrix.structure.num_parameters,
            }
            for matrix in content.matrices
        ],
        "start": _start(content),
        "method": outcome.method,
        "method_options": options.model_dump() if options else {},
        "tolerance": fit.tolerance,
        "max_steps": outcome.max_steps,
        "starts": len(outcome.loss),
        "seed": fit.seed if random else None,
        "dtype": fit.dtype,
    }


def _start(content: ProblemFile) -> dict[str, Any]:
    document = content.start.build(content.unknowns).document()
    document.pop("parameters", None)
    # One number if all are the same.
    return {
        name: x[0] if isinstance(x, list) and len(set(x)) == 1 else x
        for name, x in document.items()
    }


def write_json(outcome: Outcome, path: Path) -> None:
    """Writes `result.json`: strict JSON, with null for NaN and infinity."""
    from eigenfit.reports.documents import without_nan

    text = json.dumps(
        without_nan(as_document(outcome)),
        allow_nan=False,
        ensure_ascii=False,
        indent=1,
    )
    path.write_text(text + "\n", encoding="utf-8")


def write_npz(outcome: Outcome, path: Path) -> None:
    """Writes the arrays of the outcome, `[s, ...]`, and the rest as JSON in `meta`.

    Several matrices are named by the label of their block: `matrix_J2`.
    """
    from eigenfit.reports.documents import without_nan

    document = without_nan(as_document(outcome))
    del document["solutions"]
    matrices = {f"matrix_{label}": A for label, A in outcome.matrices.items()}
    if len(matrices) == 1:
        matrices = {"matrix": next(iter(matrices.values()))}
    with path.open("wb") as file:
        np.savez(
            file,
            targets=outcome.content.targets,
            initial=outcome.initial,
            best=outcome.best,
            result_name=np.array(outcome.result_names),
            meta=json.dumps(document),
            all_parameters=outcome.all_parameters,
            values=outcome.values,
            **matrices,
            **{key: getattr(outcome, key) for key in ARRAYS},
        )


WRITERS = {".json": write_json, ".npz": write_npz}
