"""What the catalog says about fetching one video: whether something forbids it, and that it must wait."""

from __future__ import annotations

from humannet_ops.catalog.connection import Connection, connect, queries, transaction
from humannet_ops.catalog.recording import StageRun
from humannet_ops.domain.outcome import Postponed, Reason


def bar(video_id: str) -> tuple[Reason, str] | None:
    """Return why a video may not be fetched (a takedown, its channel), or None."""
    with connect() as link:
        row = next(iter(queries().bar(link, video_id=video_id)), None)
    return (Reason.__members__[row["reason"].upper()], row["message"]) if row else None


def is_content_taken_down(sha256: str) -> bool:
    """Say whether these bytes were taken down, wherever they come from."""
    with connect() as link:
        return bool(queries().is_content_taken_down(link, sha256=sha256))


def is_any_content_taken_down() -> bool:
    """Say whether any bytes were, so that files are hashed only where it matters."""
    with connect() as link:
        return bool(queries().is_any_content_taken_down(link))


def is_approved(video_id: str) -> bool:
    """Say whether a person let a video pass that its licence policy asks about."""
    with connect() as link:
        return bool(queries().is_approved(link, video_id=video_id))


def postpone(link: Connection, run: StageRun, subject_id: str, wait: Postponed) -> None:
    """Write down that work must wait; it is planned again when its time has come, and this was no attempt."""
    with transaction(link):
        stage, version = run.shard.stage, run.shard.stage_version
        queries().undo_attempt(link, stage=stage, version=version, subject_id=subject_id)
        queries().postpone(
            link, stage=stage, subject_id=subject_id, until=wait.until, cause=wait.cause, message=str(wait)
        )
