"""Converts a TensorFlow.js graph model to ONNX with numpy and onnx alone. It knows what CenterNet MobileNetV3 uses.

TensorFlow keeps pictures as NHWC, ONNX as NCHW: the graph's input is transposed once, weights while converting. The
result is deterministic: equal input gives equal bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

Node = Mapping[str, Any]
OPSET = 17
IR_VERSION = 10
# ONNX's own "SAME_UPPER" pads as TensorFlow's SAME does: the odd pixel goes to the bottom and to the right.
PADDING = {"SAME": "SAME_UPPER", "VALID": "VALID"}


class ConversionError(ValueError):
    """The graph uses something that this converter does not know."""


def read_weights(manifest: Iterable[Mapping[str, Any]], shards: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    """Unpack a ``weightsManifest``. Tensors stored as float16 become the float32 that they were.

    Args:
        manifest: The groups of the model's JSON file.
        shards: The binary files that the manifest names.

    Raises:
        ConversionError: a tensor has a type or quantisation that is not known, or the bytes do not fit the manifest.
    """
    weights: dict[str, NDArray[Any]] = {}
    for group in manifest:
        stored = b"".join(shards[path] for path in group["paths"])
        at = 0
        for entry in group["weights"]:
            packed = entry.get("quantization", {}).get("dtype", entry["dtype"])
            if (entry["dtype"], packed) not in {("float32", "float32"), ("float32", "float16"), ("int32", "int32")}:
                raise ConversionError(f"weight {entry['name']} is stored as {packed} for {entry['dtype']}")
            count = prod(entry["shape"])
            values = np.frombuffer(stored, np.dtype(packed).newbyteorder("<"), count, at)
            at += values.nbytes
            weights[entry["name"]] = values.astype(entry["dtype"]).reshape(entry["shape"])
        if at != len(stored):
            raise ConversionError(f"weights take {at} bytes, the files have {len(stored)}")
    return weights


class _Graph:
    """Collects ONNX nodes while walking back from the wanted outputs."""

    def __init__(self, nodes: Iterable[Node], weights: Mapping[str, NDArray[Any]]) -> None:
        self.source = {node["name"]: node for node in nodes}
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.converted: dict[str, str] = {}

    def convert(self, name: str) -> str:
        """Convert a node and all that it reads; return its output's name."""
        if name not in self.converted:
            node = self.source[name]
            rule = RULES.get(node["op"])
            if rule is None:
                raise ConversionError(f"operation {node['op']} of {name} is not known")
            self.converted[name] = rule(self, node)
        return self.converted[name]

    def add(self, op: str, name: str, inputs: Iterable[str], **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.constants[name] = np.ascontiguousarray(values)
        return name


def _strings(node: Node, attribute: str) -> list[str]:
    listed = node["attr"].get(attribute, {}).get("list", {}).get("s", [])
    return [base64.b64decode(text).decode() for text in listed]


def _integers(node: Node, attribute: str) -> list[int]:
    return [int(value) for value in node["attr"][attribute]["list"]["i"]]


def _padding(node: Node) -> str:
    return PADDING[base64.b64decode(node["attr"]["padding"]["s"]).decode()]


def _const(graph: _Graph, node: Node) -> str:
    return graph.constant(node["name"], graph.weights[node["name"]])


def _same(op: str) -> Callable[[_Graph, Node], str]:
    return lambda graph, node: graph.add(op, node["name"], [graph.convert(name) for name in node["input"]])


def _placeholder(graph: _Graph, node: Node) -> str:
    floats = graph.add("Cast", node["name"] + "/float", ["images"], to=1)
    return graph.add("Transpose", node["name"], [floats], perm=[0, 3, 1, 2])


def _convolution(graph: _Graph, node: Node) -> str:
    data, filters, *rest = node["input"]
    kernel = graph.weights[filters]
    depthwise = "Depthwise" in node["op"]
    if depthwise:  # height, width, channels, multiplier -> channels * multiplier, 1, height, width
        height, width, channels, multiplier = kernel.shape
        kernel = kernel.reshape(height, width, 1, channels * multiplier)
    inputs = [graph.convert(data), graph.constant(filters, kernel.transpose(3, 2, 0, 1))]
    fused = _strings(node, "fused_ops")
    if fused not in ([], ["BiasAdd"], ["BiasAdd", "Relu"]):
        raise ConversionError(f"{node['name']} fuses {fused}")
    inputs += [graph.constant(name, graph.weights[name]) for name in rest]
    name = node["name"]
    convolved = graph.add(
        "Conv",
        name + "/conv" if "Relu" in fused else name,
        inputs,
        kernel_shape=list(kernel.shape[:2]),
        strides=_integers(node, "strides")[1:3],
        dilations=_integers(node, "dilations")[1:3],
        group=channels if depthwise else 1,
        auto_pad=_padding(node),
    )
    return graph.add("Relu", name, [convolved]) if "Relu" in fused else convolved


def _relu6(graph: _Graph, node: Node) -> str:
    bounds = [graph.constant("zero", np.array(0, np.float32)), graph.constant("six", np.array(6, np.float32))]
    return graph.add("Clip", node["name"], [graph.convert(node["input"][0]), *bounds])


def _mean(graph: _Graph, node: Node) -> str:
    axes = sorted(graph.weights[node["input"][1]].tolist())
    if axes != [1, 2] or not node["attr"].get("keep_dims", {}).get("b"):
        raise ConversionError(f"{node['name']} averages over axes {axes}")
    return graph.add("GlobalAveragePool", node["name"], [graph.convert(node["input"][0])])


def _concat(graph: _Graph, node: Node) -> str:
    *parts, axis = node["input"]
    if graph.weights[axis] != 3:
        raise ConversionError(f"{node['name']} joins along axis {graph.weights[axis]}")
    return graph.add("Concat", node["name"], [graph.convert(part) for part in parts], axis=1)


def _resize(graph: _Graph, node: Node) -> str:
    height, width = graph.weights[node["input"][1]].tolist()
    sizes = graph.constant(node["name"] + "/sizes", np.array([height, width], np.int64))
    data = graph.convert(node["input"][0])
    # opset 18 could leave batch and channels out of the sizes; 17 needs them, and the batch is not fixed
    shape = graph.add("Shape", node["name"] + "/shape", [data], start=0, end=2)
    whole = graph.add("Concat", node["name"] + "/whole", [shape, sizes], axis=0)
    return graph.add(
        "Resize",
        node["name"],
        [data, "", "", whole],
        mode="linear",
        coordinate_transformation_mode="asymmetric",
    )


def _pool(graph: _Graph, node: Node) -> str:
    return graph.add(
        "MaxPool",
        node["name"],
        [graph.convert(node["input"][0])],
        kernel_shape=_integers(node, "ksize")[1:3],
        strides=_integers(node, "strides")[1:3],
        auto_pad=_padding(node),
    )


def _cast(graph: _Graph, node: Node) -> str:
    if node["attr"]["DstT"]["type"] != "DT_FLOAT":
        raise ConversionError(f"{node['name']} casts to {node['attr']['DstT']['type']}")
    return graph.add("Cast", node["name"], [graph.convert(node["input"][0])], to=1)


RULES: dict[str, Callable[[_Graph, Node], str]] = {
    "Placeholder": _placeholder,
    "Const": _const,
    "Conv2D": _convolution,
    "_FusedConv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "Relu6": _relu6,
    "Mean": _mean,
    "ConcatV2": _concat,
    "ResizeBilinear": _resize,
    "MaxPool": _pool,
    "Cast": _cast,
    **{op: _same(op) for op in ("Mul", "Add", "Sub", "Relu", "Sigmoid", "Equal", "Identity")},
}


def convert(model_json: bytes, shards: Mapping[str, bytes], outputs: Mapping[str, int], side: int) -> bytes:
    """Convert a graph model whose input is one picture of ``side`` x ``side`` into ONNX with a free batch size.

    Args:
        model_json: The TensorFlow.js graph model.
        shards: Its binary files, by name.
        outputs: Names of the nodes to give out, with their channels. Each becomes N x channels x height x width.
        side: Height and width of the input, which is N x side x side x 3 of uint8, red first.

    Returns:
        The ONNX model's bytes.

    Raises:
        ConversionError: the graph uses something that is not known here.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    model = json.loads(model_json)
    weights = read_weights(model["weightsManifest"], shards)
    graph = _Graph(model["modelTopology"]["node"], weights)
    for name in outputs:
        graph.convert(name)
    onnx_graph = helper.make_graph(
        graph.nodes,
        "centernet",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", side, side, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])
            for name, channels in outputs.items()
        ],
        [numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
    )
    converted = helper.make_model(
        onnx_graph,
        producer_name="humannet_ops",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(converted)
    return bytes(converted.SerializeToString(deterministic=True))
