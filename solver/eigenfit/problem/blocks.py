"""Matrices that share their parameters, grouped so that equal orders run together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.observations import AbstractObservation
from eigenfit.structures import AbstractStructure, Affine, Bloch
from eigenfit.structures.base import as_entries
from eigenfit.structures.level_forms import LevelForms


class Block:
    """One matrix of several that depend on the same parameters.

    Args:
        structure: Structure of the matrix, as a function of all shared parameters; use
            `Reparametrized` where it depends on few of them.
        observations: One observation or a list of them. None observes all levels, or
            nothing if the problem has joint observations.
        label: Name by which observations refer to the block; its number by default.

    Raises:
        TypeError: If an argument has the wrong type.

    Example:
        >>> from eigenfit import Levels, Symmetric
        >>> Block(Symmetric(2), Levels([0]), label="core")
        Block(Symmetric(order=2, dtype=float64), [Levels([0])], label='core')
    """

    def __init__(
        self,
        structure: AbstractStructure,
        observations: AbstractObservation | Sequence[AbstractObservation] | None = None,
        label: str | None = None,
    ) -> None:
        if not isinstance(structure, AbstractStructure):
            raise TypeError(
                f"`structure` of a Block must be a structure such as Symmetric(3), got "
                f"{structure!r}."
            )
        if isinstance(observations, AbstractObservation):
            observations = [observations]
        self.structure = structure
        self.observations = None if observations is None else tuple(observations)
        for item in self.observations or ():
            if not isinstance(item, AbstractObservation):
                raise TypeError(
                    f"`observations` of a Block must be observations such as "
                    f"Levels([0]), got {item!r}."
                )
        if label is not None and not isinstance(label, str):
            raise TypeError(f"`label` must be a text, got {label!r}.")
        self.label = label

    def __repr__(self) -> str:
        shown = [repr(self.structure)]
        if self.observations is not None:
            shown.append(repr(list(self.observations)))
        if self.label is not None:
            shown.append(f"label={self.label!r}")
        return f"Block({', '.join(shown)})"


def block_of(
    structure: AbstractStructure, observation: Any, observations: Any
) -> tuple[Block, list[Any]]:
    """Makes a block of a single structure with all its observations.

    Args:
        structure: Structure of the block.
        observation: The only observation, or None.
        observations: Several observations, or None.

    Returns:
        The block, and those of `observations` that name it by its label.

    Raises:
        TypeError: If both are given, or an item is not an observation.
    """
    if isinstance(observations, AbstractObservation):
        observations = [observations]
    given = list(observations or ())
    joint = [item for item in given if _names_blocks(item)]
    own = [item for item in given if not _names_blocks(item)]
    if observation is not None and own:
        raise TypeError(
            "`observation` and `observations` of a single structure are given. Give "
            "all as `observations=[...]`."
        )
    return Block(structure, own or observation), joint


def _names_blocks(item: Any) -> bool:
    inner = getattr(item, "observation", item)  # of a FreeShift
    ends = [end for pair in getattr(inner, "pairs", ()) for end in pair]
    return any(not isinstance(end, int) for end in ends)


def checked_blocks(blocks: Any) -> tuple[Block, ...]:
    """Checks that blocks share their parameters; bare structures become blocks.

    Raises:
        TypeError: If an item is neither a block nor a structure.
        ValueError: If their parameters differ in number or precision.
    """
    blocks = tuple(
        Block(item) if isinstance(item, AbstractStructure) else item for item in blocks
    )
    if not blocks or not all(isinstance(item, Block) for item in blocks):
        raise TypeError(
            f"`structure` must be a structure or a list of Blocks, got {blocks!r}."
        )
    first = blocks[0].structure
    for k, block in enumerate(blocks):
        s = block.structure
        if s.num_parameters != first.num_parameters:
            raise ValueError(
                f"Block {k} has {s.num_parameters} parameters, block 0 has "
                f"{first.num_parameters}: all share the same. Use Reparametrized for "
                f"a structure that depends on few of them."
            )
        if s.parameter_dtype != first.parameter_dtype:
            raise ValueError(
                f"Block {k} has parameters of {s.parameter_dtype.name}, block 0 of "
                f"{first.parameter_dtype.name}. Give all the same precision."
            )
    return blocks


def labels_of(blocks: Sequence[Block]) -> tuple[str, ...]:
    """Returns the labels of blocks, by default their numbers.

    Raises:
        ValueError: If two labels are the same.
    """
    labels = tuple(
        str(k) if block.label is None else block.label for k, block in enumerate(blocks)
    )
    for label, number in Counter(labels).items():
        if number > 1:
            raise ValueError(f"`label` {label!r} belongs to two blocks.")
    return labels


class Group:
    """Matrices of one order and dtype, decomposed in one batch.

    Args:
        structures: B structures of the same order and dtype.
    """

    def __init__(self, structures: Sequence[AbstractStructure]) -> None:
        self.structures = tuple(structures)
        self.order = self.structures[0].order

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds the matrices `[..., B, n, n]` for parameters `[..., P]`."""
        return tf.stack([s.assemble(parameters) for s in self.structures], axis=-3)

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes derivatives of levels, `[..., B, n, P]`, from `[..., B, n, n]`."""
        each = [
            s.level_jacobian(parameters, V[..., k, :, :])
            for k, s in enumerate(self.structures)
        ]
        return tf.stack(each, axis=-3)


class DenseGroup(Group):
    """Matrices with dense bases: one product for all, however many there are."""

    def __init__(self, structures: Sequence[Affine]) -> None:
        super().__init__(structures)
        first = structures[0]
        n, p, dtype = first.order, first.num_parameters, first.dtype
        bases = np.stack([s.basis for s in structures])  # [B, p, n, n]
        self._shape = [len(structures), n, n]
        self._flat = tf.constant(bases.swapaxes(0, 1).reshape(p, -1), dtype)
        self._offset = tf.constant(np.stack([s.offset for s in structures]), dtype)
        self._forms = LevelForms(bases, dtype)

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Combines all bases by one matrix product; see the base class."""
        flat = tf.tensordot(
            as_entries(parameters, self._flat.dtype), self._flat, axes=1
        )
        shape = tf.concat([tf.shape(parameters)[:-1], self._shape], axis=0)
        return tf.reshape(flat, shape) + self._offset

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes the derivatives by one batched product; see `LevelForms`."""
        del parameters
        return self._forms(V)


def group(
    structures: Sequence[AbstractStructure],
) -> tuple[tuple[Group, ...], tuple[tuple[int, int], ...]]:
    """Groups structures by order and dtype.

    Returns:
        The groups, and for each structure the number of its group and its place there.
    """
    members: dict[Any, list[int]] = {}
    for k, s in enumerate(structures):
        members.setdefault((s.order, s.dtype.name), []).append(k)
    groups, places = [], [(0, 0)] * len(structures)
    for number, indices in enumerate(members.values()):
        own = [structures[k] for k in indices]
        dense = all(type(s) in (Affine, Bloch) for s in own)
        groups.append(DenseGroup(own) if dense else Group(own))  # type: ignore[arg-type]
        for place, k in enumerate(indices):
            places[k] = (number, place)
    return tuple(groups), tuple(places)
