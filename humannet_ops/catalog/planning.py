"""Finding the work that is due and packing it into shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from psycopg2.extras import execute_values

from humannet_ops.catalog.connection import Connection, Row, connect, queries, transaction
from humannet_ops.domain.identifiers import new_shard_id
from humannet_ops.domain.records import Artifact, ClipSubject, VideoSubject
from humannet_ops.domain.stage import StageSpec


@dataclass(frozen=True, slots=True)
class Shard:
    """A batch of subjects, fixed when planned."""

    shard_id: str
    stage: str
    stage_version: str
    partition_key: str
    label: str


@dataclass(frozen=True, slots=True)
class Work:
    """A subject of a shard and how often it was begun before."""

    subject: VideoSubject | ClipSubject
    attempts: int


def due_stages(
    specs: Sequence[StageSpec], versions: Mapping[str, str], partition_key: str, *, max_attempts: int
) -> list[str]:
    """Return those of these stages that a crawl day may have work for, now or once other stages are through.

    Args:
        specs: The stages.
        versions: The current version of every stage.
        partition_key: The crawl day.
        max_attempts: As ``plan_shards``.
    """
    with connect() as link:
        found = queries().due_stages(
            link,
            stages=[spec.name for spec in specs],
            versions=[versions[spec.name] for spec in specs],
            subjects=[spec.subject for spec in specs],
            partition_key=partition_key,
            max_attempts=max_attempts,
        )
        return [row["stage"] for row in found]


@dataclass(frozen=True, slots=True)
class Turn:
    """Which Airflow run of a DAG may plan a crawl day, and which waits to be the next."""

    run_id: str
    next_run_id: str | None = None


def turn(dag_id: str, partition_key: str, run_id: str) -> Turn:
    """Return whose turn a crawl day is: this run's if nobody ever asked."""
    with connect() as link, transaction(link):
        queries().begin_turn(link, dag_id=dag_id, partition_key=partition_key, run_id=run_id)
        # a statement of its own, to see what somebody else wrote while the first one waited for it
        return Turn(**queries().turn(link, dag_id=dag_id, partition_key=partition_key))


def change_turn(dag_id: str, partition_key: str, seen: Turn, wanted: Turn) -> bool:
    """Change a turn unless somebody else did since it was seen; return whether it was changed."""
    with connect() as link, transaction(link):
        changed: int = queries().change_turn(
            link,
            dag_id=dag_id,
            partition_key=partition_key,
            run_id=wanted.run_id,
            next_run_id=wanted.next_run_id,
            seen_run_id=seen.run_id,
            seen_next_run_id=seen.next_run_id,
        )
    return bool(changed)


def plan_shards(
    spec: StageSpec,
    versions: Mapping[str, str],
    partition_key: str,
    *,
    shard_seconds: float,
    max_attempts: int,
    source: str | None = None,
    video_id: str | None = None,
    dag_id: str | None = None,
    run_id: str | None = None,
) -> list[Shard]:
    """Pack what is due at one stage in one partition into shards and store them.

    Args:
        spec: The stage.
        versions: The current version of every stage.
        partition_key: The crawl day.
        shard_seconds: Video seconds that one shard should hold.
        max_attempts: Failures that may be tried again come back until this many attempts.
        source: Only this source's videos.
        video_id: Only this video.
        dag_id: The Airflow DAG that asked, for lineage.
        run_id: Its run.
    """
    with connect() as link, transaction(link):
        queries().lock_plan(link, stage=spec.name, partition_key=partition_key)
        find = queries().plan_video_shards if spec.subject == "video" else queries().plan_clip_shards
        due = find(
            link,
            stage=spec.name,
            version=versions[spec.name],
            needs=list(spec.needs),
            need_versions=[versions[name] for name in spec.needs],
            partition_key=partition_key,
            source=source,
            video_id=video_id,
            max_attempts=max_attempts,
            shard_seconds=shard_seconds,
            whole_partition=spec.whole_partition,
        )
        shards = []
        for _, group in groupby(due, key=lambda row: int(row["bin"])):
            rows = list(group)
            shard = Shard(new_shard_id(), spec.name, versions[spec.name], partition_key, _label(rows))
            _store(link, shard, [row["subject_id"] for row in rows], dag_id, run_id)
            shards.append(shard)
    return shards


def _label(rows: list[Row]) -> str:
    titles = list(dict.fromkeys(row["label"] for row in rows))
    first = " ".join(titles[0].split())[:80]
    return first if len(titles) == 1 else f"{first} +{len(titles) - 1}"


