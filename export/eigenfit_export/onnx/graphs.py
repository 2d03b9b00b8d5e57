"""Reads and edits ONNX graphs, including the bodies of their loops."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np


def required(package: str) -> Any:
    """Imports a package of the extra `onnx`.

    Raises:
        ImportError: If it is missing; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"Export to ONNX needs {package}: pip install 'eigenfit[onnx]'."
        ) from error


def all_graphs(graph: Any) -> Iterator[Any]:
    """Yields a graph, then the bodies of its loops and branches, nested ones too."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_graphs(attribute.g)


def count_operators(model: Any) -> Counter[str]:
    """Counts nodes by operator; those of another domain as `domain::operator`."""
    nodes = (node for graph in all_graphs(model.graph) for node in graph.node)
    return Counter(
        node.op_type
        if node.domain in ("", "ai.onnx")
        else f"{node.domain}::{node.op_type}"
        for node in nodes
    )


def substitute(model: Any, build: Callable[[Any], Any]) -> None:
    """Replaces nodes by whole models.

    Args:
        model: Model whose nodes are replaced, in place.
        build: Returns for a node a model whose inputs and outputs are the first ones
            of the node, in this order, or None to leave the node alone.
    """
    number = 0
    # Inner graphs first: the nodes that hold them are copied.
    for graph in reversed(list(all_graphs(model.graph))):
        nodes = []
        for node in graph.node:
            part = build(node)
            if part is None:
                nodes.append(_copy(node))
                continue
            number += 1
            body = _renamed(part.graph, node, f"{node.op_type}_{number}/")
            nodes.extend(body.node)
            graph.initializer.extend(body.initializer)
        _set_nodes(graph, nodes)


def _renamed(graph: Any, node: Any, prefix: str) -> Any:
    graph = _copy(graph)
    names = {"": ""}
    for ours, theirs in ((graph.input, node.input), (graph.output, node.output)):
        # The node may have more inputs, and may leave out outputs.
        for inner, outer in zip(ours, theirs, strict=False):
            if outer:
                names[inner.name] = outer

    def new(name: str) -> str:
        return names.get(name, prefix + name)

    for inner in all_graphs(graph):
        for values in (inner.input, inner.output, inner.initializer):
            for value in values:
                value.name = new(value.name)
        for item in inner.node:
            item.name = prefix + item.name
            item.input[:] = [new(name) for name in item.input]
            item.output[:] = [new(name) for name in item.output]
        del inner.value_info[:]
    return graph


def fragile_constants(model: Any) -> list[tuple[Any, Any, int, float]]:
    """Finds float64 constants that ONNX Runtime mistakes for 0 or 1.

    It removes `x + 0` and `x * 1`, but compares the constant as a float32.

    Returns:
        For each: the graph, the node, its index among the node's inputs, its value.
    """
    onnx = required("onnx")
    neutral = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
    values: dict[str, float] = {}
    for graph in all_graphs(model.graph):
        for tensor in graph.initializer:
            double = tensor.data_type == onnx.TensorProto.DOUBLE
            if double and math.prod(tensor.dims) == 1:
                values[tensor.name] = onnx.numpy_helper.to_array(tensor).item()
    found = []
    for graph in all_graphs(model.graph):
        for node in graph.node:
            for k, name in enumerate(node.input):
                value, rest = values.get(name), neutral.get(node.op_type)
                if value is not None and value != rest == _single(value):
                    found.append((graph, node, k, value))
    return found


def rewrite_fragile_constants(model: Any) -> None:
    """Rewrites `x c`, with a constant c close to 1, as `x + x (c - 1)`.

    This may round once more. Other findings of `fragile_constants` stay.
    """
    onnx = required("onnx")
    number = 0
    while products := [x for x in fragile_constants(model) if x[1].op_type == "Mul"]:
        graph, node, k, value = products[0]
        number += 1
        rest, product = f"fragile_{number}_rest", f"fragile_{number}_product"
        array = np.array(value - 1.0)
        graph.initializer.append(onnx.numpy_helper.from_array(array, rest))
        other, output = node.input[1 - k], node.output[0]
        more = [
            onnx.helper.make_node("Mul", [other, rest], [product], product),
            onnx.helper.make_node("Add", [other, product], [output], node.name),
        ]
        nodes = []
        for old in graph.node:
            nodes.extend(more if output in old.output else [_copy(old)])
        _set_nodes(graph, nodes)


def name_dimensions(model: Any, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Sets the shapes of a model's inputs and outputs; names are open dimensions."""
    for value in [*model.graph.input, *model.graph.output]:
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for size in shapes[value.name]:
            if isinstance(size, int):
                shape.dim.add(dim_value=size)
            else:
                shape.dim.add(dim_param=size)


def share_constants(model: Any) -> None:
    """Merges equal constants within each graph."""
    graphs = list(all_graphs(model.graph))
    found = Counter(x.name for graph in graphs for x in graph.initializer)
    ends = {value.name for graph in graphs for value in graph.output}
    first: dict[str, str] = {}
    for graph in graphs:
        known: dict[bytes, str] = {}
        kept = []
        for constant in graph.initializer:
            nameless = _copy(constant)
            nameless.name = ""
            same = known.setdefault(nameless.SerializeToString(), constant.name)
            single = found[constant.name] == found[same] == 1
            if same != constant.name and single and constant.name not in ends:
                first[constant.name] = same
            else:
                kept.append(_copy(constant))
        del graph.initializer[:]
        graph.initializer.extend(kept)
    for graph in graphs:
        for node in graph.node:
            node.input[:] = [first.get(name, name) for name in node.input]


def shorten_names(model: Any) -> None:
    """Numbers the inner tensors and drops names of nodes, which halves the file."""
    ends = [*model.graph.input, *model.graph.output]
    names = {"": ""} | {value.name: value.name for value in ends}

    def new(name: str) -> str:
        return names.setdefault(name, str(len(names)))

    for graph in all_graphs(model.graph):
        for values in (graph.input, graph.initializer, graph.output):
            for value in values:
                value.name = new(value.name)
        for node in graph.node:
            node.name = node.doc_string = ""
            node.input[:] = [new(name) for name in node.input]
            node.output[:] = [new(name) for name in node.output]
        del graph.value_info[:]


def drop_unused_domains(model: Any) -> None:
    """Removes the operator sets that no node uses."""
    used = {node.domain for graph in all_graphs(model.graph) for node in graph.node}
    kept = [_copy(x) for x in model.opset_import if x.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _single(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _set_nodes(graph: Any, nodes: list[Any]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
