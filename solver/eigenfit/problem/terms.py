"""Which observation uses which levels, and where its targets are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.observations import AbstractObservation, Levels, Spectrum
from eigenfit.observations.robust import Losses
from eigenfit.problem.blocks import Block


class Term(NamedTuple):
    """An observation of one block, or of the levels of all."""

    observation: AbstractObservation
    block: int | None  # None for all levels
    order: int  # number of levels that it uses
    targets: slice


class Terms:
    """The observations of a problem with several blocks, in the order of its targets.

    They are those of each block in turn, in order, followed by the joint ones.

    Args:
        blocks: Blocks of the problem.
        labels: Label of each block.
        joint: Observations of all levels, which name blocks by label.

    Attributes:
        num_targets: Number m of targets.
        names: Name of the value that is compared with each target.
        num_trivial: Number of targets that any parameters meet, and of free shifts.
        has_modes: Whether mode shapes are observed.
        has_sigma: Whether all targets have standard deviations.
        depends_on_targets: Whether values to compare with targets depend on these.
        roots: `[m]`, square roots of the weights of all targets; see `with_weights`.
        losses: What turns weighted deviations into residuals; None if all losses are
            linear, so that these are the same.

    Raises:
        TypeError: If an item of `joint` is not an observation.
        ValueError: If an observation does not fit its block, or there is none.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        labels: Sequence[str],
        joint: Sequence[AbstractObservation] | AbstractObservation = (),
    ) -> None:
        self._labels = tuple(labels)
        if isinstance(joint, AbstractObservation):
            joint = [joint]
        orders = [block.structure.order for block in blocks]
        found: list[tuple[AbstractObservation, int | None, int]] = []
        names: list[str] = []
        for k, block in enumerate(blocks):
            own = block.observations
            if own is None:
                own = () if joint else (Levels(),)
            for item in own:
                if item.uses_modes and block.structure.dtype.is_complex:
                    raise ValueError(
                        f"{item!r} is for real matrices; block {labels[k]!r} is "
                        f"complex."
                    )
                found.append((item, k, orders[k]))
                alone = len(blocks) == 1 and block.label is None
                where = "" if alone else f"{labels[k]}: "
                names += item.labelled(orders[k], where)
        starts = np.cumsum([0, *orders]).tolist()
        places = dict(zip(labels, zip(starts, orders, strict=False), strict=True))
        for item in joint:
            if not isinstance(item, AbstractObservation):
                raise TypeError(
                    f"`observations` must be observations such as Differences(pairs), "
                    f"got {item!r}."
                )
            found.append((item.located(places), None, starts[-1]))
            names += item.labelled(starts[-1])
        if not found:
            raise ValueError("No block has an observation: there are no targets.")
        terms, start = [], 0
        for item, block, order in found:
            end = start + item.num_targets(order)
            terms.append(Term(item, block, order, slice(start, end)))
            start = end
        self._terms = tuple(terms)
        self.names = tuple(names)
        self.num_targets: int = start
        self.num_trivial = sum(
            item.num_trivial(order) + item.num_free for item, _, order in found
        )
        self.has_modes = any(item.uses_modes for item, *_ in found)
        self.depends_on_targets = any(item.follows_targets for item, *_ in found)
        self.has_sigma = all(item.has_sigma for item, *_ in found)
        self.roots: Any = np.concatenate(
            [item.roots(order) for item, _, order in found]
        )
        self.losses = _losses_of(terms)

    def __iter__(self) -> Iterator[Term]:
        return iter(self._terms)

    def extended(self, more: Terms, blocks: int) -> Terms:
        """Returns these terms followed by those of further blocks.

        Args:
            more: Terms of the further blocks, none of them joint.
            blocks: Number of blocks so far.
        """
        levels = sum(term.order for term in more)
        own = copy.copy(self)
        own._terms = (
            *(
                t._replace(order=t.order + levels) if t.block is None else t
                for t in self
            ),
            *(
                term._replace(
                    block=(term.block or 0) + blocks,
                    targets=slice(
                        term.targets.start + self.num_targets,
                        term.targets.stop + self.num_targets,
                    ),
                )
                for term in more
            ),
        )
        own._labels += more._labels
        own.names += more.names
        own.num_targets += more.num_targets
        own.num_trivial += more.num_trivial
        own.has_sigma &= more.has_sigma
        own.roots = np.concatenate([self.roots, more.roots])
        own.losses = _losses_of(own)
        return own

    def with_weights(self, weights: tf.Tensor) -> Terms:
        """Returns the same terms with weights `[b, m]` for each member."""
        own = copy.copy(self)
        own._terms = tuple(
            term._replace(
                observation=term.observation.with_weights(weights[..., term.targets])
            )
            for term in self
        )
        own.roots, own.has_sigma = tf.sqrt(weights), False
        return own

    def with_linear_losses(self) -> Terms:
        """Returns the same terms with squares in place of robust losses."""
        own = copy.copy(self)
        own._terms = tuple(
            term._replace(observation=term.observation.with_loss(None)) for term in self
        )
        own.losses = None
        return own

    def steepness(
        self, block: int, levels: Callable[[int | None], tf.Tensor]
    ) -> tf.Tensor:
        """Bounds the derivatives of weighted values by a level of a block: `[..., 1]`.

        Args:
            block: Number of the block.
            levels: Maps a block to its levels; None to all levels.

        Returns:
            `[1]` if it holds for all members; 0 if no value is known to depend on
            these levels alone.
        """
        steepest = tf.zeros([1], levels(None).dtype)
        for term in self:
            if term.block is None or term.block == block:
                slope = term.observation.steepness(levels(term.block))
                own = tf.cast(self.roots[..., term.targets], slope.dtype) * slope
                largest = tf.reduce_max(own, axis=-1, keepdims=True)
                steepest = tf.maximum(steepest, largest)
        return steepest

    def ordered(self, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have targets `[..., m]` in a valid order: `[...]`."""
        result = tf.ones(tf.shape(targets)[:-1], tf.bool)
        for term in self:
            own = targets[..., term.targets]
            result &= term.observation.ordered(own, term.order)
        return result

    def check_targets(self, targets: np.ndarray) -> None:
        """Rejects targets `[..., m]` that no spectrum can have.

        Raises:
            ValueError: Naming the block.
        """
        for term in self:
            own = targets[..., term.targets]
            try:
                term.observation.check_targets(own, term.order)
            except ValueError as error:
                if len(self._terms) == 1:
                    raise
                where = "joint observations"
                if term.block is not None:
                    where = f"block {self._labels[term.block]!r}"
                raise ValueError(
                    f"In {where}, targets {term.targets.start} to "
                    f"{term.targets.stop - 1}: {error}"
                ) from None

    def natural_sizes(
        self, levels: Callable[[int | None], tf.Tensor], targets: tf.Tensor
    ) -> tf.Tensor:
        """Returns the natural size of each value, `[..., m]`; see `Problem`.

        Args:
            levels: Maps a block to the norm of its matrix; None to the largest norm.
            targets: `[..., m]`.
        """
        sizes = []
        for term in self:
            own = targets[..., term.targets]
            size = term.observation.natural_size(own, levels(term.block))
            sizes.append(tf.zeros_like(own) + size)
        return tf.concat(sizes, axis=-1)

    def rounding(
        self,
        levels: Callable[[int | None], tf.Tensor],
        errors: Callable[[int | None], tf.Tensor],
        targets: tf.Tensor,
    ) -> tf.Tensor:
        """Returns the rounding of the values, `[..., m]`; see `Problem.rounding`.

        Args:
            levels: Maps a block to its levels; None to all levels.
            errors: Likewise for their rounding errors.
            targets: `[..., m]`.
        """
        rows = [
            term.observation.rounding(
                levels(term.block), errors(term.block), targets[..., term.targets]
            )
            for term in self
        ]
        return tf.concat(rows, axis=-1)

    def measure(
        self,
        levels: Callable[[int | None], tf.Tensor],
        modes: Callable[[int], tf.Tensor] | None,
        targets: tf.Tensor,
    ) -> tf.Tensor:
        """Computes the values to compare with targets, `[..., m]`.

        Args:
            levels: Maps a block to its levels; None to all levels.
            modes: Maps a block to its mode shapes; None if none are observed.
            targets: `[..., m]`; they fix the signs of mode shapes.
        """
        values = []
        for term in self:
            X = None
            if term.block is not None and term.observation.uses_modes:
                assert modes is not None
                X = modes(term.block)
            own = targets[..., term.targets]
            values.append(term.observation.measure(levels(term.block), X, own))
        return tf.concat(values, axis=-1)

    def differentiate(
        self, spectrum: Callable[[int | None], Spectrum], targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes the derivatives of `measure`, `[..., m, p]`.

        Args:
            spectrum: Maps a block to its spectrum; None to that of all levels.
            targets: `[..., m]`.
        """
        spectra: dict[Any, Spectrum] = {}
        rows = []
        for term in self:
            if term.block not in spectra:
                spectra[term.block] = spectrum(term.block)
            own = targets[..., term.targets]
            rows.append(term.observation.differentiate(spectra[term.block], own))
        return tf.concat(rows, axis=-2)

    def differentiate_by_targets(
        self,
        levels: Callable[[int | None], tf.Tensor],
        modes: Callable[[int], tf.Tensor],
        targets: tf.Tensor,
    ) -> tf.Tensor:
        """Computes the derivatives of `measure` by targets, `[..., m, m]`.

        Args:
            levels: As for `measure`.
            modes: As for `measure`.
            targets: `[..., m]`.
        """
        rows = []
        for term in self:
            X = None
            if term.block is not None and term.observation.uses_modes:
                X = modes(term.block)
            own = targets[..., term.targets]
            block = term.observation.differentiate_by_targets(
                levels(term.block), X, own
            )
            if block is None:
                block = tf.zeros_like(own[..., tf.newaxis] + own[..., tf.newaxis, :])
            before = term.targets.start
            after = self.num_targets - term.targets.stop
            padding = [[0, 0]] * (block.shape.rank - 1) + [[before, after]]
            rows.append(tf.pad(block, padding))
        return tf.concat(rows, axis=-2)


def _losses_of(terms: Iterable[Term]) -> Losses | None:
    # None if all are linear.
    losses = Losses([(t.targets, t.observation.robust) for t in terms])
    return losses if any(loss is not None for _, loss in losses.parts) else None
