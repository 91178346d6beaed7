"""How a crawl's items are shared among keywords: by what each has brought, without forgetting the others.

A keyword is an arm of a bandit. Its worth for one more item is the product of two unknown shares: how many of the items
that it offers are new here and can be fetched, and how many of their hours are kept. Each has a Beta posterior, and the
items are given out in blocks, each to the keyword with the greatest worth in a draw from the posteriors: Thompson
sampling (Chapelle and Li, An Empirical Evaluation of Thompson Sampling, NIPS 2011), which draws anew for each block and
so serves a batch whose results come in later (they show it under delay). What a search brings changes (it is used up,
people upload other things), so counts fade with each crawl: discounted Thompson sampling (Raj and Kalyani, Taming
Non-stationary Bandits: A Bayesian Approach, arXiv 1707.09727).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DISCOUNT = 0.97
"""What a crawl's counts weigh when one more has passed: half after 23 crawls."""
BLOCK = 10
"""Items that are given together: fewer are not worth a search."""
EXPLORED = 0.1
"""The least share of the items that goes to the keywords tried least."""
# A new keyword is taken for better than most turn out to be, so that it is tried soon; three videos' weight, so that
# a few real ones correct it.
_KEPT_PRIOR = (2.0, 1.0)
_FRESH_PRIOR = (2.0, 1.0)


@dataclass(frozen=True, slots=True)
class Arm:
    """What a keyword has brought, each crawl's counts weighed by ``DISCOUNT`` to the number of crawls since.

    Attributes:
        keyword_id: The keyword.
        items: Items that it was given.
        fresh: Videos that it made known and that were, or still may be, fetched.
        hours: Hours fetched whose way has ended.
        kept_hours: Those that were kept.
        squared_hours: The weighed sum of the squares of the videos' hours.
    """

    keyword_id: str
    items: float = 0.0
    fresh: float = 0.0
    hours: float = 0.0
    kept_hours: float = 0.0
    squared_hours: float = 0.0

    def kept(self) -> tuple[float, float]:
        """Return the Beta posterior of the kept share of its hours.

        A share of hours is no count: it weighs as much as Kish's effective number of videos (Survey Sampling, 1965),
        so that one long video is still one observation.
        """
        if self.hours <= 0:
            return _KEPT_PRIOR
        videos = self.hours**2 / max(self.squared_hours, 1e-12)
        share = min(1.0, self.kept_hours / self.hours)
        return _KEPT_PRIOR[0] + videos * share, _KEPT_PRIOR[1] + videos * (1 - share)

    def fresh_items(self) -> tuple[float, float]:
        """Return the Beta posterior of the share of its items that are new and can be fetched."""
        fresh = min(self.fresh, self.items)
        return _FRESH_PRIOR[0] + fresh, _FRESH_PRIOR[1] + self.items - fresh


def shared(
    items: int, arms: Sequence[Arm], seed: str, *, block: int = BLOCK, explored: float = EXPLORED
) -> Counter[str]:
    """Share a crawl's items among keywords.

    Args:
        items: How many there are.
        arms: The keywords that may be searched.
        seed: What the draws follow from: the source and the crawl day.
        block: Items that are given together; the last block may be smaller.
        explored: The least share of the blocks that goes to the keywords that were given least.

    Returns:
        Items by keyword; together exactly ``items``, unless there is no keyword. Equal arguments give equal shares.
    """
    given: Counter[str] = Counter()
    if not arms or items <= 0:
        return given
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    ordered = sorted(arms, key=lambda arm: arm.keyword_id)
    blocks = math.ceil(items / block)
    exploring = min(blocks, math.ceil(blocks * explored))
    least = generator.permutation(len(ordered))
    least = least[np.argsort([ordered[at].items for at in least], kind="stable")]
    chosen = [int(least[turn % len(ordered)]) for turn in range(exploring)]
    chosen += _drawn(ordered, blocks - exploring, generator)
    for turn, at in enumerate(chosen):
        given[ordered[at].keyword_id] += min(block, items - turn * block)
    return given


def _drawn(arms: Sequence[Arm], blocks: int, generator: np.random.Generator) -> list[int]:
    kept = np.array([arm.kept() for arm in arms])
    fresh = np.array([arm.fresh_items() for arm in arms])
    size = (blocks, len(arms))
    worth = generator.beta(kept[:, 0], kept[:, 1], size) * generator.beta(fresh[:, 0], fresh[:, 1], size)
    return [int(at) for at in worth.argmax(axis=1)]
