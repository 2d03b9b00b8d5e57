"""The exported functions: their names, inputs and outputs, all batch-major."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from eigenfit import Evaluation, Solution, Solver
from eigenfit.eigen import decompose

SERVING_DEFAULT = "serving_default"


@dataclass(frozen=True)
class Signature:
    """One exported function.

    Attributes:
        name: Under which it is called.
        inputs: Named specs, each `[batch, ...]` with an unknown batch size.
        function: Takes the inputs in this order, gives a dict of outputs, each
            `[batch, ...]`.
    """

    name: str
    inputs: tuple[tf.TensorSpec, ...]
    function: Callable[..., dict[str, tf.Tensor]]


def signatures_of(solver: Solver) -> list[Signature]:
    """Lists what is exported of a solver.

    - `serving_default`, the whole fit: `initial [b, p]`, `targets [b, m]`,
      `tolerance [b]`, `max_steps [b]` -> the fields of `eigenfit.Solution`;
    - `eigenvalues`: `parameters [b, p]` -> `eigenvalues [b, n]`;
    - `gradient`: `parameters`, `targets` -> `loss`, `gradient`, `eigenvalues`;
    - `init`: `initial`, `targets` -> the state of the method, a tensor a field;
    - `step`: the state and `targets` -> the new state.

    Each is the graph-mode program: TensorFlow Serving refuses functions compiled by
    XLA unless it is started with a flag.
    """
    programs = solver.programs

    def fit(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = programs.fit.variant("graph")(*arguments)
        return dict(zip(Solution._fields, answer, strict=False))

    def eigenvalues(parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        # Without the gradient of our own, which a SavedModel cannot hold.
        A = solver.problem.structure.assemble(parameters)
        return {"eigenvalues": decompose(A)[0]}

    def gradient(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        return programs.gradient.variant("graph")(*arguments)._asdict()

    state_specs = programs.init.output_specs()
    names = state_names(state_specs)

    def init(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        state = programs.init.variant("graph")(*arguments)
        return dict(zip(names, tf.nest.flatten(state), strict=True))

    def step(*arguments: tf.Tensor) -> dict[str, tf.Tensor]:
        *fields, targets = arguments
        state = tf.nest.pack_sequence_as(state_specs, fields)
        state = programs.step.variant("graph")(state, targets)
        return dict(zip(names, tf.nest.flatten(state), strict=True))

    parameters = programs.eigenvalues.signature[0]
    initial, targets = programs.init.signature
    fields = [
        tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in zip(names, tf.nest.flatten(state_specs), strict=True)
    ]
    return [
        Signature(SERVING_DEFAULT, tuple(programs.fit.signature), fit),
        Signature("eigenvalues", (parameters,), eigenvalues),
        Signature("gradient", (parameters, targets), gradient),
        Signature("init", (initial, targets), init),
        Signature("step", (*fields, targets), step),
    ]


def state_names(state: Any) -> list[str]:
    """Names the tensors of a method's state, in the order of `tf.nest.flatten`.

    Fields of the evaluated point keep their names, others join theirs: a state
    `(point, damping(mu, growth))` has `parameters`, ..., `damping_mu`,
    `damping_growth`.
    """
    names = []
    for field, value in state._asdict().items():
        if isinstance(value, Evaluation):
            names.extend(value._fields)
        elif hasattr(value, "_asdict"):
            names.extend(f"{field}_{name}" for name in state_names(value))
        else:
            names.append(field)
    return names
