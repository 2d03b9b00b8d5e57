"""`Alternating`: bursts of Newton and Levenberg-Marquardt steps in turn."""

from eigenfit.methods.bursts.alternating import Alternating

__all__ = ["Alternating"]
