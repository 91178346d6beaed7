"""What an hour of video costs at each stage, as one catalog measured it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

CRAWL = "crawl"
# Whole tables are read, once, because a person asked.
_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class StageRate:
    """What one stage does for an hour of video at the head of the funnel.

    Attributes:
        stage: Its name.
        leg: The DAG that runs it; ``crawl`` for every source's.
        queue: Where it runs: crawl, cpu, gpu or default.
        subject: What an outcome is about.
        needs: Stages of which it waits.
        reads: Stages whose objects it reads.
        whole_partition: One shard has all of a crawl day.
        subjects: Outcomes an hour.
        worked: Those of them that were not skipped.
        work_s: Seconds of one slot an hour.
        planned_s: Video seconds that planning gives its subjects, an hour.
        overhead_s: Seconds of one slot that a shard costs beside its subjects: models, lists, the first connection.
    """

    stage: str
    leg: str
    queue: str
    subject: Literal["video", "clip"]
    needs: tuple[str, ...]
    reads: tuple[str, ...]
    whole_partition: bool
    subjects: float
    worked: float
    work_s: float
    planned_s: float
    overhead_s: float


@dataclass(frozen=True, slots=True)
class ObjectRate:
    """What one stage stores of one kind for an hour of video."""

    stage: str
    kind: str
    objects: float
    bytes: float


@dataclass(frozen=True, slots=True)
class TableRate:
    """What a table grows by for an hour of video; bytes are of a row with its part of the indexes."""

    table: str
    rows: float
    bytes_per_row: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Everything that was measured, an hour of video.

    Attributes:
        machine: Where the stages ran, in words.
        measured_on: The date.
        hours: Of video at the head of the funnel that was measured.
        videos: How many those are.
        missing: Stages of which no outcome was found; nothing is planned for them.
        stages: In the order of a video's way.
        objects: In the store.
        tables: In the catalog.
    """

    machine: str
    measured_on: str
    hours: float
    videos: float
    missing: tuple[str, ...]
    stages: tuple[StageRate, ...]
    objects: tuple[ObjectRate, ...]
    tables: tuple[TableRate, ...]

    @property
    def video_s(self) -> float:
        """The mean length of a measured video in seconds."""
        return self.hours * 3600 / self.videos

    @property
    def idle(self) -> tuple[str, ...]:
        """Stages that skipped all they met: no model, switched off, no such video. They cost nothing in these rates."""
        return tuple(rate.stage for rate in self.stages if not rate.worked)

    def with_videos_of(self, seconds: float) -> Rates:
        """Return the rates for videos of another mean length.

        An hour then has as much work and as many clips as was measured, but as many rows, objects and fetches as it has
        videos. Bytes stay: a source video of twice the length is twice as large.

        Args:
            seconds: The mean length.
        """
        share = self.video_s / seconds
        of_videos = {rate.stage for rate in self.stages if rate.subject == "video"}
        fewer = (1 - share) * sum(rate.subjects for rate in self.stages if rate.subject == "video")
        # planning does not know how long a video is before it is fetched
        fetched = self.stages[0].stage
        return replace(
            self,
            videos=self.videos * share,
            stages=tuple(
                replace(
                    rate,
                    subjects=rate.subjects * share,
                    worked=rate.worked * share,
                    planned_s=rate.planned_s * share if rate.stage == fetched else rate.planned_s,
                )
                if rate.stage in of_videos
                else rate
                for rate in self.stages
            ),
            objects=tuple(
                replace(entry, objects=entry.objects * share) if entry.stage in of_videos else entry
                for entry in self.objects
            ),
            tables=tuple(
                replace(table, rows=table.rows * share)
                if table.table == "videos"
                else replace(table, rows=table.rows - fewer)
                if table.table in ("outcomes", "attempts", "shard_subjects")
                else table
                for table in self.tables
            ),
        )


_FILE = TypeAdapter(Rates)


def measure(machine: str) -> Rates:
    """Read the rates from the catalog.

    Args:
        machine: Where its stages ran, in words; the catalog knows workers by name only.

    Raises:
        LookupError: nothing went through the first stage yet.
        CatalogError: the catalog does not answer.
    """
    from humannet_ops.catalog.measuring import measured
    from humannet_ops.orchestration.legs import LEGS
    from humannet_ops.stages import registry

    head = measured("fleet_hours", timeout_s=_TIMEOUT_S)[0]
    hours = float(head["hours"])
    if not hours:
        raise LookupError("The catalog has no video that was fetched and measured: `make run` first, or give --rates.")
    legs = {stage: leg.dag_id for leg in LEGS for stage in leg.stages}
    stages = []
    for row in measured("fleet_stages", timeout_s=_TIMEOUT_S):
        spec = registry.spec(row["stage"])
        stages.append(
            StageRate(
                stage=row["stage"],
                leg=legs.get(row["stage"], CRAWL),
                queue=row["queue"],
                subject=row["subject"],
                needs=tuple(row["needs"]),
                reads=spec.reads,
                whole_partition=spec.whole_partition,
                subjects=row["subjects"] / hours,
                worked=row["worked"] / hours,
                work_s=row["work_s"] / hours,
                planned_s=row["planned_s"] / hours,
                overhead_s=row["overhead_s"] / max(1, row["runs"]),
            )
        )
    return Rates(
        machine=machine,
        measured_on=datetime.datetime.now(datetime.UTC).date().isoformat(),
        hours=hours,
        videos=head["videos"],
        missing=tuple(name for name in registry.STAGES if name not in {rate.stage for rate in stages}),
        stages=tuple(stages),
        objects=tuple(
            ObjectRate(row["stage"], row["kind"], row["objects"] / hours, row["bytes"] / hours)
            for row in measured("fleet_objects", timeout_s=_TIMEOUT_S)
        ),
        tables=tuple(
            TableRate(row["name"], row["rows"] / hours, row["bytes"] / row["rows"])
            for row in measured("fleet_tables", timeout_s=_TIMEOUT_S)
        ),
    )


def save(rates: Rates, path: Path) -> None:
    """Write rates as JSON, for ``load``.

    Raises:
        LookupError: the file cannot be written.
    """
    try:
        path.write_bytes(_FILE.dump_json(rates, indent=1) + b"\n")
    except OSError as error:
        raise LookupError(f"{path} cannot be written: {error.strerror}. Name another file.") from error


def load(path: Path) -> Rates:
    """Read rates that ``save`` wrote.

    Raises:
        LookupError: there is no such file, or it is none of these.
    """
    try:
        return _FILE.validate_json(path.read_bytes())
    except OSError as error:
        raise LookupError(f"{path} cannot be read: {error.strerror}. Name a file of --save-rates.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LookupError(f"{path} holds no rates: {where}: {first['msg']}. Name a file of --save-rates.") from error
