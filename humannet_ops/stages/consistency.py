"""Whether the catalog and the store say the same, both ways, and what can be done where they do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from humannet_ops.catalog import reading, relocation
from humannet_ops.stages.relocation import base
from humannet_ops.storage import StoreError, open_store

# A store on the network answers several at once.
_AT_ONCE = 8
_BATCH = 1000


def lost() -> Iterator[str]:
    """Find the objects that the catalog names and the store has not.

    Raises:
        StoreError: the store does not answer, or is not the one that the catalog names: nothing is known to be lost.
    """
    store = open_store()
    here = base(store)
    named = reading.artifact_uris()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while batch := list(islice(named, _BATCH)):
            for uri in batch:
                if not uri.startswith(here):
                    raise StoreError(
                        f"the catalog names {uri}, which is not below {here}: "
                        "check HUMANNET_STORE_URL, or let `humannet store move` end"
                    )
            yield from (uri for uri, there in zip(batch, pool.map(store.contains, batch), strict=True) if not there)


def orphans() -> Iterator[str]:
    """Find the objects that the store has and the catalog does not name."""
    known = iter(sorted(reading.artifact_uris()))
    expected = next(known, None)
    for uri in sorted(open_store().objects()):
        while expected is not None and expected < uri:
            expected = next(known, None)
        if uri != expected:
            yield uri


def forget(uris: Sequence[str]) -> int:
    """Make what stored these lost objects due again; return how many outcomes are forgotten."""
    return sum(relocation.forget_lost(uris[start : start + _BATCH]) for start in range(0, len(uris), _BATCH))
