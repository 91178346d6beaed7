"""The sentence model without torch gives what sentence-transformers gives with it."""

from __future__ import annotations

import numpy as np
import pytest

from humannet_ops.detectors.lock import ModelError, load_lock
from humannet_ops.detectors.sentence import Encoder, bert, open_encoder, read_safetensors
from humannet_ops.settings import settings

PHRASES = ["chopping onions", "cutting vegetables", "a man repairs a bicycle wheel in his garage", "", "Ünïcödé straße",
           "quarterly earnings call"]  # fmt: skip
# from sentence-transformers 6.2.0 with torch 2.13.0 on the same files
SIMILAR_TO_FIRST = [1.0, 0.58031607, 0.01928679, 0.16943878, -0.0276772, 0.09290959]
FIRST = [-0.05365888, -0.0041104, 0.02350605, 0.03511576, -0.09896366, -0.01247821]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return open_encoder(load_lock(settings().models), settings())


def test_vectors_are_those_of_sentence_transformers(encoder: Encoder) -> None:
    vectors = encoder.encode(PHRASES)
    assert vectors.shape == (6, 384)
    np.testing.assert_allclose(vectors[0, :6], FIRST, atol=1e-5)
    np.testing.assert_allclose(vectors @ vectors[0], SIMILAR_TO_FIRST, atol=1e-5)


def test_a_phrase_has_the_same_vector_alone_and_among_others(encoder: Encoder) -> None:
    many = [f"{phrase} {number}" for number in range(30) for phrase in PHRASES]
    together = encoder.encode(many)
    alone = np.concatenate([encoder.encode([phrase]) for phrase in many[:6]])
    np.testing.assert_allclose(together[:6], alone, atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)


def test_a_text_longer_than_the_model_reads_is_cut(encoder: Encoder) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(["chopping onions " * 2000]), axis=1), 1, atol=1e-5)


def test_without_the_model_the_error_names_the_cure() -> None:
    with pytest.raises(ModelError, match="Run `humannet models install`"):
        open_encoder(None, settings())


def test_weights_of_an_unknown_type_and_another_architecture_are_refused() -> None:
    header = b'{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
    with pytest.raises(ModelError, match="stored as F16"):
        read_safetensors(len(header).to_bytes(8, "little") + header + b"\0\0")
    config = {"hidden_act": "relu", "position_embedding_type": "absolute"}
    with pytest.raises(ModelError, match="BERT with relu"):
        bert({}, config)