def _store(link: Connection, shard: Shard, subjects: list[str], dag_id: str | None, run_id: str | None) -> None:
    queries().insert_shard(
        link,
        shard_id=shard.shard_id,
        stage=shard.stage,
        version=shard.stage_version,
        partition_key=shard.partition_key,
        label=shard.label,
        dag_id=dag_id,
        run_id=run_id,
    )
    with link.cursor() as cursor:
        execute_values(
            cursor,
            queries().insert_shard_subjects.sql,
            [(shard.shard_id, ordinal, subject) for ordinal, subject in enumerate(subjects)],
            page_size=1000,
        )


def get_shard(link: Connection, shard_id: str) -> Shard:
    """Return a planned shard.

    Raises:
        LookupError: there is none of that name.
    """
    row = queries().get_shard(link, shard_id=shard_id)
    if row is None:
        raise LookupError(f"no shard {shard_id} in the catalog")
    return Shard(**row)


def open_work(link: Connection, shard: Shard, spec: StageSpec, max_attempts: int) -> Iterator[Work]:
    """Stream the shard's subjects that have no final outcome yet, with what earlier stages made of them."""
    load = queries().shard_videos if spec.subject == "video" else queries().shard_clips
    rows = list(
        load(link, shard_id=shard.shard_id, stage=shard.stage, version=shard.stage_version, max_attempts=max_attempts)
    )
    for start in range(0, len(rows), 200):
        chunk = rows[start : start + 200]
        wanted = {row["video_id"] for row in chunk} | {row["clip_id"] for row in chunk if "clip_id" in row}
        inputs = _inputs(link, sorted(wanted))
        found = _findings(link, [row["clip_id"] for row in chunk if "clip_id" in row])
        for row in chunk:
            yield Work(_subject(row, inputs, found), row["attempts"])


def _inputs(link: Connection, subject_ids: list[str]) -> dict[str, dict[str, Artifact]]:
    found: dict[str, dict[str, Artifact]] = {}
    for row in queries().subject_inputs(link, subject_ids=subject_ids):
        subject_id = row.pop("subject_id")
        found.setdefault(subject_id, {})[row["kind"]] = Artifact(**row)
    return found


@dataclass(slots=True)
class _Found:
    scores: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def _findings(link: Connection, clip_ids: list[str]) -> dict[str, _Found]:
    found: dict[str, _Found] = {clip_id: _Found() for clip_id in clip_ids}
    if clip_ids:
        for row in queries().clip_scores(link, clip_ids=clip_ids):
            found[row["clip_id"]].scores.update(row["scores"])
        for row in queries().clip_annotations(link, clip_ids=clip_ids):
            found[row["clip_id"]].annotations[row["kind"]] = row["value"]
    return found


_VIDEO_FIELDS = ("video_id", "source", "origin_uri", "signature", "title", "license", "sha256", "duration_s", "width")
_CLIP_FIELDS = ("clip_id", "shot", "start_frame", "end_frame", "start_s", "end_s")


def _subject(row: Row, inputs: dict[str, dict[str, Artifact]], found: dict[str, _Found]) -> VideoSubject | ClipSubject:
    fields: dict[str, Any] = {name: row[name] for name in (*_VIDEO_FIELDS, "height", "fps", "kind", "published")}
    video = VideoSubject(**fields, inputs=inputs.get(row["video_id"], {}))
    if "clip_id" not in row:
        return video
    clip_id = row["clip_id"]
    return ClipSubject(
        **{name: row[name] for name in _CLIP_FIELDS},
        video=video,
        inputs=inputs.get(clip_id, {}),
        viewpoint=row["viewpoint"],
        scores=found[clip_id].scores,
        annotations=found[clip_id].annotations,
    )


def due_partitions(max_attempts: int) -> list[str]:
    """Return the crawl days that still have work, oldest first.

    A day without work is settled, and not looked at again before something of it, or a stage's version, changes: this
    costs what the days under way cost, however many there were before.
    """
    with connect() as link:
        versions = queries().stage_digest(link, max_attempts=max_attempts)
        days = [row["partition_key"] for row in queries().unsettled_days(link, versions=versions)]
        link.rollback()
        return [day for day in days if _is_due(link, day, versions, max_attempts)]


def _is_due(link: Connection, day: str, versions: str, max_attempts: int) -> bool:
    with transaction(link):
        list(queries().lock_day(link, partition_key=day))
        queries().take_day_marks(link, partition_key=day)
        # asked after the marks were taken: what it does not see has left another
        work = queries().day_work(link, partition_key=day, max_attempts=max_attempts)
        if work["pending"]:
            queries().unsettle_day(link, partition_key=day)
        else:
            queries().settle_day(link, partition_key=day, versions=versions)
    return bool(work["due"])


def partition_of(video_id: str) -> str:
    """Return the crawl day of a video.

    Raises:
        LookupError: the catalog has no such video.
    """
    with connect() as link:
        key = queries().partition_of(link, video_id=video_id)
    if key is None:
        raise LookupError(f"no video {video_id} in the catalog: `humannet status --videos` lists them")
    return str(key)
