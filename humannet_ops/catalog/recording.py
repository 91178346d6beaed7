"""Writing what happened: stage runs, and outcomes with everything that becomes visible with them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from psycopg2.extras import Json, execute_values

from humannet_ops.catalog import storable, takedowns
from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.catalog.planning import Shard
from humannet_ops.domain.identifiers import clip_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
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


def record(
    link: Connection,
    run: StageRun,
    subject_id: str,
    video_id: str,
    result: Result,
    *,
    started_at: datetime.datetime,
    seconds: float,
) -> bool:
    """Write one outcome and all that belongs to it, in the caller's transaction.

    Returns:
        False when another run was first, or the video was taken down meanwhile; then nothing is written, and in the
        second case what was stored is queued for removal.

    Raises:
        CatalogError: an object that this result shares was removed meanwhile.
    """
    stage, version = run.shard.stage, run.shard.stage_version
    annotated = [r.artifact for r in result.records if isinstance(r, Annotation) and r.artifact]
    artifacts = list(dict.fromkeys([*result.artifacts, *annotated]))
    if covering := takedowns.hold(link, video_id, result):
        takedowns.discard(link, covering, artifacts)
        return False
    recorded = queries().record_outcome(
        link,
        stage=stage,
        version=version,
        subject_id=subject_id,
        video_id=video_id,
        outcome=result.outcome.value,
        reason=result.reason.value if result.reason else None,
        retryable=bool(result.reason and not result.reason.permanent),
        scores=_json(result.scores),
        detail=_json(result.detail),
        policy_version=result.policy_version,
        model_releases=list(result.model_releases),
        stage_run_id=run.stage_run_id,
        started_at=started_at,
        seconds=seconds,
    )
    if recorded is None:
        return False
    queries().end_postponement(link, stage=stage, subject_id=subject_id)
    if result.reason is Reason.GONE:
        queries().mark_gone_upstream(link, video_id=video_id)
    owner = _Owner(stage, version, subject_id, video_id)
    # in one order everywhere, because these rows are locked
    for artifact in sorted(artifacts, key=lambda entry: entry.uri):
        queries().insert_artifact(
            link,
            uri=artifact.uri,
            sha256=artifact.sha256,
            kind=artifact.kind,
            bytes=artifact.bytes,
            media_type=artifact.media_type,
        )
    for artifact in artifacts:
        queries().insert_outcome_artifact(
            link, stage=stage, subject_id=subject_id, version=version, kind=artifact.kind, uri=artifact.uri
        )
    takedowns.check_present(link, stage, version, subject_id, artifacts)
    _write_records(link, owner, result.records)
    takedowns.follow(link, video_id, result)
    return True


@dataclass(frozen=True, slots=True)
class _Owner:
    stage: str
    version: str
    subject_id: str
    video_id: str


def _write_records(link: Connection, owner: _Owner, records: tuple[Record, ...]) -> None:
    for entry in records:
        if not isinstance(entry, Fingerprint):
            _write(entry, link, owner)
    if any(isinstance(entry, ClipSpan) for entry in records):
        queries().retire_clips(link, video_id=owner.video_id, version=owner.version)
    _write_fingerprints(link, owner, [entry for entry in records if isinstance(entry, Fingerprint)])


@singledispatch
def _write(entry: Record, link: Connection, owner: _Owner) -> None:
    raise TypeError(f"no table for {type(entry).__name__}")


@_write.register
def _(entry: VideoFile, link: Connection, owner: _Owner) -> None:
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


@_write.register
def _(entry: ClipSpan, link: Connection, owner: _Owner) -> None:
    queries().insert_clip(
        link,
        clip_id=clip_id(owner.video_id, entry.start_frame, entry.end_frame),
        video_id=owner.video_id,
        shot=entry.shot,
        start_frame=entry.start_frame,
        end_frame=entry.end_frame,
        start_s=entry.start_s,
        end_s=entry.end_s,
        version=owner.version,
    )


@_write.register
def _(entry: Annotation, link: Connection, owner: _Owner) -> None:
    queries().insert_annotation(
        link,
        clip_id=owner.subject_id,
        kind=entry.kind,
        stage=owner.stage,
        version=owner.version,
        model_release=entry.model_release,
        value=_json(entry.value),
        uri=entry.artifact.uri if entry.artifact else None,
    )


@_write.register
def _(entry: Label, link: Connection, owner: _Owner) -> None:
    queries().insert_label(
        link,
        clip_id=owner.subject_id,
        facet=entry.facet,
        path=entry.path,
        origin=entry.origin,
        confidence=entry.confidence,
        model_release=entry.model_release,
        stage=owner.stage,
        version=owner.version,
    )


@_write.register
def _(entry: Embedding, link: Connection, owner: _Owner) -> None:
    queries().insert_embedding(
        link,
        clip_id=owner.subject_id,
        stage=owner.stage,
        version=owner.version,
        model_release=entry.model_release,
        vector=json.dumps(entry.vector),
    )


@_write.register
def _(entry: ReviewCause, link: Connection, owner: _Owner) -> None:
    queries().insert_review_cause(
        link,
        clip_id=owner.subject_id,
        cause=entry.cause.value,
        score=entry.score,
        note=storable.text(entry.note),
        stage=owner.stage,
        version=owner.version,
    )


# Frames closer than this to the last indexed one find the same neighbours: bits of 64, well under the search radius.
_SAME_PICTURE_BITS = 4


def _write_fingerprints(link: Connection, owner: _Owner, fingerprints: list[Fingerprint]) -> None:
    if not fingerprints:
        return
    queries().delete_fingerprints(link, video_id=owner.video_id)
    rows, last = [], None
    for ordinal, entry in enumerate(fingerprints):
        searchable = last is None or (entry.bits ^ last).bit_count() > _SAME_PICTURE_BITS
        last = entry.bits if searchable else last
        rows.append(
            (owner.video_id, ordinal, entry.t_s, f"{entry.bits:064b}", f"{entry.mirrored_bits:064b}", searchable)
        )
    with link.cursor() as cursor:
        execute_values(cursor, queries().insert_fingerprints.sql, rows, page_size=1000)


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


def _json(value: Mapping[str, Any]) -> Json:
    return Json(storable.plain(value))


__all__ = [
    "Artifact",
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
