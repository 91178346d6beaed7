"""What follows a takedown in the background: rows are cleared, objects are removed from the store, a ledger is kept."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from humannet_ops.catalog import takedowns
from humannet_ops.catalog.connection import Connection, connect, transaction
from humannet_ops.settings import settings
from humannet_ops.storage import Store, StoreError, open_store

# Each batch is one transaction: rows stay locked no longer than it takes, and a killed worker repeats no more.
_VIDEOS, _OBJECTS = 200, 200
# A store on the network answers several at once.
_AT_ONCE = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removal:
    """What one call did.

    Attributes:
        videos: Videos whose rows were cleared.
        removed: Objects that are gone from the store.
        failed: Objects that could not be removed; they are tried again later.
        needed: Objects that left the queue because a video that stays holds them too.
    """

    videos: int = 0
    removed: int = 0
    failed: int = 0
    needed: int = 0


def remove_objects(
    limit: int | None = None,
    takedown: str | None = None,
    progress: Callable[[Removal], None] = lambda _so_far: None,
) -> Removal:
    """Clear what was taken down and remove its objects from the store. Any number may run at the same time.

    Args:
        limit: Objects to remove at most; None is all whose turn it is.
        takedown: Only this takedown's.
        progress: Told after each batch what was done so far.

    Raises:
        CatalogError: the catalog does not answer. What was done is recorded; the next call does the rest.
        StoreError: the store's address is wrong.
    """
    store = open_store()
    done = Removal()
    with connect() as link:
        takedowns.seal(link)
        takedowns.recall_releases(link)
        while cleared := takedowns.clear(link, _VIDEOS, takedown):
            _forget_downloads(cleared)
            done = Removal(done.videos + len(cleared), done.removed, done.failed, done.needed)
            progress(done)
        while limit is None or done.removed + done.failed < limit:
            most = _OBJECTS if limit is None else min(_OBJECTS, limit - done.removed - done.failed)
            removed, failed, needed = _batch(link, store, most, takedown)
            done = Removal(done.videos, done.removed + removed, done.failed + failed, done.needed + needed)
            if removed + needed == 0:
                # nothing is left whose turn it is, or the store refuses everything
                break
            progress(done)
    return done


def _batch(link: Connection, store: Store, most: int, takedown: str | None) -> tuple[int, int, int]:
    with transaction(link):
        uris, needed = takedowns.lock_objects(link, most, takedown)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            errors = dict(zip(uris, pool.map(lambda uri: _remove(store, uri), uris), strict=True))
        failed = {uri: error for uri, error in errors.items() if error is not None}
        takedowns.record_removals(link, [uri for uri in uris if uri not in failed], failed)
    for uri, error in failed.items():
        logger.warning("%s could not be removed: %s", uri, error)
    return len(uris) - len(failed), len(failed), needed


def _remove(store: Store, uri: str) -> str | None:
    try:
        store.delete(uri)
    except (StoreError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _forget_downloads(video_ids: Iterable[str]) -> None:
    """Remove what interrupted downloads left on this machine."""
    for video_id in video_ids:
        shutil.rmtree(settings().home / "incoming" / video_id, ignore_errors=True)
