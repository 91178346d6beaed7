"""The keyword repository: what a source is searched for, what each phrase brought, and what it is given next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.domain.bandit import DISCOUNT, Arm
from humannet_ops.domain.keyword import Proposal, identify, normalised, tidied


@dataclass(frozen=True, slots=True)
class Known:
    """A keyword of the repository."""

    keyword_id: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Given:
    """A keyword with the items that a crawl day gives it."""

    keyword_id: str
    phrase: str
    items: int


@dataclass(frozen=True, slots=True)
class Text:
    """What a source says about a video, and whether any of it was kept."""

    title: str
    tags: tuple[str, ...]
    description: str
    kept: bool


def plant(source: str, kind: str, uri: str, seeds: Sequence[str]) -> None:
    """Make a source's seeds active keywords, and retire the seeds that its file names no more.

    What a person paused stays paused.
    """
    with connect() as link, transaction(link):
        queries().upsert_source(link, source=source, kind=kind, uri=uri)
        queries().lock_keywords(link, source=source)
        _insert(link, source, [Proposal(phrase, "seed") for phrase in seeds])
        ids = [identify(source, phrase) for phrase in seeds]
        queries().activate_keywords(link, keyword_ids=ids, from_statuses=["retired"])
        queries().retire_other_seeds(link, source=source, keyword_ids=ids)


def add(source: str, proposals: Iterable[Proposal]) -> list[Known]:
    """Add phrases to a source's keywords and return those that it had not.

    Raises:
        ValueError: one is no phrase to search for.
    """
    with connect() as link, transaction(link):
        return _insert(link, source, list(proposals))


def _insert(link: Connection, source: str, proposals: Sequence[Proposal]) -> list[Known]:
    by_id: dict[str, Proposal] = {}
    for proposal in proposals:
        by_id.setdefault(identify(source, proposal.phrase), proposal)
    phrases = [tidied(proposal.phrase) for proposal in by_id.values()]
    rows = queries().insert_keywords(
        link,
        source=source,
        keyword_ids=list(by_id),
        phrases=phrases,
        normalised=[normalised(phrase) for phrase in phrases],
        parents=[proposal.parent for proposal in by_id.values()],
        proposed_by=[proposal.proposed_by for proposal in by_id.values()],
    )
    new = {row["keyword_id"]: row["phrase"] for row in rows}
    return [Known(keyword_id, new[keyword_id]) for keyword_id in by_id if keyword_id in new]


def activate(source: str, phrase: str) -> None:
    """Let a phrase that was paused or retired be searched for again."""
    with connect() as link, transaction(link):
        ids = [identify(source, phrase)]
        queries().activate_keywords(link, keyword_ids=ids, from_statuses=["paused", "retired"])


def pause(source: str, phrase: str, reason: str) -> str:
    """Stop searching for a phrase and return it as the catalog has it.

    Raises:
        LookupError: the source has no such keyword.
    """
    with connect() as link, transaction(link):
        paused = queries().pause_keyword(link, keyword_id=identify(source, phrase), reason=reason)
    if paused is None:
        raise LookupError(f"{source} has no keyword {phrase!r}: `humannet keyword list --source {source}`")
    return str(paused)


def retire_poor(source: str, *, after_videos: int, kept_share_below: float) -> dict[str, str]:
    """Retire proposed keywords of which too little was kept; return their phrases with the reasons."""
    with connect() as link, transaction(link):
        rows = queries().retire_poor_keywords(
            link, source=source, after_videos=after_videos, kept_share_below=kept_share_below
        )
        return {row["phrase"]: row["reason"] for row in rows}


def known_phrases(source: str) -> list[str]:
    """Return every phrase that a source has or had."""
    with connect() as link:
        return [row["phrase"] for row in queries().known_phrases(link, source=source)]


def count_active(source: str) -> int:
    """Return how many phrases a source is searched for."""
    with connect() as link:
        return int(queries().count_active_keywords(link, source=source))


def expandable(source: str, most: int, phrase: str | None = None) -> list[Known]:
    """Return the keywords to propose others from, the most worthwhile first; only ``phrase`` where it is given."""
    wanted = normalised(phrase) if phrase is not None else None
    with connect() as link:
        return [Known(**row) for row in queries().expandable_keywords(link, source=source, most=most, phrase=wanted)]


def texts(keyword_ids: Sequence[str], most: int) -> dict[str, list[Text]]:
    """Return what is said about the videos that keywords found, at most ``most`` a keyword, the kept ones first."""
    found: dict[str, list[Text]] = {keyword_id: [] for keyword_id in keyword_ids}
    with connect() as link:
        for row in queries().keyword_texts(link, keyword_ids=list(keyword_ids), most=most):
            tags = row["tags"] if isinstance(row["tags"], list) else []
            found[row["keyword_id"]].append(
                Text(row["title"] or "", tuple(str(tag) for tag in tags), row["description"] or "", row["kept"])
            )
    return found


def has_budget(source: str, partition_key: str) -> bool:
    """Say whether a crawl day has its shares already."""
    with connect() as link:
        return bool(queries().has_keyword_budget(link, source=source, partition_key=partition_key))


def budget(source: str, partition_key: str, share: Callable[[Sequence[Arm]], Mapping[str, int]]) -> list[Given]:
    """Return what a crawl day gives to each keyword: as it was fixed when it was first asked, or else now.

    Args:
        source: The source.
        partition_key: The crawl day.
        share: Shares the day's items among the active keywords, by ``keyword_id``.
    """
    with connect() as link, transaction(link):
        queries().lock_keywords(link, source=source)
        where = {"source": source, "partition_key": partition_key}
        if not queries().has_keyword_budget(link, **where):
            arms = [Arm(**row) for row in queries().keyword_arms(link, source=source, discount=DISCOUNT)]
            given = {keyword_id: items for keyword_id, items in share(arms).items() if items > 0}
            queries().insert_keyword_budget(
                link, partition_key=partition_key, keyword_ids=list(given), items=list(given.values())
            )
        return [Given(**row) for row in queries().keyword_budget(link, **where)]
