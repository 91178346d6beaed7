"""Where the catalog says that objects are: pointing it to another store, and letting go of objects that are lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.domain.records import Artifact


def queued_removals() -> int:
    """Return how many objects takedowns have still to remove."""
    with connect() as link:
        return int(queries().queued_removals(link))


def count_elsewhere(base: str) -> tuple[int, int]:
    """Return how many artifacts have an address that does not begin with ``base``, and their bytes."""
    with connect() as link:
        row = queries().count_elsewhere(link, base=base)
    return int(row["objects"]), int(row["bytes"])


def elsewhere(base: str, batch: int) -> Iterator[list[Artifact]]:
    """Give the artifacts whose address does not begin with ``base`` in batches, each one once."""
    after = ""
    while True:
        with connect() as link:
            rows = queries().artifacts_elsewhere(link, base=base, after=after, most=batch)
            found = [Artifact(**row) for row in rows]
        if not found:
            return
        yield found
        after = found[-1].uri


def repoint(moved: Mapping[str, str]) -> list[str]:
    """Let everything that names an object name its copy instead, in one transaction.

    Args:
        moved: Old address -> new address.

    Returns:
        The old addresses that the catalog had no more, because a takedown removed them meanwhile.
    """
    with connect() as link, transaction(link):
        there = [row["uri"] for row in queries().lock_artifacts(link, uris=list(moved))]
        pairs = {"old": there, "new": [moved[uri] for uri in there]}
        queries().insert_moved(link, **pairs)
        queries().repoint_outcome_artifacts(link, **pairs)
        queries().repoint_annotations(link, **pairs)
        queries().delete_artifacts(link, uris=there)
    return sorted(set(moved) - set(there))


def forget_lost(uris: Sequence[str]) -> int:
    """Make the outcomes that name lost objects due again, and forget the objects; return how many outcomes."""
    with connect(patient=False) as link, transaction(link):
        return _forget(link, list(uris))


def _forget(link: Connection, uris: list[str]) -> int:
    list(queries().lock_artifacts(link, uris=uris))
    forgotten = int(queries().forget_lost(link, uris=uris))
    queries().delete_unnamed(link, uris=uris)
    return forgotten
