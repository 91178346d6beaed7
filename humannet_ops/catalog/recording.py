"""Writing what happened: stage runs, and outcomes with everything that becomes visible with them."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from psycopg2.extras import execute_values

from humannet_ops.catalog import storable, takedowns
from humannet_ops.catalog.connection import Connection, Row, connect, queries, transaction
from humannet_ops.catalog.planning import Shard
from humannet_ops.domain.identifiers import clip_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
    Copy,
    Embedding,
    Fingerprint,
    Label,
    Record,
    Result,
    VideoFile,
)
from humannet_ops.domain.screening import ReviewCause


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Who does the work: an Airflow task try, or a person at the command line (then only ``worker`` is set)."""

    worker: str
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int = -1
    try_number: int = 1
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class StageRun:
    """One execution of one stage over one shard."""

    stage_run_id: str
    shard: Shard


def start_run(link: Connection, run: StageRun, identity: TaskIdentity, code_revision: str) -> None:
    """Open a stage run, visible at once."""
    with transaction(link):
        queries().start_run(
            link,
            stage_run_id=run.stage_run_id,
            shard_id=run.shard.shard_id,
            stage=run.shard.stage,
            version=run.shard.stage_version,
            dag_id=identity.dag_id,
            run_id=identity.run_id,
            task_id=identity.task_id,
            map_index=identity.map_index,
            try_number=identity.try_number,
            worker=identity.worker,
            queue=identity.queue,
            code_revision=code_revision,
        )


def end_run(link: Connection, run: StageRun, error: str | None = None) -> None:
    """Close a stage run."""
    with transaction(link):
        status = "failed" if error else "succeeded"
        queries().end_run(link, stage_run_id=run.stage_run_id, status=status, error=_clean(error))


def begin_attempt(link: Connection, run: StageRun, subject_id: str) -> int | None:
    """Count an attempt before its work begins and return how many there are now; None if the subject was taken down."""
    with transaction(link):
        attempts: int | None = queries().begin_attempt(
            link, stage=run.shard.stage, version=run.shard.stage_version, subject_id=subject_id
        )
    return attempts


