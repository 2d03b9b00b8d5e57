"""Converts a TensorFlow function to an ONNX model of standard operators only."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from eigenfit_export.onnx import basic, graphs
from eigenfit_export.onnx.eigensolver import symmetric_eigh

OPSET = 18
"""The newest opset that tf2onnx writes."""

# Dtypes of onnx.TensorProto, which is missing without the extra.
_BOOL, _DOUBLE = 9, 11

_NEEDLESS = (
    "remove_redundant_upsample",
    "const_dequantize_optimizer",
    "global_pool_optimizer",
    "q_dq_optimizer",
)
"""Passes of tf2onnx that only serve neural networks."""

Function = Callable[..., dict[str, tf.Tensor]]


def convert(
    function: Function,
    inputs: Sequence[tf.TensorSpec],
    name: str,
    facts: Mapping[str, str] | None = None,
) -> Any:
    """Converts a function to a model; what ONNX lacks becomes basic operations.

    Decompositions, Cholesky factors, triangular solves, diagonals and sorts become
    those of `eigensolver` and `basic`; `tf.where` becomes `Where`, not arithmetic with
    masks, which lets through a NaN of the branch not taken.

    Args:
        function: Takes the inputs, returns its outputs by name; traced once.
        inputs: Named specs. A dimension None stays open: it is called `batch` if it
            is the first, else `n`.
        name: Name of the graph.
        facts: Metadata to store in the model.

    Returns:
        An `onnx.ModelProto`, not checked yet; its outputs are sorted by name.

    Raises:
        ImportError: If the packages of the extra `onnx` are missing.
        ValueError: If tf2onnx fails.
    """
    traced = tf.function(function, input_signature=list(inputs), autograph=False)
    concrete = traced.get_concrete_function()
    handlers = {"SelectV2": (_where, []), "Einsum": (_sum_of_products, [])}
    handlers["Log"] = (_as_it_is, [])
    handlers |= {operator: (_keep, []) for operator in _BASIC}
    try:
        model = _converted(concrete, [x.name for x in inputs], handlers)
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"tf2onnx cannot convert {name}: {error}") from error
    model.graph.name = name
    graphs.substitute(model, _basic_model)
    graphs.rewrite_fragile_constants(model)
    graphs.drop_unused_domains(model)
    graphs.share_constants(model)
    graphs.shorten_names(model)
    ends = {x.name: x for x in inputs} | concrete.structured_outputs
    graphs.name_dimensions(model, {k: _dimensions(x) for k, x in ends.items()})
    for key, value in (facts or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def _dimensions(spec: Any) -> tuple[int | str, ...]:
    first, *others = spec.shape.as_list()
    return ("batch" if first is None else first, *(x or "n" for x in others))


def _converted(concrete: Any, names: list[str], handlers: Any) -> Any:
    # `tf2onnx.convert.from_function` would turn the constants that a function holds
    # into inputs, and go on where a conversion failed.
    tf2onnx = graphs.required("tf2onnx")
    inputs = [x.name for x in concrete.inputs[: len(names)]]
    outputs = [x.name for x in concrete.outputs]
    renamed = dict(zip(inputs, names, strict=True))
    renamed |= {x.name: key for key, x in concrete.structured_outputs.items()}
    with _quiet(), tf.device("/cpu:0"):
        frozen = tf2onnx.tf_loader.from_function(concrete, inputs, outputs)
        _tell_shapes(frozen)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                opset=OPSET,
                custom_op_handlers=handlers,
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=renamed,
            )
        return _optimized(tf2onnx, converted).make_model("")


def _optimized(tf2onnx: Any, graph: Any) -> Any:
    # Without the passes that none of our programs needs, and without the copy of the
    # graph before each pass, which would hide its failure.
    known = tf2onnx.optimizer._get_optimizers()
    passes = {name: made for name, made in known.items() if name not in _NEEDLESS}
    return tf2onnx.optimizer.optimize_graph(graph, False, passes)


def _tell_shapes(graph: Any) -> None:
    """Writes the shapes of constants into the loops of a graph that use them.

    Freezing loses them, and with them the rank of all that depends on the constants.
    """
    constants = {x.name: x.attr["value"].tensor for x in graph.node if x.op == "Const"}
    functions = {x.signature.name: x for x in graph.library.function}
    for node in graph.node:
        if node.op not in ("While", "StatelessWhile"):
            continue
        for part in ("body", "cond"):
            function = functions[node.attr[part].func.name]
            for k, name in enumerate(node.input):
                if name in constants:
                    shapes = function.arg_attr[k].attr["_output_shapes"].list.shape
                    del shapes[:]
                    shapes.append(constants[name].tensor_shape)


@contextmanager
def _quiet() -> Iterator[None]:
    # tf2onnx only logs operations that it does not know; `check` finds them.
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


# Handlers of tf2onnx: they change the graph `context` at `node`.


def _where(context: Any, node: Any, name: str, args: Any) -> None:
    del args
    if context.get_dtype(node.output[0]) != _BOOL:
        node.type = "Where"
        return
    # ONNX Runtime has no Where of booleans.
    mask, yes, no = node.input
    shape = context.get_shape(node.output[0])

    def made(operator: str, *inputs: str) -> str:
        new = context.make_node(
            operator, list(inputs), dtypes=[_BOOL], shapes=[shape], op_name_scope=name
        )
        return new.output[0]

    other = made("And", made("Not", mask), no)
    chosen = made("And", mask, yes)
    node.type = "Or"
    context.replace_inputs(node, [chosen, other])


def _as_it_is(context: Any, node: Any, name: str, args: Any) -> None:
    # tf2onnx would take logarithms in single precision.
    del context, node, name, args


def _sum_of_products(context: Any, node: Any, name: str, args: Any) -> None:
    # tf2onnx knows no ellipsis in an equation: letters for the batch dimensions, which
    # our equations do not use.
    del name, args
    equation = node.get_attr_str("equation")
    first = equation.split(",")[0]
    number = len(context.get_shape(node.input[0])) - len(first.replace("...", ""))
    node.set_attr("equation", equation.replace("...", "abcdefgh"[:number]))


def _keep(context: Any, node: Any, name: str, args: Any) -> None:
    # Replaced after the conversion, as these attributes tell.
    del name, args
    rank, *_ = _BASIC[node.type]
    shape = context.get_shape(node.input[0])
    if shape is None or len(shape) < rank:
        raise ValueError(f"{node.type} of shape {shape}, not of {rank} dimensions")
    more = len(shape) - rank
    if more and node.type in ("MatrixTriangularSolve", "MatrixSetDiagV3"):
        raise ValueError(f"{node.type} of shape {shape}, not of {rank} dimensions")
    node.set_attr("more", more)
    if node.type in _SECOND and node.inputs[1].is_const():
        value = node.inputs[1].get_tensor_value()
        if value != (shape[-1] if _SECOND[node.type] == "order" else 0):
            raise ValueError(f"{node.type} of shape {shape} with {value}")
    double = context.get_dtype(node.input[0]) == _DOUBLE
    node.set_attr("order", shape[-1])
    node.set_attr("dtype", "float64" if double else "float32")


def _basic_model(node: Any) -> Any:
    if node.op_type not in _BASIC:
        return None
    attributes = {x.name: x.s.decode() or x.i for x in node.attribute}
    more = attributes["more"]
    flags = tuple(bool(attributes[name]) for name in _BASIC[node.op_type][1])
    order = attributes["order"] if attributes["order"] > 0 else None
    return _part(node.op_type, order, attributes["dtype"], flags, more)


# Operations of TensorFlow: the rank of the input, flags, and their replacement.
_BASIC: dict[str, tuple[int, tuple[str, ...], Callable[..., Any]]] = {
    "SelfAdjointEigV2": (3, (), symmetric_eigh),
    "Cholesky": (3, (), basic.cholesky),
    "MatrixTriangularSolve": (3, ("lower", "adjoint"), basic.triangular_solve),
    "MatrixDiagPartV3": (3, (), basic.diagonal),
    "MatrixSetDiagV3": (3, (), basic.with_diagonal),
    "TopKV2": (2, (), basic.sort_descending),
}

# Required second input: TopK must sort all numbers, and diagonals be the main one.
_SECOND = {"TopKV2": "order", "MatrixDiagPartV3": "offset"}


@functools.cache
def _part(
    operator: str,
    order: int | None,
    dtype: str,
    flags: tuple[bool, ...],
    more: int = 0,
) -> Any:
    """Converts the replacement of an operation, with more batch dimensions if any."""
    rank, _, function = _BASIC[operator]
    shapes = [[None, *[None] * more, *[order] * (rank - 1)]]
    if operator == "MatrixSetDiagV3":
        shapes.append([None, order])
    if operator == "MatrixTriangularSolve":
        shapes.append([None, order, None])

    def replacement(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        if more:
            (x,) = tensors
            batch = tf.shape(x)[: more + 1]
            x = tf.reshape(x, tf.concat([[-1], tf.shape(x)[more + 1 :]], 0))
            flat = tf.nest.flatten(function(x, *flags))
            outputs = [
                tf.reshape(y, tf.concat([batch, tf.shape(y)[1:]], 0)) for y in flat
            ]
        else:
            outputs = tf.nest.flatten(function(*tensors, *flags))
        return {f"output_{k}": x for k, x in enumerate(outputs)}

    specs = [tf.TensorSpec(x, dtype, f"input_{k}") for k, x in enumerate(shapes)]
    return convert(replacement, specs, operator)
