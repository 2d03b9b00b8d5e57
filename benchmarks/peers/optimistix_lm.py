"""JAX with optimistix.LevenbergMarquardt, compiled, mapped over the starts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
from problems import Data

jax.config.update("jax_enable_x64", True)


class Optimistix:
    """`jit(vmap(least_squares))` in float64, all starts at once.

    Of the tolerances 1e-5, 1e-7 and 1e-10 for its last step and loss, the last was the
    quickest that solved most, and the Jacobian taken backwards as quick as forwards.
    """

    title = "JAX + optimistix LM"

    def __init__(self, data: Data, tolerance: float = 1e-10, jac: str = "bwd") -> None:
        self.count = len(data.starts)
        targets, scale = jnp.asarray(data.targets), jnp.asarray(data.scale)
        basis, offset = jnp.asarray(data.basis), jnp.asarray(data.offset)

        def residual(r, _):
            if data.kind == "packed":
                A = r[data.index]
            elif data.kind == "additive":
                A = offset + jnp.diag(r)
            else:
                A = offset + jnp.tensordot(r, basis, 1)
            return (jnp.linalg.eigvalsh(A) - targets) / scale

        method = optimistix.LevenbergMarquardt(rtol=tolerance, atol=tolerance)

        def solve(r):
            return optimistix.least_squares(
                residual,
                method,
                r,
                options={"jac": jac},
                max_steps=256,
                throw=False,
            ).value

        self._starts = jnp.asarray(data.starts)
        if self.count == 1:
            self._starts = self._starts[0]
            self._solve = jax.jit(solve)
        else:
            self._solve = jax.jit(jax.vmap(solve))

    def run(self) -> np.ndarray:
        """Solves from all starts."""
        return np.asarray(self._solve(self._starts)).reshape([self.count, -1])
