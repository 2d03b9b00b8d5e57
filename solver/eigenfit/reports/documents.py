"""What a fit found as dicts, lists, text and numbers: for JSON, CSV and frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigenfit.reports.record import Record


def document(record: Record) -> dict[str, Any]:
    """Describes one fit by dicts, lists, text and numbers; None where not finite."""
    asked, found = record.question, record.uncertainty
    aic, bic = record.criteria
    fitted = record.agreement
    return without_nan(
        {
            "schema": 1,
            "title": asked.title,
            "problem": asked.problem,
            "method": asked.method,
            "dtype": asked.dtype,
            "result": record.result.name,
            "success": record.result.is_success,
            "text": record.result.text,
            "num_steps": record.num_steps,
            "loss": record.loss,
            "seconds": record.seconds,
            "num_data": asked.num_data,
            "num_unknowns": len(asked.names),
            "chi_square": None if found is None else float(found.chi_square),
            "degrees_of_freedom": (
                None if found is None else int(found.degrees_of_freedom)
            ),
            "probability": None if fitted is None else fitted.probability,
            "aic": aic,
            "bic": bic,
            "losses": list(asked.losses),
            "outliers": record.outlier_names,
            "note": record.note,
            "family_dimension": record.family,
            "undetermined": record.undetermined,
            "parameters": parameter_rows(record),
            "correlations": [] if found is None else found.correlation.tolist(),
            "data": data_rows(record),
            "eigenvalues": {
                label: w.tolist()
                for label, w in zip(asked.labels, record.levels, strict=True)
            },
        }
    )


def parameter_rows(record: Record) -> list[dict[str, Any]]:
    """Lists the parameters: name, value, error, relative error, start, note."""
    asked, found = record.question, record.uncertainty
    errors = record.errors
    held = np.zeros_like(errors) if found is None else found.all_on_bounds
    return [
        {
            "name": name,
            "value": float(x),
            "standard_error": float(error),
            "relative_error": float(error / abs(x)) if x else np.nan,
            "start": float(start),
            "note": _held(note, error, bool(side)),
        }
        for name, x, error, side, start, note in zip(
            asked.all_names,
            record.parameters,
            errors,
            held,
            record.initial,
            asked.notes,
            strict=True,
        )
    ]


def _held(note: str, error: float, on_bound: bool) -> str:
    held = "at bound" if on_bound else "not determined" if np.isinf(error) else ""
    return ", ".join(filter(None, [held, note]))


def data_rows(record: Record) -> list[dict[str, Any]]:
    """Lists the data: name, unit, target, calculated, deviation and flag of each."""
    asked, flags = record.question, record.flags
    units = asked.target_units
    return [
        {
            "name": asked.target_names[k],
            "unit": units[k],
            "target": float(record.targets[k]),
            "calculated": float(record.values[k]),
            "difference": float(record.differences[k]),
            "sigma": float(asked.sigma[k]),
            "weight": float(asked.weights[k]),
            "in_sigmas": float(record.deviations[k]),
            "flag": flags[k],
        }
        for k in range(len(record.targets))
    ]


def without_nan(value: Any) -> Any:
    """Replaces NaN and infinity by None, which JSON can hold, in dicts and lists.

    Example:
        >>> without_nan({"errors": [0.1, float("inf")]})
        {'errors': [0.1, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_nan(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
