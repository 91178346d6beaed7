"""What kinds that search say about their keywords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from humannet_ops.domain.keyword import normalised, tidied
from humannet_ops.sources.config import Strict, Threshold

Strategy = Literal["nearest", "taxonomy", "llm"]


class Expansion(Strict):
    """How keywords are proposed from what keywords brought.

    Attributes:
        strategies: Who proposes, in turn: ``nearest`` (phrases of the videos found, by the sentence model),
            ``taxonomy`` (neighbours among everyday activities), ``llm`` (the endpoint of ``HUMANNET_LLM_URL``, passed
            over where none is set).
        new_per_crawl: How many keywords a crawl day may add.
    """

    strategies: Sequence[Strategy] = ("nearest", "taxonomy", "llm")
    new_per_crawl: Annotated[int, Field(ge=0)] = 3


class Searching(Strict):
    """What a source that searches says beside what its kind says.

    Attributes:
        seeds: The phrases to begin with.
        items_per_crawl: How many items a crawl day may bring, shared among the keywords by what each has brought.
        max_keywords: How many keywords may be active; then no more are proposed.
        expansion: How keywords are proposed.
        retire: When a proposed keyword has had its chance.
    """

    seeds: Annotated[list[str], Field(min_length=1)]
    items_per_crawl: Annotated[int, Field(ge=1)] = 200
    max_keywords: Annotated[int, Field(ge=1)] = 200
    expansion: Expansion = Expansion()
    retire: Threshold = Threshold(after_videos=30, kept_share_below=0.02)

    @field_validator("seeds")
    @classmethod
    def _are_phrases(cls, value: list[str]) -> list[str]:
        seeds = [tidied(phrase) for phrase in value]
        names = [normalised(phrase) for phrase in seeds]
        if twice := next((phrase for at, phrase in enumerate(seeds) if names[at] in names[:at]), None):
            raise ValueError(f"{twice!r} is there twice")
        return seeds
