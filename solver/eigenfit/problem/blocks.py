"""Matrices that share their parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from eigenfit.observations import AbstractObservation
from eigenfit.structures import AbstractStructure


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


def blocks_of(
    structure: Any, observation: Any, observations: Any
) -> tuple[tuple[Block, ...], Sequence[Any]]:
    """Makes blocks of what a problem is given.

    Args:
        structure: A structure, or a list of blocks.
        observation: The only observation of a single structure, or None.
        observations: Joint observations of several blocks, or several observations of
            a single structure, or None.

    Returns:
        The blocks, and the joint observations.

    Raises:
        TypeError: If an argument has the wrong type, or `observation` is given for
            several blocks or beside `observations`.
        ValueError: If the parameters of blocks differ in number or precision.
    """
    if isinstance(observations, AbstractObservation):
        observations = [observations]
    given = list(observations or ())
    if isinstance(structure, AbstractStructure):
        joint = [item for item in given if _names_blocks(item)]
        own = [item for item in given if not _names_blocks(item)]
        if observation is not None and own:
            raise TypeError(
                "`observation` and `observations` of a single structure are given. "
                "Give all as `observations=[...]`."
            )
        return (Block(structure, own or observation),), joint
    if not isinstance(structure, (list, tuple)):
        raise TypeError(
            f"`structure` must be a structure such as Symmetric(3), or a list of "
            f"Blocks, got {structure!r}."
        )
    if observation is not None:
        raise TypeError(
            "`observation` is of a single structure. Give each Block its own, and "
            "joint ones as `observations=[...]`."
        )
    return _checked(structure), given


def _names_blocks(item: Any) -> bool:
    inner = getattr(item, "observation", item)  # of a FreeShift
    ends = [end for pair in getattr(inner, "pairs", ()) for end in pair]
    return any(not isinstance(end, int) for end in ends)


def _checked(blocks: Any) -> tuple[Block, ...]:
    # Blocks that share their parameters; bare structures become blocks.
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
