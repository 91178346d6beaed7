"""What clips are labelled with: the tree of ``taxonomy.yaml``, checked when it is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_FILE = Path(__file__).with_name("taxonomy.yaml")
_SLUG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NODE_KEYS = frozenset({"name", "is", "also", "implies", "nodes"})
_FACET_KEYS = frozenset({"name", "is", "levels", "multiple", "nodes"})
IMPLIED = "interaction"
"""The facet that ``implies`` of a node of another facet names nodes of."""


class TaxonomyError(ValueError):
    """The taxonomy is wrong, or a label is not in it; the message names the place and the cure."""


@dataclass(frozen=True, slots=True)
class Node:
    """One class.

    Attributes:
        facet: The tree it stands in.
        path: Slugs from the first level down, joined by ``/``.
        name: For people.
        definition: One phrase.
        synonyms: Other words for it.
        implies: Interactions that it always has.
    """

    facet: str
    path: str
    name: str
    definition: str
    synonyms: tuple[str, ...] = ()
    implies: tuple[str, ...] = ()

    @property
    def level(self) -> int:
        """1 for a first class, 2 for its children, 3 for theirs."""
        return self.path.count("/") + 1

    @property
    def parent(self) -> str | None:
        """The path of the node above."""
        return self.path.rpartition("/")[0] or None

    @property
    def phrases(self) -> tuple[str, ...]:
        """All that is said of the node itself, the definition first."""
        return (self.definition, self.name.lower(), *self.synonyms)


@dataclass(frozen=True, slots=True)
class Facet:
    """One tree of classes; ``multiple`` where a clip may have several."""

    slug: str
    name: str
    definition: str
    levels: int
    multiple: bool
    nodes: Mapping[str, Node]

    def at(self, level: int) -> list[Node]:
        """Return the nodes of a level, in the file's order."""
        return [node for node in self.nodes.values() if node.level == level]

    def below(self, path: str | None) -> list[Node]:
        """Return a node's children; of None the first level."""
        return [node for node in self.nodes.values() if node.parent == path]

    def within(self, path: str) -> list[Node]:
        """Return a node and all that is below it."""
        return [node for node in self.nodes.values() if node.path == path or node.path.startswith(f"{path}/")]


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All facets. ``version`` is ``<revision>-<8 hex of the content>``: two contents never share one."""

    version: str
    facets: Mapping[str, Facet]

    def nodes(self) -> Iterator[Node]:
        """Give out the nodes of every facet, parents before children."""
        for facet in self.facets.values():
            yield from facet.nodes.values()

    def node(self, facet: str, path: str) -> Node:
        """Return the node that a label names.

        Raises:
            TaxonomyError: there is none.
        """
        tree = self.facets.get(facet)
        if tree is None:
            raise TaxonomyError(f"no facet {facet!r} in taxonomy {self.version}; it has {', '.join(self.facets)}")
        found = tree.nodes.get(path)
        if found is None:
            stem = path
            while stem and stem not in tree.nodes:
                stem = stem.rpartition("/")[0]
            near = ", ".join(node.path for node in tree.below(stem or None)) or f"nothing: {stem} is a leaf"
            raise TaxonomyError(
                f"label {path!r} is not in facet {facet} of taxonomy {self.version}: below {stem or facet} there is "
                f"{near}. Use one of these, or add the node to humannet_ops/domain/taxonomy.yaml."
            )
        return found


@cache
def taxonomy() -> Taxonomy:
    """Return the packaged taxonomy, read once a process."""
    return parse(_FILE.read_text(encoding="utf-8"))


def parse(text: str) -> Taxonomy:
    """Read a taxonomy.

    Raises:
        TaxonomyError: it is not one; the message says where.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise TaxonomyError(f"the taxonomy is no YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"revision", "facets"}:
        raise TaxonomyError("the taxonomy has `revision` and `facets` at its top, and nothing else")
    revision = content["revision"]
    if type(revision) is not int or revision < 1:
        raise TaxonomyError(f"revision: {revision!r} is no positive whole number")
    facets = {slug: _facet(slug, body) for slug, body in _mapping(content["facets"], "facets").items()}
    _check_implied(facets)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return Taxonomy(f"{revision}-{digest}", facets)


class _Loader(yaml.CSafeLoader):
    """YAML that refuses a key which stands twice, where the last one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise TaxonomyError(
                    f"line {line}: duplicate slug {key.value!r}, first in line {seen[key.value]}: "
                    "slugs of one parent differ"
                )
            seen[key.value] = line
        return super().construct_mapping(node, deep=deep)


def _facet(slug: str, body: Any) -> Facet:
    _check_slug(slug, "facets")
    fields = _mapping(body, slug)
    _check_keys(fields, _FACET_KEYS, slug)
    levels = fields.get("levels")
    if type(levels) is not int or levels < 1:
        raise TaxonomyError(f"{slug}: levels: {levels!r} is no positive whole number")
    nodes: dict[str, Node] = {}
    for child, its in _mapping(fields.get("nodes"), f"{slug}: nodes").items():
        for node in _nodes(slug, child, its, levels):
            nodes[node.path] = node
    return Facet(
        slug,
        fields.get("name") or _named(slug),
        _text(fields.get("is"), f"{slug}: is"),
        levels,
        bool(fields.get("multiple", False)),
        nodes,
    )


def _nodes(facet: str, path: str, body: Any, levels: int) -> Iterator[Node]:
    where = f"{facet}: {path}"
    _check_slug(path.rpartition("/")[2], where)
    if path.count("/") >= levels:
        raise TaxonomyError(f"{where}: lies on level {path.count('/') + 1}, and the facet has {levels} levels")
    fields = {"is": body} if isinstance(body, str) else _mapping(body, where)
    _check_keys(fields, _NODE_KEYS, where)
    yield Node(
        facet,
        path,
        fields.get("name") or _named(path.rpartition("/")[2]),
        _text(fields.get("is"), f"{where}: is"),
        _texts(fields.get("also", []), f"{where}: also"),
        _texts(fields.get("implies", []), f"{where}: implies"),
    )
    if "nodes" in fields:
        for child, its in _mapping(fields["nodes"], f"{where}: nodes").items():
            yield from _nodes(facet, f"{path}/{child}", its, levels)


def _check_implied(facets: Mapping[str, Facet]) -> None:
    known = facets[IMPLIED].nodes if IMPLIED in facets else {}
    for facet in facets.values():
        for node in facet.nodes.values():
            for implied in node.implies:
                if implied not in known:
                    raise TaxonomyError(
                        f"{node.facet}: {node.path}: implies: {implied!r} is no node of facet {IMPLIED}: "
                        f"{', '.join(known) or 'there is no such facet'}"
                    )


def _check_slug(slug: Any, where: str) -> None:
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise TaxonomyError(f"{where}: {slug!r} is no slug: lower-case words joined by `_`, without `/`")


def _check_keys(fields: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    if unknown := sorted(set(fields) - known):
        raise TaxonomyError(f"{where}: unknown {', '.join(unknown)}; it may have {', '.join(sorted(known))}")


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise TaxonomyError(f"{where}: {value!r} is no mapping with entries")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TaxonomyError(f"{where}: {value!r} is no text: every node has a definition")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TaxonomyError(f"{where}: {value!r} is no list of texts")
    return tuple(_text(entry, where) for entry in value)


def _named(slug: str) -> str:
    words = slug.replace("_", " ")
    return words[0].upper() + words[1:]


def split(path: str, most: int = 3) -> Sequence[str | None]:
    """Return a path's slugs level by level, None where it ends earlier."""
    parts = path.split("/")
    return [*parts, *[None] * (most - len(parts))][:most]
