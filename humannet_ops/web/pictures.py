"""Small pictures for the corpus page: JPEG bytes, made from what the stages stored. A picture never stops a page."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.storage import Store, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
# Cards are at most some 250 CSS pixels wide; this is sharp on a dense screen and some 20 KB.
LONG_SIDE, QUALITY = 440, 78


def clip_picture(store: Store, clip_uri: str | None, body_uri: str | None, hand_uri: str | None) -> bytes | None:
    """Return the frame of a clip on which the pose is best, with the pose drawn on it.

    Args:
        store: The object store.
        clip_uri: The encoded clip.
        body_uri: Its bodies.
        hand_uri: Its hands; without either the frame in the middle is shown as it is.

    Returns:
        A JPEG, or None where the clip is gone or cannot be read.
    """
    if clip_uri is None:
        return None
    import av

    try:
        with store.local(clip_uri) as clip, ExitStack() as held:
            files = [held.enter_context(store.local(uri)) if uri else None for uri in (body_uri, hand_uri)]
            return _jpeg(_posed(clip, *files))
    except (StoreError, av.FFmpegError, OSError, ValueError, LookupError) as error:
        logger.warning("no picture of %s: %s", clip_uri, error)
        return None


def sampled_picture(store: Store, frames_uri: str | None, t_s: float) -> bytes | None:
    """Return the sampled frame of a video that is nearest to a time, as JPEG; None where there is none.

    Args:
        store: The object store.
        frames_uri: The video's ``sampled_frames``.
        t_s: Seconds on the video's clock.
    """
    if frames_uri is None:
        return None
    from humannet_ops.media import sampled_frames

    try:
        with store.local(frames_uri) as path:
            found = sampled_frames.nearest(path, t_s)
    except (StoreError, OSError, ValueError, LookupError) as error:
        logger.warning("no picture of %s: %s", frames_uri, error)
        return None
    return None if found is None else _jpeg(found.rgb)


def _posed(clip: Path, body_file: Path | None, hand_file: Path | None) -> NDArray[np.uint8]:
    from humannet_ops.media import overlay, poses

    found = poses.read(body_file, hand_file)
    if found is None:
        return _frame(clip, None)
    number = overlay.best_frame(found)
    return overlay.draw_pose(_frame(clip, number), found, number)


def _frame(clip: Path, number: int | None) -> NDArray[np.uint8]:
    """Decode one frame of a clip, by its number or (None) the one in the middle; RGB, HxWx3."""
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        wanted = number if number is not None else stream.frames // 2
        if stream.average_rate and stream.time_base:
            # from the key frame before it; clips begin at zero and have a constant rate
            container.seek(int(wanted / stream.average_rate / stream.time_base), stream=stream)
        last: Any = None
        for frame in container.decode(stream):
            last = frame
            if frame.time is None or stream.average_rate is None or frame.time * stream.average_rate > wanted - 0.5:
                break
        if last is None:
            raise LookupError(f"{clip} has no frames")
        picture: NDArray[np.uint8] = last.to_ndarray(format="rgb24")
        return picture


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    import cv2

    height, width = picture.shape[:2]
    scale = LONG_SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("OpenCV could not encode a JPEG")
    return coded.tobytes()
