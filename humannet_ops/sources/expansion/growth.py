"""Growing a source's keywords: the strategies in turn, from the keywords that keep most."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from humannet_ops.catalog import keywords
from humannet_ops.catalog.keywords import Known
from humannet_ops.domain.keyword import Proposal, normalised, tidied
from humannet_ops.sources.expansion.llm import Llm
from humannet_ops.sources.expansion.nearest import Nearest
from humannet_ops.sources.expansion.protocol import Parent, Strategy
from humannet_ops.sources.expansion.taxonomy import Taxonomy

STRATEGIES: dict[str, type[Strategy]] = {"nearest": Nearest, "taxonomy": Taxonomy, "llm": Llm}
_PARENTS = 5
_TEXTS = 100


@dataclass
class Growth:
    """What an expansion added, and what kept a strategy from proposing, by its name."""

    added: list[Known] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


def grow(source: str, strategies: Sequence[str], most: int, phrase: str | None = None) -> Growth:
    """Add keywords to a source.

    Each strategy may propose its share of what is still wanted; what one does not use, the next may.

    Args:
        source: The source.
        strategies: Names of ``STRATEGIES``, in turn.
        most: How many keywords may be added.
        phrase: Propose from this keyword alone.

    Raises:
        LookupError: ``phrase`` is no keyword that can be proposed from.
    """
    growth = Growth()
    found = keywords.expandable(source, _PARENTS, phrase)
    if phrase is not None and not found:
        raise LookupError(f"{source} has no active keyword {phrase!r} that kept something or was not tried yet")
    if not found or most <= 0:
        return growth
    texts = keywords.texts([parent.keyword_id for parent in found], _TEXTS)
    parents = [Parent(parent.keyword_id, parent.phrase, texts[parent.keyword_id]) for parent in found]
    for turn, name in enumerate(strategies):
        quota = math.ceil((most - len(growth.added)) / (len(strategies) - turn))
        known = keywords.known_phrases(source)
        proposed = STRATEGIES[name]().propose(parents, known, quota)
        growth.added += keywords.add(source, _new(proposed.proposals, known)[:quota])
        if proposed.fault:
            growth.faults[name] = proposed.fault
    return growth


def _new(proposals: Iterable[Proposal], known: Sequence[str]) -> list[Proposal]:
    """Return the proposals that can be searched for and are not known, each once."""
    taken = {normalised(phrase) for phrase in known}
    found: dict[str, Proposal] = {}
    for proposal in proposals:
        with suppress(ValueError):
            name = normalised(tidied(proposal.phrase))
            if name not in taken:
                found.setdefault(name, proposal)
    return list(found.values())
