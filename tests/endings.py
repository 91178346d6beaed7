"""Recording one outcome, as a shard records many."""

from __future__ import annotations

import datetime

from humannet_ops.catalog import recording
from humannet_ops.catalog.connection import Connection
from humannet_ops.domain.records import ClipSubject, Result, VideoSubject


def record(
    link: Connection,
    run: recording.StageRun,
    subject: VideoSubject | ClipSubject,
    result: Result,
    *,
    seconds: float = 0.1,
) -> bool:
    """Record a subject's outcome in the caller's transaction; say whether it was written."""
    video = subject if isinstance(subject, VideoSubject) else subject.video
    now = datetime.datetime.now(datetime.UTC)
    ending = recording.Ending(subject.subject_id, video.video_id, result, now, seconds)
    return bool(recording.record(link, run, [ending]))
