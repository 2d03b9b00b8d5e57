"""Matrices of equal order, decomposed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.structures import AbstractStructure, Affine, Bloch
from eigenfit.structures.base import as_entries
from eigenfit.structures.level_forms import LevelForms


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
