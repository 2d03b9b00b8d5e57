"""What a problem asks: its matrices, observations and unknowns in figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.observations import AbstractObservation, Levels
from eigenfit.problem.blocks import Block
from eigenfit.problem.engines import AbstractEngine
from eigenfit.problem.evaluations import Evaluation
from eigenfit.problem.terms import Terms
from eigenfit.problem.unknowns.priors import PriorRows
from eigenfit.problem.unknowns.ties import Ties
from eigenfit.problem.unknowns.unknowns import Unknowns
from eigenfit.structures import AbstractStructure


class Facts(Unknowns):
    """The part of a problem that holds without a decomposition.

    Attributes:
        engine: What computes spectra and derivatives.
        labels: One for each block.
        member_weights: `[b, m]`, of the squared deviations; () where those of the
            observations hold. See `Problem.with_weights`.
    """

    engine: AbstractEngine
    labels: tuple[str, ...]
    member_weights: tf.Tensor | tuple[()] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The matrices, each with its observations."""
        return self.engine.asked.blocks

    @property
    def structure(self) -> AbstractStructure:
        """The structure of the first block."""
        return self.blocks[0].structure

    @property
    def observation(self) -> Levels | None:
        """The levels observed of a single matrix, if they are all that is known.

        None if there are several matrices, other observations or priors.
        """
        return self.engine.observation

    def only_levels(self) -> Levels:
        """Returns `observation`, for what cannot do without.

        Raises:
            TypeError: If there are several matrices, other observations or priors.
        """
        if self.observation is None:
            raise TypeError(f"{self!r} does not observe levels of one matrix alone.")
        return self.observation

    @property
    def order(self) -> int:
        """Order n of the matrix, or of the largest one if there are several."""
        return max(block.structure.order for block in self.blocks)

    @property
    def num_levels(self) -> int:
        """Total number N of levels of all matrices."""
        return sum(block.structure.order for block in self.blocks)

    @property
    def target_names(self) -> tuple[str, ...]:
        """Name of the value that is compared with each target, `[m]`."""
        return self.observed.names

    @property
    def num_targets(self) -> int:
        """Number m of targets."""
        return self.observed.num_targets

    @property
    def parameter_dtype(self) -> tf.DType:
        """The real dtype of parameters, targets, eigenvalues and loss."""
        return self.structure.parameter_dtype

    @property
    def observed(self) -> Terms:
        """The observations with what they observe; `terms` lists them."""
        return self.engine.asked.terms

    @property
    def terms(self) -> tuple[tuple[str | None, AbstractObservation, slice], ...]:
        """Block label (None for joint), observation and targets of each."""
        labels = {None: None, **dict(enumerate(self.labels))}
        return tuple((labels[t.block], t.observation, t.targets) for t in self.observed)

    @property
    def observations(self) -> tuple[AbstractObservation, ...]:
        """The o observations, in the order of their targets."""
        return tuple(term.observation for term in self.observed)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Slice of the targets that belongs to each observation."""
        return tuple(term.targets for term in self.observed)

    @property
    def has_modes(self) -> bool:
        """Whether mode shapes are observed."""
        return self.observed.has_modes

    @property
    def has_sigma(self) -> bool:
        """Whether all targets have standard deviations."""
        return self.observed.has_sigma

    @property
    def has_errors(self) -> bool:
        """Whether some target has a standard deviation, or there are priors."""
        return self.num_priors > 0 or any(x.has_sigma for x in self.observations)

    @property
    def is_robust(self) -> bool:
        """Whether the loss of some observation is not linear."""
        return self.observed.losses is not None

    @property
    def prior(self) -> PriorRows | None:
        """What is known of the unknowns beforehand."""
        return self.engine.asked.prior

    @property
    def num_priors(self) -> int:
        """Number q of priors."""
        return 0 if self.prior is None else len(self.prior.rows)

    @property
    def num_data(self) -> int:
        """Number of data that can disagree with a model.

        Targets and priors, less the targets that a normalisation makes trivial and the
        free shifts that are fitted as well.
        """
        return self.num_targets + self.num_priors - self.observed.num_trivial

    @property
    def is_least_squares(self) -> bool:
        """Whether data need not be met exactly.

        That is so if there are more data than unknowns, some have standard deviations
        or a robust loss, or there are priors: a fit then looks for a minimum of the
        loss.
        """
        return self.has_errors or self.is_robust or self.num_data > self.num_parameters

    @property
    def block_ties(self) -> Ties:
        """Ties of the blocks' parameters to the unknowns.

        A single structure whose levels are observed has its ties built in.
        """
        return self.engine.asked.ties

    def of_blocks(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes the blocks' parameters, `[..., P]`, for unknowns `[..., p]`."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        return self.block_ties.expand(parameters)

    @property
    def unit(self) -> tf.Tensor | None:
        """In which residuals are measured, `[...]`; None for 1. See `in_unit`."""
        return self.engine.asked.unit.value

    def in_own_unit(self, x: tf.Tensor, power: int = 1) -> tf.Tensor:
        """Divides a tensor `[..., *]` by the unit to a power, which may be negative."""
        return self.engine.asked.unit.divide(x, power)

    def ordered(self, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have targets `[..., m]` in a valid order: `[...]`."""
        return self.observed.ordered(targets)

    def check_targets(self, targets: np.ndarray) -> None:
        """Rejects targets `[..., m]` that no spectrum can have."""
        self.observed.check_targets(targets)

    def squared_norms(self) -> np.ndarray | None:
        """Returns the squared parameter scales `[p]` if they are constant, or None."""
        return self.engine.squared_norms()

    def roots(self) -> np.ndarray:
        """Returns the square roots of the weights of all targets, `[m]`."""
        return self.observed.roots

    def outlying(self) -> np.ndarray:
        """Returns the weighted deviations beyond which data are outliers, `[m]`.

        Infinite for data with neither standard deviations nor a robust loss.
        """
        return np.concatenate(
            [np.full(t.targets.stop - t.targets.start, t.observation.outlying)
             for t in self.observed]
        )  # fmt: skip

    def weighted(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the targets' part of `[..., m + q]`, `[..., m]`, by weight roots."""
        own = values[..., : self.num_targets]
        return own * tf.convert_to_tensor(self.observed.roots, own.dtype)

    def as_residual(self, deviations: tf.Tensor) -> tf.Tensor:
        """Turns weighted deviations from targets `[..., m]` into residuals."""
        losses = self.observed.losses
        return deviations if losses is None else losses.root(deviations)

    def split(self, eigenvalues: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Splits levels `[..., N]` by block: `[..., n]` each."""
        return self.engine.split(eigenvalues)

    def matrix(self, parameters: tf.Tensor) -> Any:
        """Builds the matrix `[..., n, n]`; a tuple of them for several blocks."""
        r = self.of_blocks(parameters)
        built = tuple(block.structure.assemble(r) for block in self.blocks)
        return built[0] if len(built) == 1 else built

    def pull_matrix(
        self, parameters: tf.Tensor, G: tf.Tensor | Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Applies the adjoint of the derivative of `matrix`: `[..., p]`."""
        r = self.of_blocks(parameters)
        each = G if isinstance(G, (tuple, list)) else (G,)
        pulled = [
            block.structure.pullback(r, g)
            for block, g in zip(self.blocks, each, strict=True)
        ]
        return self.block_ties.pull(tf.add_n(pulled))

    def eigenvectors_of(self, block: int, point: Evaluation) -> tf.Tensor:
        """Returns the eigenvectors of a block at a point, `[..., n, n]` in columns."""
        return self.engine.eigenvectors_of(block, point.eigenvectors)
