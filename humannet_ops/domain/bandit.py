"""How a crawl's items are shared among keywords: by what each has brought, without forgetting the others.

A keyword is an arm of a bandit. The worth of one more item from it is a product of two things that only trying tells:
the share of its items that are new here and can be fetched, and the share of their hours that is kept. Each share has a
Beta posterior. The items are given out in blocks, each to the keyword with the greatest worth in a draw from the
posteriors: Thompson sampling (Chapelle and Li, An Empirical Evaluation of Thompson Sampling, NIPS 2011), which draws
anew for each block and so serves a batch whose results come in later (they show it under delay). Two things make this
bandit other than theirs. A keyword is used up within a crawl: its worth falls with the new videos that its blocks
should have brought already, against what a crawl of it brings usually; the less, the more of its items were new, for
then its end was not seen. And what it brings changes as people upload other things: counts fade with each crawl, which
is discounted Thompson sampling (Raj and Kalyani, Taming Non-stationary Bandits: A Bayesian Approach, arXiv 1707.09727).
tests/benchmarks/keyword_budget.py measures it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DISCOUNT = 0.97
"""What a crawl's counts weigh when one more has passed: half after 23 crawls."""
BLOCK = 10
"""Items that are given together: fewer are not worth a search."""
EXPLORED = 0.05
"""The least share of the items that goes to the keywords that were given least."""
OPTIMISM = 1.5
"""How much better than the average of its source a keyword is taken to be before it is tried."""
_PRIOR_VIDEOS = 3.0
# The prior of the share of items that are new: two of three, with three items' weight.
_FRESH, _STALE = 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Arm:
    """What a keyword has brought, each crawl's counts weighed by ``DISCOUNT`` to the number of crawls since.

    Attributes:
        keyword_id: The keyword.
        searches: Crawls that gave it items.
        items: Items that it was given.
        fresh: Videos that it made known and that were, or still may be, fetched.
        hours: Hours fetched whose way has ended.
        kept_hours: Those that were kept.
        squared_hours: The weighed sum of the squares of the videos' hours.
    """

    keyword_id: str
    searches: float = 0.0
    items: float = 0.0
    fresh: float = 0.0
    hours: float = 0.0
    kept_hours: float = 0.0
    squared_hours: float = 0.0

    def videos(self) -> float:
        """Return how many observations its hours are: Kish's effective size (Survey Sampling, 1965).

        A share of hours is no count: one long video is still one observation.
        """
        return self.hours**2 / max(self.squared_hours, 1e-12) if self.hours > 0 else 0.0

    def kept_share(self) -> float:
        """Return the share of its hours that was kept."""
        return min(1.0, self.kept_hours / self.hours) if self.hours > 0 else 0.0


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
    least = generator.permutation(len(ordered))
    least = least[np.argsort([ordered[at].items for at in least], kind="stable")]
    chosen = [int(least[turn % len(ordered)]) for turn in range(min(blocks, math.ceil(blocks * explored)))]
    chosen += _drawn(ordered, blocks - len(chosen), block, np.bincount(chosen, minlength=len(ordered)), generator)
    for turn, at in enumerate(chosen):
        given[ordered[at].keyword_id] += min(block, items - turn * block)
    return given


def prior(arms: Sequence[Arm]) -> tuple[float, float]:
    """Return the Beta prior of a keyword's kept share: better than the average of its source, which is known little of.

    Where nothing is known, a half: better than most keywords turn out to be.
    """
    hours, kept = sum(arm.hours for arm in arms), sum(arm.kept_hours for arm in arms)
    share = min(0.9, max(0.05, OPTIMISM * kept / hours)) if hours > 0 else 0.5
    return _PRIOR_VIDEOS * share, _PRIOR_VIDEOS * (1 - share)


def _drawn(
    arms: Sequence[Arm], blocks: int, block: int, begun: NDArray[np.intp], generator: np.random.Generator
) -> list[int]:
    """Choose a keyword for each block, by place; ``begun`` counts the blocks that each has already."""
    good, bad = prior(arms)
    videos = np.array([arm.videos() for arm in arms])
    share = np.array([arm.kept_share() for arm in arms])
    items = np.array([arm.items for arm in arms])
    fresh = np.minimum([arm.fresh for arm in arms], items)
    usual = (block + fresh) / (1 + np.array([arm.searches for arm in arms]))
    given = begun * float(block)
    chosen = []
    for _ in range(blocks):
        kept = generator.beta(good + videos * share, bad + videos * (1 - share))
        new = generator.beta(_FRESH + fresh, _STALE + items - fresh)
        # what is left of it: nothing is known to end where all was new (1 - new), and new items so far use up the rest
        at = int((kept * new * np.exp(-given * new * (1 - new) / usual)).argmax())
        given[at] += block
        chosen.append(at)
    return chosen
