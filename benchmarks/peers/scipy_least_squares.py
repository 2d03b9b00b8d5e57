"""scipy.optimize.least_squares with the exact Jacobian, one start after the other."""

from __future__ import annotations

import numpy as np
from problems import Data
from scipy.optimize import least_squares


class LeastSquares:
    """MINPACK's Levenberg-Marquardt, or `dogbox` where it has too few residuals.

    (`trf` takes ten times as many evaluations there.) One decomposition serves the
    residual and the Jacobian of a point.
    """

    def __init__(self, data: Data, starts: np.ndarray) -> None:
        self.count = len(starts)
        self._data, self._starts = data, starts
        self._method = "lm" if data.order >= data.basis.shape[0] else "dogbox"
        self.title = f"SciPy least_squares ({self._method})"

    def run(self) -> np.ndarray:
        """Solves from each of the starts."""
        return np.stack([self._solve(start) for start in self._starts])

    def _solve(self, start: np.ndarray) -> np.ndarray:
        data, kept = self._data, {}

        def decompose(r):
            key = r.tobytes()
            if key not in kept:
                kept.clear()
                kept[key] = np.linalg.eigh(data.assemble(r))
            return kept[key]

        return least_squares(
            lambda r: (decompose(r)[0] - data.targets) / data.scale,
            start,
            lambda r: data.jacobian(decompose(r)[1]),
            method=self._method,
            ftol=1e-15,
            xtol=1e-10 if self._method == "lm" else 1e-15,
            # For "lm" a cosine, for the other the gradient itself.
            gtol=1e-15 if self._method == "lm" else 1e-11,
        ).x
