"""Moving a corpus to another store: every object is copied, verified there, and then named by its new address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from humannet_ops.catalog import relocation
from humannet_ops.domain.records import Artifact
from humannet_ops.storage import FolderStore, S3Store, Store, StoreError, sha256_of

# Each batch is one transaction; what is killed repeats no more than this, and what it had copied is found there.
_BATCH = 200
# A store on the network answers several at once.
_AT_ONCE = 8


class UnsettledError(LookupError):
    """Something must end before a corpus can be moved."""


@dataclass(frozen=True, slots=True)
class Move:
    """What one call did.

    Attributes:
        moved: Objects that are in the new store and named there.
        bytes: Their size.
        failed: Objects that stay where they were, with the error.
        lost: Those of them that the old store has no more, or not as they were.
    """

    moved: int = 0
    bytes: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


class _Lost(str):
    """Why an object cannot be copied however often it is tried."""


def base(store: Store) -> str:
    """Return what every address in a store begins with."""
    if isinstance(store, S3Store):
        return "/".join(filter(None, [f"s3://{store.bucket}", store.prefix])) + "/"
    assert isinstance(store, FolderStore)
    return store.root.as_uri() + "/"


def move(origin: Store, target: Store, progress: Callable[[Move], None] = lambda _so_far: None) -> Move:
    """Copy every artifact that is not in the target store and point the catalog to the copies, batch by batch.

    Objects keep their keys, which are their content; nothing is removed from the origin. Called again it goes on with
    what is left. Nothing else may run: a task that looks for an object in the old store would not find its new address
    there.

    Args:
        origin: Where the objects are.
        target: Where they are to be.
        progress: Told after each batch what was done so far.

    Raises:
        UnsettledError: objects wait to be removed from the origin.
        CatalogError: the catalog does not answer; what was moved stays moved.
    """
    if queued := relocation.queued_removals():
        raise UnsettledError(
            f"{queued} objects of takedowns wait to be removed from the old store: let the DAG remove_objects end "
            "first (`humannet takedown list` shows how far it is)"
        )
    done = Move()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for batch in relocation.elsewhere(base(target), _BATCH):
            results = list(pool.map(lambda artifact: _copy(origin, target, artifact), batch))
            copies = {old.uri: new for old, new in zip(batch, results, strict=True) if isinstance(new, Artifact)}
            failed = {old.uri: new for old, new in zip(batch, results, strict=True) if isinstance(new, str)}
            for vanished in relocation.repoint({uri: copy.uri for uri, copy in copies.items()}):
                target.delete(copies.pop(vanished).uri)
            size = sum(copy.bytes for copy in copies.values())
            lost = tuple(uri for uri, error in failed.items() if isinstance(error, _Lost))
            done = Move(done.moved + len(copies), done.bytes + size, {**done.failed, **failed}, done.lost + lost)
            progress(done)
    return done


def _copy(origin: Store, target: Store, artifact: Artifact) -> Artifact | str:
    """Copy one object and read the copy back; return it, or what went wrong."""
    suffix = artifact.uri.rsplit("/", 1)[-1].removeprefix(artifact.sha256)
    try:
        if not origin.contains(artifact.uri):
            return _Lost("the old store has it no more")
        with origin.local(artifact.uri) as path:
            if (held := _sha256(path)) != artifact.sha256:
                return _Lost(f"the old store holds other bytes under this name (sha256 {held})")
            copy = target.put(path, kind=artifact.kind, suffix=suffix, media_type=artifact.media_type)
        with target.local(copy.uri) as path:
            arrived = _sha256(path)
        if arrived != artifact.sha256:
            target.delete(copy.uri)
            return f"the new store gives other bytes back (sha256 {arrived}); its copy was removed: try again"
    except (StoreError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return replace(artifact, uri=copy.uri)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return sha256_of(stream)[0]
