"""What screening saw in a clip: faces and lines of text, as boxes in the frames that it looked at.

Parquet columns (version 1): ``frame`` int32, counted from 0; ``t_s`` double, seconds on the clip's clock; ``label``
``face`` or ``text``; ``score`` float 0..1; ``x1``, ``y1``, ``x2``, ``y2`` float, pixels of the clip. The metadata lists
``faces_looked_at`` and ``text_looked_at``. There is nothing about whose face it is, and no word of any text.

The file is sensitive all the same (each face, one by one), so it is only in the store: the catalog has a clip's sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.domain.screening import Screening
from humannet_ops.media import track_file

if TYPE_CHECKING:
    from humannet_ops.domain.detection import Detection
    from humannet_ops.media.detections import Detections

    Looks = Mapping[int, Sequence[Detection]]
    """Frame -> what was found there; an empty list where nothing was."""

KIND, VERSION = "screening", 1
# The picture on which areas are added up: fine enough for one line of text (0.3 % of a picture's height).
_GRID = (180, 320)
# Restricted content in a sample up to so long before or after a clip may be in it: samples are half a second apart.
_NEAR_S = 0.25


def scores(faces: Looks, texts: Looks, restricted: float, rules: Screening) -> dict[str, Any]:
    """Return a clip's screening scores.

    ``faces_share``: share of looks with a face. ``faces_max``: most faces in one look. ``face_area_max``: the largest
    face's share of the picture. ``close_face_share``: share of looks with a close face. ``text_share``: share of looks
    with text. ``text_area_max``: the largest share of a picture that text covers. ``restricted_score``: the highest
    score of restricted content.

    Args:
        faces: Of the frames that were looked at for faces.
        texts: Of those that were looked at for text.
        restricted: As ``restricted_score`` gives it.
        rules: From which score and size on things count.
    """
    shown = [[box for box in boxes if box.score >= rules.face] for boxes in faces.values()]
    largest = [max((box.area for box in boxes), default=0.0) for boxes in shown]
    written = [covered(boxes) for boxes in texts.values()]
    return {
        "faces_share": _share([bool(boxes) for boxes in shown]),
        "faces_max": max(map(len, shown), default=0),
        "face_area_max": round(max(largest, default=0.0), 4),
        "close_face_share": _share([area >= rules.close for area in largest]),
        "text_share": _share([area >= rules.text for area in written]),
        "text_area_max": round(max(written, default=0.0), 4),
        "restricted_score": round(restricted, 4),
    }


def _share(flags: Sequence[bool]) -> float:
    return round(sum(flags) / len(flags), 4) if flags else 0.0


def covered(boxes: Sequence[Detection]) -> float:
    """Return the share of the picture that boxes cover together."""
    height, width = _GRID
    where = np.zeros(_GRID, bool)
    for box in boxes:
        rows = slice(round(box.y1 * height), max(round(box.y1 * height) + 1, round(box.y2 * height)))
        where[rows, round(box.x1 * width) : max(round(box.x1 * width) + 1, round(box.x2 * width))] = True
    return float(where.mean())


def restricted_score(found: Detections, start_s: float, end_s: float) -> float:
    """Return the highest score of restricted content that detect saw in a span of its video, or next to it."""
    columns = found.columns
    near = (columns["t_s"] >= start_s - _NEAR_S) & (columns["t_s"] < end_s + _NEAR_S)
    restricted = np.array([str(label).endswith("_exposed") for label in columns["label"]], bool)
    return float(columns["score"][near & restricted].max(initial=0.0))


def write(
    path: Path, faces: Looks, texts: Looks, *, fps: float, size: tuple[int, int], frames: int, **said: Any
) -> None:
    """Write what was seen. Equal boxes give equal bytes.

    Args:
        path: The Parquet file.
        faces: As for ``scores``.
        texts: As for ``scores``.
        fps: Of the clip.
        size: Width and height of the clip, in pixels.
        frames: Frames of the clip.
        said: JSON values to keep with it.
    """
    width, height = size
    rows = [(number, box) for looks in (faces, texts) for number, boxes in looks.items() for box in boxes]
    box = np.array([[one.x1, one.y1, one.x2, one.y2] for _, one in rows], np.float32).reshape(-1, 4)
    box = track_file.rounded(box * np.array([width, height, width, height], np.float32), 1 / 16)
    frame = np.array([number for number, _ in rows], np.int32)
    track_file.write(
        path,
        {
            "frame": frame,
            "t_s": frame / fps,
            "label": [one.label for _, one in rows],
            "score": np.array([one.score for _, one in rows], np.float32),
            **{name: box[:, side] for side, name in enumerate(("x1", "y1", "x2", "y2"))},
        },
        {
            "kind": KIND,
            "version": VERSION,
            "units": {"t_s": "s", "score": "0..1", "x1": "pixel", "y1": "pixel", "x2": "pixel", "y2": "pixel"},
            "frames_of_reference": {
                "t_s": "the clip's clock, 0 at its first frame",
                "x1, y1, x2, y2": "left, top, right, bottom; origin top left of the clip's picture, y down",
            },
            "frames": frames,
            "fps": fps,
            "width": width,
            "height": height,
            "faces_looked_at": sorted(faces),
            "text_looked_at": sorted(texts),
            **said,
        },
        sort=("frame", "label", "x1", "y1"),
    )
