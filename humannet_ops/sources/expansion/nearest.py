"""Nearest phrases: what is said about the videos that a keyword found, near to it in meaning and unlike what is known.

Phrases are ranked by maximal marginal relevance (Carbonell and Goldstein, The Use of MMR, SIGIR 1998) over sentence
embeddings, as KeyBERT (Grootendorst, 2020) takes keyphrases from a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, zip_longest

import numpy as np

from humannet_ops.detectors.lock import ModelError, load_lock
from humannet_ops.detectors.sentence import Encoder, Vectors, open_encoder
from humannet_ops.domain.keyword import Proposal
from humannet_ops.settings import settings
from humannet_ops.sources.expansion.phrases import candidates
from humannet_ops.sources.expansion.protocol import Parent, Proposed

RELEVANCE = 0.6
"""What likeness to the keyword weighs in MMR; the rest is unlikeness to known phrases."""
LEAST_ALIKE = 0.3
"""A phrase less like its keyword (cosine) is about something else. Unrelated phrases have -0.1 to 0.2, kneading dough
and making bread 0.55, chopping onions and knife skills 0.40."""
MOST_ALIKE = 0.7
"""A phrase more like a known one (cosine) is the same search in other words. Chopping onions and dicing onions have
0.78, repairing a bicycle and fixing a bike 0.87, chopping onions and chopping carrots 0.69."""
_MOST_CANDIDATES = 200


@cache
def packaged_encoder() -> Encoder:
    """Return the installed sentence model, loaded once a process.

    Raises:
        ModelError: it is not installed.
    """
    return open_encoder(load_lock(settings().models), settings())


class Nearest:
    """Proposes phrases of the videos that a keyword found."""

    def propose(self, parents: Sequence[Parent], known: Sequence[str], most: int) -> Proposed:
        """Propose each parent's best phrase, then each one's second best, and so on."""
        offered = {parent.keyword_id: candidates(parent.texts, _MOST_CANDIDATES) for parent in parents}
        parents = [parent for parent in parents if offered[parent.keyword_id]]
        if not parents:
            return Proposed()
        try:
            encoder = packaged_encoder()
        except ModelError as error:
            return Proposed(fault=str(error))
        had = encoder.encode([*(parent.phrase for parent in parents), *known])
        ranks = [
            self._ranked(encoder, parent, offered[parent.keyword_id], had[place], had, most)
            for place, parent in enumerate(parents)
        ]
        in_turn = [proposal for proposal in chain.from_iterable(zip_longest(*ranks)) if proposal]
        return Proposed(_apart(encoder, in_turn)[:most])

    @staticmethod
    def _ranked(
        encoder: Encoder, parent: Parent, phrases: Sequence[str], query: Vectors, known: Vectors, most: int
    ) -> list[Proposal]:
        chosen = marginally_relevant(encoder.encode(phrases), query, known, most)
        by = f"nearest ({encoder.release})"
        return [Proposal(phrases[at], by, parent.keyword_id) for at in chosen]


def marginally_relevant(vectors: Vectors, query: Vectors, known: Vectors, most: int) -> Iterator[int]:
    """Give out the places of phrases by maximal marginal relevance, the best first.

    Args:
        vectors: The phrases' embeddings of length 1, phrases x dimensions.
        query: The keyword's embedding.
        known: Embeddings of what they shall be unlike.
        most: How many are wanted.
    """
    alike = vectors @ query
    repeats = (vectors @ known.T).max(axis=1)
    left = alike >= LEAST_ALIKE
    for _ in range(most):
        left &= repeats <= MOST_ALIKE
        if not left.any():
            return
        best = int(np.where(left, RELEVANCE * alike - (1 - RELEVANCE) * repeats, -np.inf).argmax())
        yield best
        left[best] = False
        repeats = np.maximum(repeats, vectors @ vectors[best])


def _apart(encoder: Encoder, proposals: Sequence[Proposal]) -> list[Proposal]:
    """Leave out what repeats an earlier proposal of another keyword."""
    vectors = encoder.encode([proposal.phrase for proposal in proposals])
    taken: list[int] = []
    for at in range(len(proposals)):
        if not taken or (vectors[taken] @ vectors[at]).max() <= MOST_ALIKE:
            taken.append(at)
    return [proposals[at] for at in taken]
