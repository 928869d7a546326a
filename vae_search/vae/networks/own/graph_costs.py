"""Costs of a traced graph: multiply-adds of its matrix products and convolutions, and the sizes of what they put out.

Counted as for described networks: products alone, element-wise work excluded.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import tensorflow as tf

_PASSING_ON = {"Placeholder", "Const", "Identity", "EnsureShape", "Reshape", "NoOp", "Shape", "Pack", "ExpandDims"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCosts:
    """Costs of one call.

    Args:
        flops: multiply-adds × 2.
        outputs: values that each operation puts out, those that only pass values on left out.
    """

    flops: int
    outputs: tuple[int, ...]


def costs_of_graph(graph: tf.Graph) -> GraphCosts:
    """Costs of a graph of one image, whose shapes are all known."""
    operations = graph.get_operations()
    sizes = [
        prod(output.shape)
        for operation in operations
        if operation.type not in _PASSING_ON
        for output in operation.outputs
        if output.dtype == tf.float32 and output.shape.is_fully_defined()
    ]
    return GraphCosts(flops=sum(map(_flops, operations)), outputs=tuple(sizes) or (1,))


def _flops(operation: Any) -> int:  # a tf.Operation; TensorFlow ships no types
    shapes: list[tuple[int, ...]] = [tuple(each.shape) for each in operation.inputs if each.shape.is_fully_defined()]
    out = (
        tuple(operation.outputs[0].shape) if operation.outputs and operation.outputs[0].shape.is_fully_defined() else ()
    )
    found: int = 0
    match operation.type:
        case "MatMul":
            rows, columns = shapes[0]
            found = 2 * prod(out) * (rows if operation.get_attr("transpose_a") else columns)
        case "BatchMatMul" | "BatchMatMulV2" | "BatchMatMulV3":
            found = 2 * prod(out) * shapes[0][-2 if operation.get_attr("adj_x") else -1]
        case "Conv2D" | "Conv3D":
            found = 2 * prod(out) * prod(shapes[1][:-1])  # each output meets the whole kernel
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":
            found = 2 * prod(shapes[2]) * prod(shapes[1][:-1])  # each input does
        case "DepthwiseConv2dNative":
            found = 2 * prod(out) * prod(shapes[1][:2])
        case "Einsum":
            found = 2 * _einsum_points(operation.get_attr("equation").decode(), shapes)
    return found


def _einsum_points(equation: str, shapes: list[tuple[int, ...]]) -> int:
    """Multiply-adds of an Einstein sum of two operands: the product of all its index ranges."""
    sides = equation.partition("->")[0].split(",")
    if len(sides) != 2:
        return 0
    ranges: dict[str, int] = {}
    for letters, shape in zip(sides, shapes, strict=True):
        named = letters.replace("...", "")
        free = len(shape) - len(named)
        if "..." in letters:
            place = letters.index("...")
            ranges["..."] = max(ranges.get("...", 1), prod(shape[place : place + free]))
            shape = (*shape[:place], *shape[place + free :])
        ranges |= dict(zip(named, shape, strict=True))
    return prod(ranges.values())
