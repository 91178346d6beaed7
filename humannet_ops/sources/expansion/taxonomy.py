"""A taxonomy of everyday activities: a keyword's children, and its siblings by object and by verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, zip_longest
from pathlib import Path

import yaml

from humannet_ops.domain.keyword import Proposal, normalised
from humannet_ops.sources.expansion.protocol import Parent, Proposed

Tree = Mapping[str, Mapping[str, Sequence[str]]]
"""Field -> verb -> objects."""
_FILE = Path(__file__).with_name("activities.yaml")


@cache
def activities() -> Tree:
    """Read the packaged taxonomy."""
    tree: Tree = yaml.safe_load(_FILE.read_text())
    return tree


class Taxonomy:
    """Proposes neighbours among everyday activities."""

    def propose(self, parents: Sequence[Parent], known: Sequence[str], most: int) -> Proposed:
        """Propose each parent's next neighbour that is not known, then each one's second next, and so on."""
        taken = {normalised(phrase) for phrase in known}
        walks = [
            [Proposal(phrase, "taxonomy", parent.keyword_id) for phrase in islice(_new(parent.phrase, taken), most)]
            for parent in parents
        ]
        found: dict[str, Proposal] = {}
        for proposal in chain.from_iterable(zip_longest(*walks)):
            if proposal:
                found.setdefault(proposal.phrase, proposal)
        return Proposed(list(found.values())[:most])


def _new(phrase: str, taken: set[str]) -> Iterator[str]:
    return (neighbour for neighbour in neighbours(phrase) if neighbour not in taken)


def neighbours(phrase: str, tree: Tree | None = None) -> Iterator[str]:
    """Give out activities near a phrase, the nearest first. What else the phrase says stays: ``pov chopping carrots``.

    A field has its activities as children, a verb its objects. An activity has the same verb with other objects as
    siblings, then other verbs of its field with the same object.
    """
    tree = activities() if tree is None else tree
    text = normalised(phrase)
    words = text.split()
    for verbs in tree.values():
        for verb, objects in verbs.items():
            for thing in objects:
                if _within(f"{verb} {thing}", words):
                    siblings = [f"{verb} {other}" for other in objects if other != thing]
                    siblings += [f"{other} {thing}" for other in verbs if other != verb and thing in verbs[other]]
                    yield from (_instead(text, f"{verb} {thing}", sibling) for sibling in siblings)
                    return
    for field, verbs in tree.items():
        for verb, objects in verbs.items():
            if _within(verb, words):
                yield from (_instead(text, verb, f"{verb} {thing}") for thing in objects)
                return
        if _within(field, words):
            # one object a verb at first: the field as a whole before its corners
            for things in zip_longest(*([f"{verb} {thing}" for thing in objects] for verb, objects in verbs.items())):
                yield from (_instead(text, field, activity) for activity in things if activity)
            return


def _within(part: str, words: Sequence[str]) -> bool:
    size = len(part.split())
    return any(" ".join(words[at : at + size]) == part for at in range(len(words) - size + 1))


def _instead(text: str, part: str, other: str) -> str:
    return f" {text} ".replace(f" {part} ", f" {other} ", 1).strip()
