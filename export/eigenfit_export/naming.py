"""Names of exported tensors, none of which is complex or a tuple.

Neither JSON nor ONNX nor JavaScript has complex numbers: a complex tensor `x` is
exported as `x_real` and `x_imag`. The matrices of a problem with several blocks are
`matrix_<label>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from eigenfit import Problem

REAL, IMAG = "_real", "_imag"


def matrix_names(problem: Problem) -> list[str]:
    """Names the matrices: `matrix`, or `matrix_<label>` for each of several blocks.

    In labels, all but letters, digits and underscores become underscores; of labels
    that then coincide, later ones get the number of their block.

    Example:
        >>> import eigenfit as ef
        >>> s = ef.Symmetric(2)
        >>> matrix_names(ef.Problem(s))
        ['matrix']
        >>> blocks = [ef.Block(s, label="k=0"), ef.Block(s, label="k 0"), ef.Block(s)]
        >>> matrix_names(ef.Problem(blocks))
        ['matrix_k_0', 'matrix_k_0_1', 'matrix_2']
    """
    labels = problem.labels
    if len(labels) == 1:
        return ["matrix"]
    names: list[str] = []
    for k, label in enumerate(labels):
        name = "matrix_" + re.sub(r"\W", "_", label, flags=re.ASCII)
        names.append(f"{name}_{k}" if name in names else name)
    return names


def split_complex(tensors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Replaces every complex tensor by its real and imaginary parts.

    Example:
        >>> parts = split_complex({"x": tf.constant([1 + 2j]), "y": tf.constant([3.0])})
        >>> {name: part.numpy().tolist() for name, part in parts.items()}
        {'x_real': [1.0], 'x_imag': [2.0], 'y': [3.0]}
    """
    parts: dict[str, tf.Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dtype.is_complex:
            parts[name + REAL] = tf.math.real(tensor)
            parts[name + IMAG] = tf.math.imag(tensor)
        else:
            parts[name] = tensor
    return parts


def join_complex(parts: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Joins the parts made by `split_complex` into complex tensors.

    Example:
        >>> joined = join_complex({"x_real": tf.ones([1]), "x_imag": tf.ones([1])})
        >>> joined["x"].numpy().tolist()
        [(1+1j)]
    """
    tensors: dict[str, tf.Tensor] = {}
    for name, part in parts.items():
        stem = name.removesuffix(REAL)
        if stem != name and stem + IMAG in parts:
            tensors[stem] = tf.complex(part, parts[stem + IMAG])
        elif name.removesuffix(IMAG) + REAL not in parts or not name.endswith(IMAG):
            tensors[name] = part
    return tensors


def state_names(state: Any) -> list[str]:
    """Names the tensors of a method's state, in the order of `tf.nest.flatten`.

    The fields of its `point` keep their names (but `targets` becomes `point_targets`,
    `eigenvectors` of several orders `eigenvectors_0`, ...), other nested names are
    joined: a state `(point, damping(mu, growth))` has `parameters`, ...,
    `damping_mu`, `damping_growth`.
    """
    names: list[str] = []
    for field, value in state._asdict().items():
        for name in _names(field, value):
            own = name.removeprefix("point_")
            names.append(name if own == "targets" else own)
    assert len(set(names)) == len(names), names
    return names


def _names(field: str, value: Any) -> list[str]:
    if hasattr(value, "_asdict"):
        pairs = value._asdict().items()
    elif isinstance(value, tuple):
        if len(value) == 1:
            return _names(field, value[0])
        pairs = ((str(k), item) for k, item in enumerate(value))
    else:
        return [field]
    return [name for key, item in pairs for name in _names(f"{field}_{key}", item)]
