"""What computes the spectra of a problem's matrices, and their derivatives."""

from __future__ import annotations

import abc
import copy
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from eigenfit.observations import Levels
from eigenfit.problem.blocks import Block
from eigenfit.problem.evaluations import Evaluation
from eigenfit.problem.terms import Terms
from eigenfit.problem.units import Unit
from eigenfit.problem.unknowns.priors import PriorRows
from eigenfit.problem.unknowns.ties import Ties


class Question(NamedTuple):
    """What a problem asks: of which matrices, how observed, in which unknowns."""

    blocks: tuple[Block, ...]
    terms: Terms
    ties: Ties = Ties()
    prior: PriorRows | None = None
    unit: Unit = Unit()


_Engine = TypeVar("_Engine", bound="AbstractEngine")


class AbstractEngine(abc.ABC):
    """Evaluates a problem, given as a `Question`; see `Problem` for its functions.

    Parameters `[..., p]` and targets `[..., m]` are tensors of the problem's dtype.

    Args:
        asked: What the problem asks.

    """

    def __init__(self, asked: Question) -> None:
        self.asked = asked
        orders = [block.structure.order for block in asked.blocks]
        self._starts = np.cumsum([0, *orders]).tolist()

    @property
    def observation(self) -> Levels | None:
        """The levels observed, if they are all that is; else None."""
        return None

    def replace(self: _Engine, **changes: Any) -> _Engine:
        """Returns the same engine with other `terms` or another `unit`."""
        own = copy.copy(self)
        own.asked = self.asked._replace(**changes)
        return own

    def split(self, levels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Splits levels `[..., N]` by block: `[..., n]` each."""
        pairs = zip(self._starts[:-1], self._starts[1:], strict=True)
        return tuple(levels[..., a:b] for a, b in pairs)

    def of_block(self, levels: tf.Tensor) -> Callable[[int | None], tf.Tensor]:
        """Returns a function for the levels of a block; None gives all of them."""
        blocks = self.split(levels)
        return lambda block: levels if block is None else blocks[block]

    def modes_of(self, r: tf.Tensor, vectors: Any) -> Callable[[int], tf.Tensor]:
        """Returns a function for the mode shapes of a block, `[..., n, n]` in columns.

        Args:
            r: `[..., P]`, the parameters of the matrices.
            vectors: Eigenvectors, as `decompose` returns them.
        """

        def modes(block: int) -> tf.Tensor:
            V = self.eigenvectors_of(block, vectors)
            return self.asked.blocks[block].structure.modes(r, V)

        return modes

    def evaluate(self, parameters: tf.Tensor, targets: tf.Tensor) -> Evaluation:
        """Decomposes the matrices and compares their values with targets."""
        return self.compare(parameters, *self.decompose(parameters), targets)

    @abc.abstractmethod
    def norms(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        """Bounds the levels of each block: `[..., 1]`."""

    @abc.abstractmethod
    def squared_norms(self) -> np.ndarray | None:
        """Returns `|dA/dr_k|^2`, `[p]`, if they are the squared scales of unknowns."""

    @abc.abstractmethod
    def decompose(self, parameters: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Computes all levels, `[..., N]`, and the eigenvectors."""

    @abc.abstractmethod
    def eigenvectors_of(self, block: int, vectors: Any) -> tf.Tensor:
        """Takes those of a block, `[..., n, n]`, from the result of `decompose`."""

    @abc.abstractmethod
    def compare(
        self, parameters: tf.Tensor, levels: tf.Tensor, vectors: Any, targets: tf.Tensor
    ) -> Evaluation:
        """Compares a known decomposition with targets."""

    @abc.abstractmethod
    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes all levels, `[..., N]`; differentiable twice."""

    @abc.abstractmethod
    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the loss, `[...]`; differentiable."""

    @abc.abstractmethod
    def level_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivatives of all levels, `[..., N, p]`."""

    @abc.abstractmethod
    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the Jacobian of the residual, `[..., m + q, p]`."""

    @abc.abstractmethod
    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`."""

    @abc.abstractmethod
    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Computes the Hessian of the loss, `[..., p, p]`."""

    @abc.abstractmethod
    def hessian_vector_product_at(
        self, point: Evaluation, targets: tf.Tensor, vector: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Computes the product of the Hessian with a vector: `[..., p]`."""

    @abc.abstractmethod
    def at_kink(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members are where the loss has no gradient: `[...]`."""
