"""What a strategy of expansion is: it proposes phrases from keywords and from texts of the videos they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from humannet_ops.catalog.keywords import Text
from humannet_ops.domain.keyword import Proposal


@dataclass(frozen=True, slots=True)
class Parent:
    """A keyword to propose from, with the texts of videos that it found, the kept ones first."""

    keyword_id: str
    phrase: str
    texts: Sequence[Text] = ()


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a strategy proposes, the best first, and why it proposes nothing, in words, where something is amiss."""

    proposals: Sequence[Proposal] = field(default_factory=tuple)
    fault: str | None = None


class Strategy(Protocol):
    """Proposes keywords. It raises nothing: a crawl goes on without new keywords."""

    def propose(self, parents: Sequence[Parent], known: Sequence[str], most: int) -> Proposed:
        """Propose at most ``most`` phrases.

        Args:
            parents: Keywords to propose from, the most worthwhile first.
            known: Every phrase that the source has or had.
            most: How many are wanted.
        """
