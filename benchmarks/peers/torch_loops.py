"""PyTorch loops with automatic derivatives: what people write first."""

from __future__ import annotations

import numpy as np
import torch
from problems import SOLVED, Data


class _Loop:
    """A loss in PyTorch, float64."""

    def __init__(self, data: Data, starts: np.ndarray) -> None:
        self.count = len(starts)
        self._starts = torch.tensor(starts)
        self._targets, self._scale = (
            torch.tensor(data.targets),
            torch.tensor(data.scale),
        )
        self._basis, self._offset = torch.tensor(data.basis), torch.tensor(data.offset)
        self._index = torch.tensor(data.index) if data.kind == "packed" else None

    def _losses(self, r: torch.Tensor) -> torch.Tensor:
        if self._index is not None:
            A = r[..., self._index]
        else:
            A = self._offset + torch.tensordot(r, self._basis, 1)
        levels = torch.linalg.eigh(A)[0]
        return (((levels - self._targets) / self._scale) ** 2).sum(dim=-1)


class Adam(_Loop):
    """Adam, learning rate 0.01, all starts of the sample in one batch."""

    title = "PyTorch Adam"

    def __init__(self, data: Data, starts: np.ndarray, max_steps: int) -> None:
        super().__init__(data, starts)
        self._max_steps = max_steps

    def run(self) -> np.ndarray:
        """Makes steps until all are solved or the limit is reached."""
        r = self._starts.clone().requires_grad_()
        optimiser = torch.optim.Adam([r], lr=1e-2)
        for _ in range(self._max_steps):
            optimiser.zero_grad()
            losses = self._losses(r)
            if (losses <= SOLVED**2).all():
                break
            losses.sum().backward()
            optimiser.step()
        return r.detach().numpy()


class LBFGS(_Loop):
    """L-BFGS with a strong Wolfe search, one start after the other."""

    title = "PyTorch L-BFGS"

    def run(self) -> np.ndarray:
        """Solves from each of the starts."""
        return np.stack([self._solve(start) for start in self._starts])

    def _solve(self, start: torch.Tensor) -> np.ndarray:
        r = start.clone().requires_grad_()
        optimiser = torch.optim.LBFGS(
            [r],
            max_iter=256,
            tolerance_grad=1e-11,
            tolerance_change=1e-30,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimiser.zero_grad()
            loss = self._losses(r)
            loss.backward()
            return loss

        optimiser.step(closure)
        return r.detach().numpy()
