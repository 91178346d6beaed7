"""What a crawl day searches for: seeds, what grew from them, and each one's share of the day's items."""

from __future__ import annotations

import logging

from humannet_ops.catalog import keywords
from humannet_ops.domain.bandit import shared
from humannet_ops.sources.config import SourceConfig
from humannet_ops.sources.expansion.growth import grow
from humannet_ops.sources.protocol import Keyword
from humannet_ops.sources.searching import Searching

logger = logging.getLogger(__name__)


def to_search(config: SourceConfig, uri: str, partition_key: str) -> list[Keyword]:
    """Return the keywords of a crawl day with their items.

    The first crawl of a day grows the keywords and fixes the shares, whether the day is today or a backfilled one;
    another crawl of the same day repeats it, without what was paused meanwhile.

    Raises:
        TypeError: the source's kind says that it searches, but its configuration names no seeds.
    """
    if not isinstance(config, Searching):
        raise TypeError(f"the kind {config.kind} searches, so its configuration must extend Searching")
    source = config.source
    keywords.plant(source, config.kind, uri, config.seeds)
    if not keywords.has_budget(source, partition_key):
        _renew(config, source)
    given = keywords.budget(
        source, partition_key, lambda arms: shared(config.items_per_crawl, arms, f"{source} {partition_key}")
    )
    return [Keyword(each.keyword_id, each.phrase, each.items) for each in given]


def _renew(config: Searching, source: str) -> None:
    """Retire what had its chance and propose others in its place."""
    retired = keywords.retire_poor(
        source, after_videos=config.retire.after_videos, kept_share_below=config.retire.kept_share_below
    )
    for phrase, reason in retired.items():
        logger.info("%s: keyword %r is retired: %s", source, phrase, reason)
    room = config.max_keywords - keywords.count_active(source)
    growth = grow(source, config.expansion.strategies, min(room, config.expansion.new_per_crawl))
    for added in growth.added:
        logger.info("%s: new keyword %r", source, added.phrase)
    for strategy, fault in growth.faults.items():
        logger.warning("%s: %s proposed nothing: %s", source, strategy, fault)
