"""What the corpus page shows, read from the catalog."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Protocol

from humannet_ops.catalog import reading
from humannet_ops.domain.outcome import Reason
from humannet_ops.stages.execution import code_revision
from humannet_ops.web.page import (
    ClipCard,
    Exit,
    FailedRow,
    FunnelRow,
    Ledger,
    ModelRow,
    Page,
    Picture,
    RejectedCard,
    Score,
    SourceRow,
)

Row = dict[str, Any]
# Cards of each gallery; a page of some two megabytes.
MOST = 60
# The scores that a card shows, in this order: name in the catalog, words, unit. Formulas: media/pose_scores.py.
SHOWN_SCORES = (("body_pose_score", "body", ""), ("hand_pose_score", "hands", ""), ("motion_score", "motion", "m/s"))


class Addresses(Protocol):
    """Where a page finds pictures and clips: inside itself, or beside it on a server."""

    live: bool

    def clip_picture(self, row: Row) -> str | None:
        """Return the address of a kept clip's picture, or None."""

    def rejected_picture(self, row: Row) -> str | None:
        """Return the address of the picture of what was rejected, or None."""

    def media(self, row: Row) -> str | None:
        """Return the address of a kept clip's file, or None where a browser cannot reach it."""


def collect(addresses: Addresses, most: int = MOST) -> Page:
    """Read the whole page.

    Args:
        addresses: How pictures and clips are found.
        most: Entries that a gallery may have; the page says how many more there are.

    Raises:
        CatalogError: the catalog does not answer.
    """
    videos = reading.row("ledger", source=None) or {}
    clips = reading.row("clip_ledger", source=None) or {}
    kept = reading.rows("report_kept_clips", most=most)
    rejections = reading.rows("report_rejections", most=most)
    failures = reading.rows("report_failures", most=most)
    return Page(
        made_at=datetime.datetime.now(datetime.UTC),
        code_revision=code_revision(),
        videos=_ledger(videos),
        clips=_ledger(clips),
        hours_in=videos["hours"],
        hours_kept=clips["kept_hours"],
        sources=tuple(
            SourceRow(row["source"], row["videos"], row["kept"], row["hours"]) for row in reading.rows("report_sources")
        ),
        viewpoints={row["viewpoint"]: row["clips"] for row in reading.rows("report_viewpoints")},
        funnel=tuple(_funnel(reading.rows("funnel", source=None), reading.rows("stage_versions"))),
        kept=tuple(_clip_card(row, addresses) for row in kept),
        rejected=tuple(_rejected_card(row, addresses) for row in rejections),
        failed=tuple(_failed_row(row) for row in failures),
        models=tuple(
            ModelRow(
                row["model_release"], row["role"], row["license"], row["origin"], row["sha256"], tuple(row["stages"])
            )
            for row in reading.rows("report_models")
        ),
        more_kept=clips["kept"] - len(kept),
        more_rejected=_more(rejections),
        more_failed=_more(failures),
        live=addresses.live,
    )


def _ledger(row: Mapping[str, Any]) -> Ledger:
    return Ledger(row["kept"], row["rejected"], row["failed"], row["pending"])


def _more(rows: list[Row]) -> int:
    return rows[0]["total"] - len(rows) if rows else 0


_ORDER = ("skipped", "rejected", "failed")


def _funnel(rows: list[Row], stages: list[Row]) -> Iterable[FunnelRow]:
    unit_of = {row["stage"]: row["subject"] for row in stages}
    for stage, group in groupby(rows, key=lambda row: row["stage"]):
        unit = unit_of[stage]
        exits, kept, kept_hours = [], 0, 0.0
        for row in group:
            count = row["videos"] if unit == "video" else row["clips"]
            if row["outcome"] == "kept":
                kept, kept_hours = count, row["hours"]
            else:
                exits.append(Exit(row["outcome"], row["reason"], count, row["hours"]))
        # what goes on without the stage's work, what it refused for good, what failed on it, each by size
        exits.sort(key=lambda gone: (_ORDER.index(gone.outcome), -gone.hours, -gone.count, gone.reason))
        yield FunnelRow(stage, unit, kept, kept_hours, tuple(exits))


def _clip_card(row: Row, addresses: Addresses) -> ClipCard:
    known = row["scores"]
    return ClipCard(
        clip_id=row["clip_id"],
        title=_title(row),
        source=row["source"],
        viewpoint=row["viewpoint"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        license=row["license"],
        description=row["description"],
        picture=Picture(addresses.clip_picture(row), "its file could not be read"),
        media=addresses.media(row),
        scores=tuple(
            Score(label, float(known[name]), unit) for name, label, unit in SHOWN_SCORES if known.get(name) is not None
        ),
    )


def _rejected_card(row: Row, addresses: Addresses) -> RejectedCard:
    reason = Reason[row["reason"].upper()]
    if row["restricted"]:
        # wherever in the video it was found: the frame next to it may show it too
        picture = Picture(None, "not shown: restricted content")
    else:
        picture = Picture(addresses.rejected_picture(row), "rejected before it was decoded")
    return RejectedCard(
        subject_id=row["subject_id"],
        title=_title(row),
        source=row["source"],
        license=row["license"],
        stage=row["stage"],
        reason=reason.value,
        meaning=reason.description,
        seconds=row["all_seconds"],
        clips=row["subjects"] if row["subject"] == "clip" else None,
        picture=picture,
        decided=_decided(row),
    )


def _decided(row: Row) -> str | None:
    """Say which measure decided, against which threshold; of a copy, what it is a copy of."""
    if row["survivor"] is not None:
        return f"The survivor is {row['survivor_title'] or row['survivor']} ({row['survivor']})."
    failing = [check for check in row["detail"].get("checks", ()) if not check["passed"]]
    if not failing:
        return None
    check = failing[0]
    measured = f"{check['name']} is {_number(check['value'])}"
    if "is_minimum" not in check:
        return f"{measured} against {_number(check['threshold'])}"
    return f"{measured}; at {'least' if check['is_minimum'] else 'most'} {_number(check['threshold'])} is asked"


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _failed_row(row: Row) -> FailedRow:
    reason = Reason[row["reason"].upper()]
    return FailedRow(
        subject_id=row["subject_id"],
        title=_title(row),
        source=row["source"],
        stage=row["stage"],
        reason=reason.value,
        meaning=reason.description,
        error=row["error"] or "no message was recorded",
        attempts=row["attempts"],
        retryable=row["retryable"],
    )


def _title(row: Row) -> str:
    return str(row["title"] or row["origin_uri"])