def give_back_attempt(link: Connection, run: StageRun, subject_id: str) -> None:
    """Take back what ``begin_attempt`` counted, because the work ended for a reason that is not the subject's."""
    with transaction(link):
        queries().undo_attempt(link, stage=run.shard.stage, version=run.shard.stage_version, subject_id=subject_id)


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one subject.

    Attributes:
        subject_id: A video or a clip.
        video_id: The video, or the clip's.
        result: Its outcome with all that belongs to it.
        started_at: When work on it began.
        seconds: How long that took.
    """

    subject_id: str
    video_id: str
    result: Result
    started_at: datetime.datetime
    seconds: float

    @property
    def artifacts(self) -> list[Artifact]:
        """What was stored for it, each object once."""
        annotated = [r.artifact for r in self.result.records if isinstance(r, Annotation) and r.artifact]
        return list(dict.fromkeys([*self.result.artifacts, *annotated]))


def record(link: Connection, run: StageRun, endings: Sequence[Ending]) -> set[str]:
    """Write outcomes and all that belongs to them in the caller's transaction, with a few statements for all.

    Rows are locked in one order everywhere, so any number of runs may record side by side.

    Args:
        link: In a transaction.
        run: Who did the work.
        endings: No subject twice.

    Returns:
        The subjects that were written. Of the others another run was first, or their video was taken down meanwhile;
        what was stored for these is queued for removal.

    Raises:
        CatalogError: an object that a result shares was removed meanwhile.
    """
    endings = sorted(endings, key=lambda ending: ending.subject_id)
    covered = takedowns.hold(link, [(ending.video_id, ending.result) for ending in endings])
    for ending in endings:
        if ending.video_id in covered:
            takedowns.discard(link, covered[ending.video_id], ending.artifacts)
    endings = [ending for ending in endings if ending.video_id not in covered]
    written = _insert_outcomes(link, run, endings)
    endings = [ending for ending in endings if ending.subject_id in written]
    if not endings:
        return set()
    queries().end_postponements(link, stage=run.shard.stage, subject_ids=sorted(written))
    _insert_artifacts(link, run, endings)
    _insert_records(link, run, endings, covered)
    for ending in endings:
        if ending.result.reason is Reason.GONE:
            queries().mark_gone_upstream(link, video_id=ending.video_id)
        takedowns.follow(link, ending.video_id, ending.result)
    return written


def _insert_outcomes(link: Connection, run: StageRun, endings: Sequence[Ending]) -> set[str]:
    rows = []
    for ending in endings:
        result, reason = ending.result, ending.result.reason
        rows.append((
            run.shard.stage, run.shard.stage_version, ending.subject_id, ending.video_id, result.outcome.value,
            reason.value if reason else None, bool(reason and not reason.permanent), _json(result.scores),
            _json(result.detail), result.policy_version, list(result.model_releases), run.stage_run_id,
            ending.started_at, ending.seconds,
        ))  # fmt: skip
    template = "(%s, %s, %s, %s, %s, %s, %s, %s::jsonb, %s::jsonb, %s, %s::text[], %s, %s::timestamptz, %s)"
    return {row["subject_id"] for row in _insert(link, "record_outcomes", rows, template, returning=True)}


def _insert_artifacts(link: Connection, run: StageRun, endings: Sequence[Ending]) -> None:
    objects = {artifact.uri: artifact for ending in endings for artifact in ending.artifacts}
    _insert(
        link,
        "insert_artifacts",
        [(a.uri, a.sha256, a.kind, a.bytes, a.media_type) for _, a in sorted(objects.items())],
    )
    stage, version = run.shard.stage, run.shard.stage_version
    named = {(ending.subject_id, a.kind): a.uri for ending in endings for a in ending.artifacts}
    _insert(
        link,
        "insert_outcome_artifacts",
        [(stage, subject_id, version, kind, uri) for (subject_id, kind), uri in named.items()],
    )
    everything = [(ending.subject_id, artifact.uri) for ending in endings for artifact in ending.artifacts]
    takedowns.check_present(link, stage, version, everything)


@dataclass(frozen=True, slots=True)
class _Owner:
    stage: str
    version: str
    subject_id: str
    video_id: str


def _insert_records(link: Connection, run: StageRun, endings: Sequence[Ending], covered: Collection[str]) -> None:
    rows: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = {}
    fingerprints: list[tuple[Any, ...]] = []
    for ending in endings:
        owner = _Owner(run.shard.stage, run.shard.stage_version, ending.subject_id, ending.video_id)
        for entry in ending.result.records:
            if isinstance(entry, VideoFile):
                _update_video(link, owner, entry)
            elif isinstance(entry, Copy) and entry.other_id in covered:
                continue
            elif not isinstance(entry, Fingerprint):
                # the last of two that are of the same key, as if they were written one after the other
                table, key, row = _row(entry, owner)
                rows.setdefault(table, {})[key] = row
        fingerprints += _fingerprint_rows(
            ending.video_id, [entry for entry in ending.result.records if isinstance(entry, Fingerprint)]
        )
    for table, found in sorted(rows.items()):
        _insert(link, f"insert_{table}", [row for _, row in sorted(found.items())])
    if "clips" in rows:
        videos = sorted({row[1] for row in rows["clips"].values()})
        queries().retire_clips(link, video_ids=videos, version=run.shard.stage_version)
    if fingerprints:
        queries().delete_fingerprints(link, video_ids=sorted({row[0] for row in fingerprints}))
        lines = io.StringIO()
        csv.writer(lines).writerows(fingerprints)
        lines.seek(0)
        with link.cursor() as cursor:
            cursor.copy_expert(queries().copy_fingerprints.sql, lines)


def _insert(
    link: Connection,
    name: str,
    rows: Sequence[tuple[Any, ...]],
    template: str | None = None,
    *,
    returning: bool = False,
) -> list[Row]:
    if not rows:
        return []
    with link.cursor() as cursor:
        statement = getattr(queries(), name).sql
        found = execute_values(cursor, statement, rows, template=template, page_size=1000, fetch=returning)
        return list(found) if returning else []


_Row = tuple[str, tuple[Any, ...], tuple[Any, ...]]


@singledispatch
def _row(entry: Record, owner: _Owner) -> _Row:
    """Return the table, what is unique in it among a batch, and the row."""
    raise TypeError(f"no table for {type(entry).__name__}")


@_row.register
def _(entry: ClipSpan, owner: _Owner) -> _Row:
    name = clip_id(owner.video_id, entry.start_frame, entry.end_frame)
    row = (name, owner.video_id, entry.shot, entry.start_frame, entry.end_frame, entry.start_s, entry.end_s)
    return "clips", (name,), (*row, owner.version)


@_row.register
def _(entry: Copy, owner: _Owner) -> _Row:
    row = (owner.video_id, entry.other_id, entry.similarity, entry.overlap_s, entry.mirrored)
    return "copies", row[:2], (*row, owner.stage, owner.version)


@_row.register
def _(entry: Annotation, owner: _Owner) -> _Row:
    uri = entry.artifact.uri if entry.artifact else None
    row = (owner.subject_id, entry.kind, owner.stage, owner.version, entry.model_release, _json(entry.value), uri)
    return "annotations", (owner.subject_id, entry.kind, entry.model_release), row


@_row.register
def _(entry: Label, owner: _Owner) -> _Row:
    key = (owner.subject_id, entry.facet, entry.path, entry.origin)
    return "labels", key, (*key, entry.confidence, entry.model_release, owner.stage, owner.version)


@_row.register
def _(entry: Embedding, owner: _Owner) -> _Row:
    row = (owner.subject_id, owner.stage, owner.version, entry.model_release, json.dumps(entry.vector))
    return "embeddings", (owner.subject_id,), row


@_row.register
def _(entry: ReviewCause, owner: _Owner) -> _Row:
    key = (owner.subject_id, entry.cause.value)
    return "review_causes", key, (*key, entry.score, storable.text(entry.note), owner.stage, owner.version)


def _update_video(link: Connection, owner: _Owner, entry: VideoFile) -> None:
    queries().update_video_file(
        link,
        video_id=owner.video_id,
        sha256=entry.sha256,
        bytes=entry.bytes,
        container=entry.container,
        codec=entry.codec,
        duration_s=entry.duration_s,
        width=entry.width,
        height=entry.height,
        fps=entry.fps,
        has_audio=entry.has_audio,
        probe=_json(entry.probe),
    )


# Frames closer than this to the last indexed one find the same neighbours: bits of 64, well under the search radius.
_SAME_PICTURE_BITS = 4


def _fingerprint_rows(video_id: str, fingerprints: list[Fingerprint]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    last = None
    for ordinal, entry in enumerate(fingerprints):
        searchable = last is None or (entry.bits ^ last).bit_count() > _SAME_PICTURE_BITS
        last = entry.bits if searchable else last
        rows.append((video_id, ordinal, entry.t_s, f"{entry.bits:064b}", f"{entry.mirrored_bits:064b}", searchable))
    return rows


def record_model_release(link: Connection, *, role: str, release: str, sha256: str, license: str, origin: str) -> None:
    """Make a model known, so that what it made can name it."""
    queries().upsert_model_release(
        link, model_release=release, role=role, sha256=sha256, license=license, origin=origin
    )


def record_task_failure(identity: TaskIdentity, error: str) -> None:
    """Write down that an Airflow task failed, and close the stage run that it left open."""
    with connect() as link, transaction(link):
        where: dict[str, Any] = {
            "dag_id": identity.dag_id,
            "run_id": identity.run_id,
            "task_id": identity.task_id,
            "map_index": identity.map_index,
        }
        queries().insert_task_failure(link, **where, try_number=identity.try_number, error=_clean(error))
        queries().fail_open_runs(link, **where, error=_clean(error))


def _clean(message: str | None) -> str | None:
    return None if message is None else storable.text(message)


def _json(value: Mapping[str, Any]) -> str:
    return storable.plain_json_text(value) if value else "{}"


__all__ = [
    "Artifact",
    "Ending",
    "StageRun",
    "TaskIdentity",
    "begin_attempt",
    "end_run",
    "give_back_attempt",
    "record",
    "record_model_release",
    "record_task_failure",
    "start_run",
]
