"""EfficientNet-Lite0 as a frame embedder: 1,280 numbers a picture, through onnxruntime.

The network (Tan and Le 2019, arXiv 1905.11946; its Lite variant without squeeze-and-excitation and with ReLU6) was
trained to tell the 1,000 classes of ImageNet apart. What its last convolution says, averaged over the picture and
centred, is the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf, exp, pi, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.detectors.batches import Batches
from humannet_ops.detectors.lock import ModelError
from humannet_ops.detectors.onnx_session import open_session
from humannet_ops.detectors.scaling import scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

    from humannet_ops.detectors.protocol import Frame

SIDE, DIMENSIONS = 224, 1280
OPSET, IR_VERSION = 17, 10
# efficientnet_lite_builder.py of tensorflow/tpu: pictures less 127, by 128
_MEAN, _SCALE = 127.0, 1 / 128
_EPSILON = 1e-3  # of its batch norms
_CEILING = 6.0  # of ReLU6
# (blocks, stride of the first) of each stage; kernels and channels are those of the weights
_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
# the centre is rounded so that equal weights give equal bytes on every machine
_CENTRE_STEP = 1 / 4096


class EfficientNetLite:
    """Embeds frames with a converted EfficientNet-Lite0."""

    dimensions = DIMENSIONS
    # one clip's frames; more at once are no faster on a CPU
    batch = 8

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        self.release = release
        self.session = open_session(path, device=device, threads=threads)
        self.batches: Batches[NDArray[np.float32]] = Batches(release, device, self.batch, self._batch)

    def embed(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        """Return one vector a frame, frames x 1280, each of length 1."""
        return np.array(self.batches(frames), np.float32).reshape(len(frames), DIMENSIONS)

    def _batch(self, frames: Sequence[Frame]) -> list[NDArray[np.float32]]:
        # Stretched to the square: cropping it would lose a third of a wide picture, and finds no more (decision 0021).
        pictures = [scaled(frame, SIDE, SIDE) for frame in frames]
        (vectors,) = self.session.run(["vectors"], {"images": np.stack(pictures)})
        return list(vectors)


def convert(weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Build the ONNX model of an EfficientNet-Lite0, batch norms folded into its convolutions.

    Args:
        weights: By the names of the package efficientnet-lite-pytorch.

    Returns:
        The model's bytes: ``images`` (batch x 224 x 224 x 3 of uint8, red first) give ``vectors`` (batch x 1280,
        centred and of length 1). Equal weights give equal bytes.

    Raises:
        ModelError: the weights are another network's.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = _Graph(weights)
    graph.build()
    made = helper.make_graph(
        graph.nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", DIMENSIONS])],
        [numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
    )
    model = helper.make_model(
        made, producer_name="humannet_ops", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def centre(weights: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return the mean embedding of a picture of ImageNet, as the weights themselves tell it.

    The last batch norm's outputs were made, over the training pictures, to have mean beta and standard deviation
    gamma. Taken as normal, their mean after ReLU6 follows, and averaging over the picture leaves a mean as it is. All
    embeddings are positive and share this large part, which makes any two pictures look alike.
    """
    beta, gamma = weights["_bn1.bias"].astype(np.float64), np.abs(weights["_bn1.weight"].astype(np.float64))
    means = [_mean_between(mean, deviation) for mean, deviation in zip(beta.tolist(), gamma.tolist(), strict=True)]
    return (np.round(np.array(means) / _CENTRE_STEP) * _CENTRE_STEP).astype(np.float32)


def _mean_between(mean: float, deviation: float) -> float:
    """Return the mean of a normal variable after clipping it to 0..6."""

    def below(limit: float) -> tuple[float, float]:
        z = (limit - mean) / deviation
        return (1 + erf(z / sqrt(2))) / 2, exp(-z * z / 2) / sqrt(2 * pi)

    if not deviation:
        return min(max(mean, 0.0), _CEILING)
    (share_0, density_0), (share_6, density_6) = below(0.0), below(_CEILING)
    return mean * (share_6 - share_0) + deviation * (density_0 - density_6) + _CEILING * (1 - share_6)


class _Graph:
    """Collects the nodes of an EfficientNet-Lite0 as the package efficientnet-lite-pytorch computes it."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def build(self) -> None:
        try:
            self._build()
        except KeyError as error:
            raise ModelError(f"the weights are not those of an EfficientNet-Lite0: {error} is missing") from error

    def _build(self) -> None:
        picture = self._op("Transpose", self._op("Cast", "images", to=1), perm=[0, 3, 1, 2])
        picture = self._op("Sub", picture, self._constant("mean", np.float32(_MEAN)))
        hidden = self._op("Mul", picture, self._constant("scale", np.float32(_SCALE)))
        hidden = self._relu6(self._convolution(hidden, "_conv_stem", "_bn0", stride=2))
        number = 0
        for blocks, stride in _STAGES:
            for at in range(blocks):
                hidden = self._block(hidden, f"_blocks.{number}", stride if at == 0 else 1)
                number += 1
        hidden = self._relu6(self._convolution(hidden, "_conv_head", "_bn1"))
        pooled = self._op("Flatten", self._op("GlobalAveragePool", hidden), axis=1)
        centred = self._op("Sub", pooled, self._constant("centre", centre(self.weights)))
        self._op("LpNormalization", centred, output="vectors", axis=1, p=2)

    def _block(self, hidden: str, name: str, stride: int) -> str:
        within = hidden
        if f"{name}._expand_conv.weight" in self.weights:
            within = self._relu6(self._convolution(within, f"{name}._expand_conv", f"{name}._bn0"))
        within = self._relu6(self._convolution(within, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride))
        within = self._convolution(within, f"{name}._project_conv", f"{name}._bn2")
        grown = self._channels(name) != len(self.weights[f"{name}._project_conv.weight"])
        return within if stride != 1 or grown else self._op("Add", within, hidden)

    def _channels(self, name: str) -> int:
        """Return the channels that a block takes."""
        first = self.weights.get(f"{name}._expand_conv.weight")
        # one that does not expand begins with its depthwise convolution: one filter a channel
        return int(first.shape[1] if first is not None else len(self.weights[f"{name}._depthwise_conv.weight"]))

    def _convolution(self, hidden: str, name: str, norm: str, stride: int = 1) -> str:
        kernel = self.weights[f"{name}.weight"].astype(np.float64)
        mean, variance, weight, bias = (
            self.weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        factor = weight / np.sqrt(variance + _EPSILON)
        return self._op(
            "Conv",
            hidden,
            self._constant(f"{name}.weight", (kernel * factor[:, None, None, None]).astype(np.float32)),
            self._constant(f"{name}.bias", (bias - mean * factor).astype(np.float32)),
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            group=len(kernel) if name.endswith("_depthwise_conv") else 1,
            # as TensorFlow's SAME, which the weights come from: the odd pixel goes to the bottom and to the right
            auto_pad="SAME_UPPER",
        )

    def _relu6(self, hidden: str) -> str:
        bounds = [self._constant("zero", np.float32(0)), self._constant("six", np.float32(_CEILING))]
        return self._op("Clip", hidden, *bounds)

    def _constant(self, name: str, values: Any) -> str:
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def _op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output
