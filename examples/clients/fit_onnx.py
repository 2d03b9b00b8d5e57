"""Fits a matrix to eigenvalues with ONNX Runtime and NumPy only.

    python fit_onnx.py MODEL.onnx INITIAL TARGETS [MAX_STEPS [TOLERANCE]]
    python fit_onnx.py models/springs/1/onnx/fit_float64.onnx 1,1,1 0.8,2.5,4.5

Prints every output on a line: its name, then its numbers; a result of 0 (the targets
are met) or 6 (a least-squares minimum) is a success. Without a TOLERANCE, or with 0, it
is the default, relative to the targets.
"""

import sys

import numpy as np
import onnxruntime


def main(
    model: str,
    initial: str,
    targets: str,
    max_steps: str = "1000",
    tolerance: str = "0",
) -> None:
    """Loads the model, runs one fit and prints it."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    real = np.float32 if "float)" in session.get_inputs()[0].type else np.float64
    inputs = {
        "initial": np.array([initial.split(",")], real),
        "targets": np.array([targets.split(",")], real),
        "tolerance": np.array([tolerance], real),
        "max_steps": np.array([max_steps], np.int32),
    }
    names = [output.name for output in session.get_outputs()]
    for name, array in zip(names, session.run(names, inputs), strict=True):
        print(name, *(repr(x.item()) for x in array.ravel()))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
