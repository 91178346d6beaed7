"""Taking things down: out of every view at once, their rows and objects after that, with a ledger; and never back.

A takedown begins with one short transaction that marks its videos; then its tombstones are written, which seals it;
then rows are cleared and objects removed, in batches. Each step follows from what the one before left in the catalog,
so a killed process leaves nothing that the next one does not find. infra/decisions/0005-takedown.md has the reasons.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from humannet_ops.catalog import storable
from humannet_ops.catalog.connection import CatalogError, Connection, Row, connect, queries, transaction
from humannet_ops.domain.identifiers import takedown_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import Artifact, Copy, Result, VideoFile

Scope = Literal["video", "channel", "source"]


@dataclass(frozen=True, slots=True)
class Takedown:
    """What a takedown covers, or would.

    Attributes:
        ledger: Its row of ``v_takedowns``.
        repeated: It was asked for before; ``videos`` counts what this time was added.
        videos: Videos that this call took out.
        objects: Objects that are to be removed, beyond those in the ledger.
        bytes: Their size.
        releases: Releases that hold clips of it.
        near_duplicates: Videos that stay and are edited copies of what goes, or it of them: a person decides.
    """

    ledger: Row
    repeated: bool
    videos: int
    objects: int
    bytes: int
    releases: tuple[str, ...]
    near_duplicates: tuple[Row, ...]


def find(scope: Scope, target: str) -> str:
    """Return the name under which the catalog knows a target. A video may be named by any of its addresses.

    Raises:
        LookupError: it does not know it; the message has the nearest names.
    """
    with connect() as link:
        found = queries().find_target(link, scope=scope, target=target)
        if found is not None:
            return str(found)
        known = [row["name"] for row in queries().known_targets(link, scope=scope, target=target)]
    nearest = difflib.get_close_matches(target, known, n=3, cutoff=0.5)
    hint = f"the nearest known: {', '.join(nearest)}" if nearest else f"`humannet sql` lists them ({_LISTS[scope]})"
    raise LookupError(f"no {scope} {target!r} in the catalog; {hint}")


_LISTS: Mapping[Scope, str] = {
    "video": "select video_id, origin_uri from v_videos",
    "channel": "select distinct channel_id from videos",
    "source": "select distinct source from v_videos",
}


def take_down(scope: Scope, target: str, *, reason: str, requested_by: str, dry_run: bool = False) -> Takedown:
    """Take a video (as an item: all its versions and equal files), a channel or a source out of the catalog's views.

    When this returns, nothing of it is in a view, a plan or an export any more, and none of it is crawled again. Doing
    it again changes nothing but to cover what came since.

    Args:
        scope: What is named.
        target: As ``find`` returns it.
        reason: Why, for people.
        requested_by: Who asks.
        dry_run: Undo it all; what is returned is what would be.
    """
    name = takedown_id(scope, target)
    with connect() as link:
        try:
            list(queries().lock_takedowns(link))
            new = queries().insert_takedown(
                link, takedown_id=name, scope=scope, target=target, reason=storable.text(reason),
                requested_by=storable.text(requested_by),
            )  # fmt: skip
            queries().insert_scope(link, takedown_id=name, scope=scope, target=target)
            queries().find_items(link, scope=scope, target=target)
            videos = int(queries().mark_items(link, takedown_id=name))
            if dry_run:
                queries().drop_items(link)
            else:
                link.commit()
            videos += _seal(link, name, scope, target)
            if not dry_run:
                link.commit()
            return _describe(link, name, repeated=new is None, videos=videos)
        finally:
            link.rollback()


def _seal(link: Connection, name: str, scope: str, target: str) -> int:
    list(queries().lock_takedowns(link))
    queries().find_items(link, scope=scope, target=target)
    queries().insert_tombstones(link, takedown_id=name)
    marked = int(queries().mark_videos(link, takedown_id=name))
    queries().recall_releases(link, takedown_id=name)
    queries().forget_channel(link, scope=scope, target=target)
    queries().seal_takedown(link, takedown_id=name)
    return marked


def seal(link: Connection) -> None:
    """Write the tombstones of takedowns whose process was killed before it could."""
    for row in list(queries().unsealed_takedowns(link)):
        with transaction(link):
            _seal(link, row["takedown_id"], row["scope"], row["target"])
    link.rollback()


def _describe(link: Connection, name: str, *, repeated: bool, videos: int) -> Takedown:
    objects = queries().count_objects(link, takedown_id=name)
    return Takedown(
        ledger=dict(queries().takedown(link, takedown_id=name)),
        repeated=repeated,
        videos=videos,
        objects=int(objects["objects"]),
        bytes=int(objects["bytes"]),
        releases=tuple(row["release"] for row in queries().takedown_releases(link, takedown_id=name)),
        near_duplicates=tuple(dict(row) for row in queries().near_duplicates(link, takedown_id=name)),
    )


def ledger(name: str) -> Row:
    """Return how far a takedown has come: its row of ``v_takedowns``."""
    with connect() as link:
        return dict(queries().takedown(link, takedown_id=name))


def clear(link: Connection, most: int, name: str | None = None) -> list[str]:
    """Delete what describes videos that are taken down, and queue their objects, in one transaction.

    Args:
        link: A connection outside a transaction.
        most: Videos at a time.
        name: Only this takedown's.

    Returns:
        The videos. Fewer than ``most`` means that the rest is being written to, or that there is no rest.
    """
    with transaction(link):
        videos = [row["video_id"] for row in queries().lock_uncleared(link, takedown_id=name, most=most)]
        if videos:
            queries().queue_objects(link, video_ids=videos)
            queries().clear_annotations(link, video_ids=videos)
            queries().clear_language_answers(link, video_ids=videos)
            queries().clear_language_calls(link, video_ids=videos)
            queries().clear_clip_labels(link, video_ids=videos)
            queries().clear_embeddings(link, video_ids=videos)
            queries().clear_review_causes(link, video_ids=videos)
            queries().clear_reviews(link, video_ids=videos)
            queries().clear_artifacts(link, video_ids=videos)
            queries().clear_labels(link, video_ids=videos)
            queries().clear_outcomes(link, video_ids=videos)
            queries().clear_fingerprints(link, video_ids=videos)
            queries().clear_copies(link, video_ids=videos)
            queries().clear_changes(link, video_ids=videos)
            queries().clear_postponements(link, video_ids=videos)
            queries().clear_videos(link, video_ids=videos)
    return videos


def recall_releases(link: Connection) -> None:
    """Mark releases that were published with clips which a takedown had covered meanwhile."""
    with transaction(link):
        queries().recall_releases(link, takedown_id=None)


def lock_objects(link: Connection, most: int, name: str | None = None) -> tuple[list[str], int]:
    """Take objects whose turn it is to be removed. Locked, until the transaction ends, against being recorded anew.

    Returns:
        The objects to remove, and how many others were in the queue that something else needs: those stay.
    """
    queued = sorted({row["uri"] for row in queries().lock_removals(link, takedown_id=name, most=most)})
    if not queued:
        return [], 0
    list(queries().lock_artifacts(link, uris=queued))
    named = {row["uri"]: row["stays"] for row in queries().referenced_objects(link, uris=queued)}
    needed = [uri for uri, stays in named.items() if stays]
    queries().release_removals(link, uris=needed)
    return [uri for uri in queued if uri not in named], len(needed)


def record_removals(link: Connection, removed: list[str], failed: Mapping[str, str]) -> None:
    """Write down what became of objects, in the transaction that took them.

    Args:
        link: The connection.
        removed: They are gone.
        failed: They may not be, with the error.
    """
    queries().end_removals(link, uris=removed)
    queries().delete_artifacts(link, uris=removed)
    for uri, error in failed.items():
        queries().fail_removal(link, uri=uri, error=storable.text(error))


def hold(link: Connection, results: Sequence[tuple[str, Result]]) -> dict[str, str]:
    """Say which videos may not be recorded about, by which takedown; none clears the others before we commit.

    Videos that a result names as copies are asked about too. A file whose bytes were taken down under another name is
    taken down with it.

    Args:
        link: In a transaction.
        results: Videos, each with what is to be recorded about it.
    """
    named = {entry.other_id for _, result in results for entry in result.records if isinstance(entry, Copy)}
    covered = _hold(link, sorted(named.union(video_id for video_id, _ in results)))
    contents = {
        video_id: entry.sha256
        for video_id, result in results
        for entry in result.records
        if isinstance(entry, VideoFile) and video_id not in covered
    }
    if contents:
        list(queries().share_takedowns(link))
        # a takedown that came first has marked it by now
        covered |= _hold(link, sorted(contents))
        barred = {
            row["sha256"]: row["takedown_id"]
            for row in queries().find_contents(link, contents=sorted(set(contents.values())))
        }
        for video_id, sha256 in sorted(contents.items()):
            if video_id not in covered and sha256 in barred:
                covered[video_id] = barred[sha256]
                queries().mark_video(link, video_id=video_id, takedown_id=covered[video_id])
    return covered


def _hold(link: Connection, videos: Sequence[str]) -> dict[str, str]:
    return {row["video_id"]: row["takedown_id"] for row in queries().hold_videos(link, video_ids=list(videos))}


def discard(link: Connection, name: str, artifacts: Iterable[Artifact]) -> None:
    """Queue objects that a stage had stored when it learnt that its video is taken down."""
    for artifact in sorted(artifacts, key=lambda entry: entry.uri):
        fields: dict[str, Any] = {"uri": artifact.uri, "kind": artifact.kind, "bytes": artifact.bytes}
        queries().insert_artifact(link, **fields, sha256=artifact.sha256, media_type=artifact.media_type)
        queries().queue_object(link, **fields, takedown_id=name)


def follow(link: Connection, video_id: str, result: Result) -> None:
    """Let a video that a stage refused as taken down belong to the takedown that covers it."""
    if result.reason is Reason.TAKEN_DOWN:
        content = result.detail.get("sha256")
        covering = queries().find_content(link, sha256=content) if content else None
        covering = covering or queries().find_barring(link, video_id=video_id)
        if covering:
            queries().mark_video(link, video_id=video_id, takedown_id=covering)


def check_present(link: Connection, stage: str, version: str, named: Sequence[tuple[str, str]]) -> None:
    """See that no object which is recorded now was removed since the work on its subject began.

    Args:
        link: In a transaction.
        stage: Whose outcomes are recorded.
        version: Its version.
        named: Subjects, each with the address of an object of its outcome.

    Raises:
        CatalogError: one was; the next try stores it again.
    """
    if not named:
        return
    subject_ids, uris = (list(column) for column in zip(*named, strict=True))
    lost = queries().removed_meanwhile(link, stage=stage, version=version, subject_ids=subject_ids, uris=uris)
    if lost:
        raise CatalogError(f"a takedown removed {lost}, which two videos shared: the next try stores it again")


def is_source_taken_down(source: str) -> bool:
    """Say whether a whole source was taken down."""
    with connect() as link:
        return bool(queries().is_source_taken_down(link, source=source))
