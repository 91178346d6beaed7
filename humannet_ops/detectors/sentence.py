"""Sentence embeddings: phrases that mean alike lie close together."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from humannet_ops.detectors.lock import ModelError, ModelLock
from humannet_ops.detectors.onnx_session import open_session
from humannet_ops.settings import Settings

if TYPE_CHECKING:
    from onnx import NodeProto

Vectors = NDArray[np.float32]
OPSET, IR_VERSION = 20, 10
_MOST_TOKENS = 256  # the model's own limit
_BATCH = 64


class Encoder(Protocol):
    """A loaded sentence model."""

    release: str
    """``name@revision``, as keywords record it."""

    def encode(self, phrases: Sequence[str]) -> Vectors:
        """Return one vector of length 1 a phrase (phrases x dimensions): their products are cosine similarities."""


def open_encoder(lock: ModelLock | None, config: Settings) -> Encoder:
    """Load the sentence model after comparing its file with the lock.

    Raises:
        ModelError: the model is missing or changed.
    """
    if lock is None:
        raise ModelError("No models are installed. Run `humannet models install`.")
    model = lock["sentence"]
    model.verify()
    return MiniLM(model.release, model.path, device=config.device, threads=config.threads)


class MiniLM:
    """A BERT with mean pooling: sentence-transformers' files in a zip, run by onnxruntime without torch."""

    def __init__(self, release: str, path: Path, *, device: str, threads: int) -> None:
        from tokenizers import Tokenizer

        self.release = release
        with zipfile.ZipFile(path) as files:
            config = json.loads(files.read("config.json"))
            weights = read_safetensors(files.read("model.safetensors"))
            self.tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
        self.tokenizer.enable_truncation(_MOST_TOKENS)
        self.tokenizer.enable_padding()
        self.session = open_session(bert(weights, config), device=device, threads=threads)

    def encode(self, phrases: Sequence[str]) -> Vectors:
        """Return one vector of length 1 a phrase (phrases x 384)."""
        found = np.zeros((len(phrases), 384), np.float32)
        # of like length, so that little is padded
        order = sorted(range(len(phrases)), key=lambda at: len(phrases[at]))
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            tokens = self.tokenizer.encode_batch([phrases[at] for at in places])
            ids = np.array([each.ids for each in tokens], np.int64)
            mask = np.array([each.attention_mask for each in tokens], np.float32)
            (found[places],) = self.session.run(None, {"ids": ids, "mask": mask})
        return found


def read_safetensors(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a safetensors file: a length, a JSON header, and the bytes that it tells the places of.

    Raises:
        ModelError: a tensor has another type than float32 or int64.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    types: dict[str, str] = {"F32": "<f4", "I64": "<i8"}
    tensors = {}
    for name, entry in json.loads(content[8:start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in types:
            raise ModelError(f"tensor {name} is stored as {entry['dtype']}, which is not known here")
        first, last = entry["data_offsets"]
        flat = np.frombuffer(content[start + first : start + last], np.dtype(types[entry["dtype"]]))
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def bert(weights: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> bytes:
    """Build a BERT encoder with mean pooling and normalisation as an ONNX model.

    Args:
        weights: By the names of Hugging Face's BertModel.
        config: Its config.json: heads, layers, epsilon.

    Returns:
        The model: ``ids`` (batch x tokens) and ``mask`` (1 where there is a token) give ``vectors``.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = _Bert(weights, config)
    pooled = graph.pooled(graph.encoded())
    made = helper.make_graph(
        [*graph.nodes, helper.make_node("Identity", [pooled], ["vectors"])],
        "bert",
        [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", "tokens"]),
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", config["hidden_size"]])],
        [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


class _Bert:
    """Collects the nodes of a BERT (Devlin et al., 2019) as Hugging Face's BertModel computes it."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        if (config["hidden_act"], config["position_embedding_type"]) != ("gelu", "absolute"):
            raise ModelError(f"a BERT with {config['hidden_act']} and {config['position_embedding_type']} positions")
        self.weights, self.config = weights, config
        self.heads, self.size = int(config["num_attention_heads"]), int(config["hidden_size"])
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def encoded(self) -> str:
        """Return the last layer's output, batch x tokens x size."""
        words = self._op("Gather", self._weight("embeddings.word_embeddings.weight"), "ids")
        length = self._op("Shape", "ids", start=1)
        positions = self._op(
            "Slice", self._weight("embeddings.position_embeddings.weight"), self._constant("zero", [0]), length,
            self._constant("zero", [0]),
        )  # fmt: skip
        kind = self._constant("kind", self.weights["embeddings.token_type_embeddings.weight"][0])
        hidden = self._norm(self._op("Add", self._op("Add", words, positions), kind), "embeddings.LayerNorm")
        # what is padding is looked at by nobody: its attention is so low that softmax makes 0 of it
        absent = self._op("Sub", self._constant("one", np.float32(1)), "mask")
        bias = self._op("Mul", absent, self._constant("low", np.float32(-1e9)))
        bias = self._op("Unsqueeze", bias, self._constant("middle", [1, 2]))
        for layer in range(int(self.config["num_hidden_layers"])):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, bias)
        return hidden

    def pooled(self, hidden: str) -> str:
        """Return the mean over the tokens, of length 1."""
        mask = self._op("Unsqueeze", "mask", self._constant("last", [2]))
        first = self._constant("first", [1])
        total = self._op("ReduceSum", self._op("Mul", hidden, mask), first, keepdims=0)
        mean = self._op("Div", total, self._op("ReduceSum", mask, first, keepdims=0))
        return self._op("LpNormalization", mean, axis=1, p=2)

    def _layer(self, name: str, hidden: str, bias: str) -> str:
        query, key, value = (
            self._split(self._linear(hidden, f"{name}.attention.self.{part}")) for part in ("query", "key", "value")
        )
        scale = self._constant("scale", np.float32((self.size // self.heads) ** -0.5))
        scores = self._op("Mul", self._op("MatMul", query, self._op("Transpose", key, perm=[0, 1, 3, 2])), scale)
        attention = self._op("Softmax", self._op("Add", scores, bias), axis=-1)
        seen = self._op("Transpose", self._op("MatMul", attention, value), perm=[0, 2, 1, 3])
        seen = self._op("Reshape", seen, self._constant("together", [0, 0, self.size]))
        seen = self._linear(seen, f"{name}.attention.output.dense")
        hidden = self._norm(self._op("Add", seen, hidden), f"{name}.attention.output.LayerNorm")
        wide = self._op("Gelu", self._linear(hidden, f"{name}.intermediate.dense"))
        narrow = self._linear(wide, f"{name}.output.dense")
        return self._norm(self._op("Add", narrow, hidden), f"{name}.output.LayerNorm")

    def _split(self, hidden: str) -> str:
        apart = self._constant("apart", [0, 0, self.heads, self.size // self.heads])
        return self._op("Transpose", self._op("Reshape", hidden, apart), perm=[0, 2, 1, 3])

    def _linear(self, hidden: str, name: str) -> str:
        factors = self._constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self._op("Add", self._op("MatMul", hidden, factors), self._weight(f"{name}.bias"))

    def _norm(self, hidden: str, name: str) -> str:
        return self._op(
            "LayerNormalization", hidden, self._weight(f"{name}.weight"), self._weight(f"{name}.bias"),
            axis=-1, epsilon=float(self.config["layer_norm_eps"]),
        )  # fmt: skip

    def _weight(self, name: str) -> str:
        return self._constant(name, self.weights[name])

    def _constant(self, name: str, value: Any) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def _op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output
