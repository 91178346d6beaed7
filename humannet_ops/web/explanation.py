"""Why a clip or a video ended as it did, in words. From the catalog alone."""

from __future__ import annotations

from typing import Any

from humannet_ops.catalog import reading
from humannet_ops.domain.outcome import Reason
from humannet_ops.stages import backlog

Row = dict[str, Any]


def explain(subject_id: str) -> str:
    """Tell the story of one clip or video.

    Raises:
        LookupError: the catalog knows no such clip or video.
    """
    clip = reading.row("clip", clip_id=subject_id)
    video = reading.row("video", video_id=clip["video_id"] if clip else subject_id)
    if video is None:
        raise LookupError(
            f"no clip or video {subject_id}: `humannet status --videos` lists videos, v_clips (in SQL) the clips"
        )
    outcomes = reading.rows("video_outcomes", video_id=video["video_id"], clip_id=subject_id if clip else None)
    own = [row for row in outcomes if clip is not None or row["subject_id"] == subject_id]
    lines = [_opening(clip, video), ""]
    lines += [line for row in own for line in _step(row)]
    if clip is None:
        lines += ["", *_clips(video)]
    if said := backlog.lines(video_id=video["video_id"], clip_id=subject_id if clip else None):
        lines += ["", *said]
    lines += ["", f"Who did each step, when and with which code: `humannet lineage {subject_id}`"]
    return "\n".join(lines)


def _opening(clip: Row | None, video: Row) -> str:
    title = " ".join(str(video["title"] or video["origin_uri"]).split())
    if clip is None:
        return f"Video {video['video_id']} ({title}, source {video['source']}) is {_verdict(video)}"
    span = f"{clip['start_s']:.2f} s to {clip['end_s']:.2f} s"
    return f"Clip {clip['clip_id']} ({span} of {title}, source {video['source']}) is {_verdict(clip)}"


def _verdict(row: Row) -> str:
    if row["reason"] is None:
        return f"{_status(row)}."
    return f"{_status(row)}: {Reason[row['reason'].upper()].description}"


def _status(row: Row) -> str:
    return f"{row['status']} as {row['reason']}" if row["reason"] else str(row["status"])


def _step(row: Row) -> list[str]:
    reason = f" as {row['reason']}" if row["reason"] else ""
    policy = f", policy {row['policy_version']}" if row["policy_version"] else ""
    models = f", by {', '.join(row['model_releases'])}" if row["model_releases"] else ""
    lines = [f"{row['stage']}: {row['outcome']}{reason} in {row['seconds']:.2f} s{policy}{models}."]
    detail = dict(row["detail"])
    if "survivor" in detail:
        title = " ".join(str(row["survivor_title"] or "untitled").split())
        lines.append(f"    The survivor is {detail['survivor']} ({title}).")
    if said := detail.get("error") or detail.get("message"):
        lines.append(f"    {' '.join(str(said).split())}")
    lines += [f"    FFmpeg met damage: {fault}" for fault in detail.get("faults", ())]
    checks = detail.get("checks", ())
    first = next((number for number, check in enumerate(checks) if not check["passed"]), None)
    lines += [
        f"    {_check(check)}{'  <- this decided' if number == first else ''}" for number, check in enumerate(checks)
    ]
    if not detail.get("checks") and row["scores"]:
        lines.append("    " + ", ".join(f"{name} {_number(value)}" for name, value in sorted(row["scores"].items())))
    return lines


def _check(check: Row) -> str:
    mark = "passes" if check["passed"] else "FAILS "
    bound = "at least" if check["is_minimum"] else "at most"
    asked = f"{check['name']}: {_number(check['value'])}, {bound} {_number(check['threshold'])} is asked"
    return f"{mark} {asked} (else {check['reason']})"


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _clips(video: Row) -> list[str]:
    clips = reading.rows("clips", video_id=video["video_id"])
    return [f"{row['clip_id']}, {row['start_s']:.2f} s to {row['end_s']:.2f} s: {_status(row)}" for row in clips]
