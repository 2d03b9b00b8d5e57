"""Compares a new model with what TensorFlow and NumPy compute."""

from __future__ import annotations

from typing import Any

from eigenfit_export.onnx.check import Session
from eigenfit_export.onnx.programs import Program
from eigenfit_export.probes.stored import Probe
from eigenfit_export.verification.runner import difference, with_products


def compare(program: Program, model: Any, probe: Probe) -> float:
    """Runs a model on a batch with one bad member.

    Args:
        program: Program that the model was converted from.
        model: The model, or the path of its file.
        probe: Its inputs and expected outputs; see `onnx_probes`.

    Returns:
        The largest difference of an output, as a multiple of its tolerance.

    Raises:
        ValueError: If it is above 1; the message names the output.
    """
    inputs = {spec.name: probe.inputs[spec.name] for spec in program.inputs}
    found = with_products(Session(model).run(**inputs))
    worst = 0.0
    for name, expected in probe.outputs.items():
        apart = difference(found[name], expected, probe.allowed.get(name, 0.0))
        if not apart.ratio <= 1:
            raise ValueError(
                f"{program.file_name} gives another `{name}` in ONNX Runtime than in "
                f"TensorFlow: it differs by {apart.found:.1e}, allowed is "
                f"{apart.allowed:.1e}."
            )
        worst = max(worst, apart.ratio)
    return worst
