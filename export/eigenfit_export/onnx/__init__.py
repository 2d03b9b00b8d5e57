"""Export to ONNX: the eigensolver, its derivatives and the whole fit."""

from eigenfit_export.onnx.save import FUNCTIONS, save_onnx

__all__ = ["FUNCTIONS", "save_onnx"]
