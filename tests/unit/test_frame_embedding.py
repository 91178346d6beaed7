"""The frame embedder without torch gives what torch gives; a file that asks for more than tensors is not loaded."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from humannet_ops.detectors import candidates, efficientnet
from humannet_ops.detectors.factory import open_frame_embedder
from humannet_ops.detectors.lock import ModelError, ModelFile, load_lock
from humannet_ops.detectors.torch_weights import read_weights
from humannet_ops.settings import Settings, settings

PIN = next(pin for pin in candidates.read_pins(Settings()) if pin.role == "frame_embedding" and not pin.own)
# from torch 2.13.0 with efficientnet-lite-pytorch 0.1.0 on the same weights: the first numbers for `picture(0)`,
# less the centre, of length 1
FIRST = [-0.01767897, -0.01293452, 0.00977129, -0.01418691, -0.01256497, -0.01211328]


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    assert PIN.source is not None
    return read_weights(ModelFile(PIN.source.name, PIN.package).path(Path()).read_bytes())


@pytest.fixture(scope="module")
def embedder() -> Any:
    return open_frame_embedder(load_lock(settings().models), settings())


def picture(seed: int, height: int = 224, width: int = 224) -> np.ndarray:
    """Blurred coloured noise, of many scales."""
    draw = np.random.default_rng(seed)
    grey = np.zeros((height, width, 3))
    for size in (4, 16, 64):
        rows, columns = np.arange(height) * size // height, np.arange(width) * size // width
        grey += draw.random((size, size, 3))[rows][:, columns]
    return (grey / 3 * 255).astype(np.uint8)


def test_embeddings_are_those_of_torch(embedder: Any) -> None:
    (vector,) = embedder.embed([picture(0)])
    np.testing.assert_allclose(vector[: len(FIRST)], FIRST, atol=1e-5)


def test_embeddings_are_those_of_torch_computed_here(embedder: Any, weights: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the default install has no torch")
    pictures = [picture(seed) for seed in range(4)]
    found = embedder.embed(pictures)
    expected = by_torch(torch, weights, np.stack(pictures)) - efficientnet.centre(weights)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def by_torch(torch: Any, weights: dict[str, Any], pictures: np.ndarray) -> np.ndarray:
    """Compute the network layer by layer as its authors describe it, nothing folded."""
    f = torch.nn.functional
    tensors = {name: torch.tensor(values) for name, values in weights.items()}

    def layer(hidden: Any, name: str, norm: str, stride: int = 1, *, active: bool = True) -> Any:
        kernel = tensors[f"{name}.weight"]
        size, side = kernel.shape[-1], hidden.shape[-1]
        pad = max((-(-side // stride) - 1) * stride + size - side, 0)
        hidden = f.pad(hidden, [pad // 2, pad - pad // 2] * 2)
        hidden = f.conv2d(hidden, kernel, stride=stride, groups=hidden.shape[1] // kernel.shape[1])
        parts = [tensors[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        hidden = f.batch_norm(hidden, *parts, eps=1e-3)
        return f.relu6(hidden) if active else hidden

    hidden = (torch.tensor(pictures).permute(0, 3, 1, 2).float() - 127) / 128
    hidden = layer(hidden, "_conv_stem", "_bn0", 2)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for number, stride in enumerate(strides):
        name, before = f"_blocks.{number}", hidden
        if f"{name}._expand_conv.weight" in tensors:
            hidden = layer(hidden, f"{name}._expand_conv", f"{name}._bn0")
        hidden = layer(hidden, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        hidden = layer(hidden, f"{name}._project_conv", f"{name}._bn2", active=False)
        hidden = hidden + before if hidden.shape == before.shape else hidden
    return np.asarray(layer(hidden, "_conv_head", "_bn1").mean((2, 3)))


def test_each_frame_is_looked_at_by_itself_whatever_its_size(embedder: Any) -> None:
    pictures = [picture(0), picture(1, 90, 160), picture(2, 1280, 720), *(picture(seed) for seed in range(3, 12))]
    together = embedder.embed(pictures)
    assert together.shape == (12, embedder.dimensions)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, np.concatenate([embedder.embed([one]) for one in pictures]), atol=1e-6)
    np.testing.assert_array_equal(together, embedder.embed(pictures))
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_the_centre_is_the_mean_of_a_clipped_normal(weights: dict[str, Any]) -> None:
    draws = np.random.default_rng(0).standard_normal(200_000)
    centre = efficientnet.centre(weights)
    assert centre.shape == (1280,)
    for at in (0, 500, 1279):
        clipped = np.clip(weights["_bn1.bias"][at] + abs(weights["_bn1.weight"][at]) * draws, 0, 6)
        assert centre[at] == pytest.approx(clipped.mean(), abs=0.005)


def test_weights_of_another_network_are_refused(weights: dict[str, Any]) -> None:
    less = {name: values for name, values in weights.items() if not name.startswith("_conv_head")}
    with pytest.raises(ModelError, match=r"not those of an EfficientNet-Lite0: '_conv_head\.weight' is missing"):
        efficientnet.convert(less)


# --- the file format


class Asks:
    """What a pickle would have called on loading."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def saved(state: Any, *, magic: int = 0x1950A86A20F9469CFC6C) -> bytes:
    head = b"".join(pickle.dumps(part, 2) for part in (magic, 1001, {"little_endian": True}))
    return head + pickle.dumps(state, 2) + pickle.dumps([], 2)


def test_a_file_that_asks_for_more_than_tensors_is_not_loaded(tmp_path: Path) -> None:
    made = tmp_path / "made"
    for function, arguments in ((Path.touch, (made,)), (eval, (f"open({str(made)!r}, 'w')",)), (io.open, (made, "w"))):
        with pytest.raises(ModelError, match="which no tensor needs: they are not loaded"):
            read_weights(saved(Asks(function, *arguments)))
    assert not made.exists()
    assert read_weights(saved(OrderedDict())) == {}


def test_what_is_no_such_file_or_ends_early_is_one_clear_line(weights: dict[str, Any]) -> None:
    assert PIN.source is not None
    whole = ModelFile(PIN.source.name, PIN.package).path(Path()).read_bytes()
    for content in (b"", b"PK\x03\x04 a newer file", whole[:10_000], whole[:-5_000_000], struct.pack("<q", 5)):
        with pytest.raises(ModelError) as raised:
            read_weights(content)
        assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match=r"before 1\.6"):
        read_weights(saved(OrderedDict(), magic=1))
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_bn1.num_batches_tracked"].dtype == np.int64
