"""The frames of a cut clip, every one in order: what per-frame models look at.

A clip is ours: ``cut`` made it upright, with square pixels and one frame rate, so frames are simply counted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.container import open_video, packets_to_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]


@dataclass(slots=True)
class ClipFrames:
    """An open clip.

    Attributes:
        fps: Frames a second.
        width: In pixels.
        height: In pixels.
        count: Frames read so far.
        listed: Frames that the file says it has; 0 if it does not say.
    """

    fps: float
    width: int
    height: int
    count: int = 0
    listed: int = 0
    _source: Any = field(default=None, repr=False)

    @property
    def duration_s(self) -> float:
        """Seconds that the frames read so far last."""
        return self.count / self.fps

    def __iter__(self) -> Iterator[Frame]:
        """Give each frame: height x width x 3, uint8, red first."""
        for picture in self._source:
            self.count += 1
            yield cast("Frame", picture.to_ndarray(format="rgb24"))

    def some(self, numbers: Collection[int]) -> Iterator[tuple[int, Frame]]:
        """Give only these frames, each with its number. All are decoded, for each needs those before it."""
        for number, picture in enumerate(self._source):
            self.count += 1
            if number in numbers:
                yield number, cast("Frame", picture.to_ndarray(format="rgb24"))


@contextmanager
def open_clip(path: Path, *, threads: int, timeout_s: float) -> Iterator[ClipFrames]:
    """Open a clip; when the block ends well, all of it was readable.

    Args:
        path: The clip.
        threads: Decoder threads.
        timeout_s: Wall seconds until the next frame is refused.

    Raises:
        SubjectError: unreadable, where its object is damaged or has no frames; timed_out.
    """
    faults: list[str] = []
    with open_video(path) as (container, stream):
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        source = _in_time(packets_to_frames(container, stream, faults), timeout_s)
        codec = stream.codec_context
        clip = ClipFrames(
            float(stream.average_rate or 0), codec.width, codec.height, listed=stream.frames, _source=source
        )
        yield clip
    if faults or not clip.count or not clip.fps:
        cause = faults[0] if faults else "it has no frames"
        raise SubjectError(
            Reason.UNREADABLE,
            f"the clip {path.name} cannot be decoded ({cause}). "
            "Its object is damaged: remove it from the store and cut it again.",
        )


def _in_time(pictures: Iterator[Any], timeout_s: float) -> Iterator[Any]:
    started = time.monotonic()
    for picture in pictures:
        if time.monotonic() - started > timeout_s:
            raise SubjectError(
                Reason.TIMED_OUT, f"the clip's frames took longer than {timeout_s:.0f} s (HUMANNET_SUBJECT_TIMEOUT_S)."
            )
        yield picture
