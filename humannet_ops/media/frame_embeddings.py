"""The embeddings of a clip's frames: one Parquet row a frame that was looked at, and the one vector of the clip.

Columns (version 1; the file's ``humannet`` metadata, a JSON object, says the same):

- ``frame`` int32, counted from 0 in the clip; ``t_s`` double, seconds on the clip's clock, ``frame / fps``
- ``vector`` floats, of length 1, rounded to 1/4096, which moves a cosine by less than 0.0001

The frames are evenly spaced: the middle ones of ``FRAMES`` equal parts of the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from humannet_ops.media import track_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND, VERSION = "frame_embeddings", 1
FRAMES = 8
STEP = 1 / 4096
DESCRIPTION = {
    "kind": KIND,
    "version": VERSION,
    "units": {"t_s": "s", "vector": "of length 1"},
    "frames_of_reference": {
        "t_s": "the clip's clock, 0 at its first frame",
        "vector": "the model's: its release is in model_releases",
    },
}


@dataclass(frozen=True)
class FrameEmbeddings:
    """What frames of a clip look like: F of them, in order.

    Attributes:
        frames: Frames of the clip.
        fps: Frames a second.
        frame: F, each row's frame.
        vector: F x dimensions, each of length 1.
        metadata: What else the file says about itself.
    """

    frames: int
    fps: float
    frame: NDArray[np.int32]
    vector: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def clip(self) -> NDArray[np.float64]:
        """The clip's vector: the mean of its frames', of length 1."""
        mean = self.vector.mean(axis=0, dtype=np.float64)
        whole: NDArray[np.float64] = mean / np.linalg.norm(mean)
        return whole

    @property
    def spread(self) -> float:
        """How much the frames differ: 1 less the mean cosine between them and the clip's vector; 0 for a still."""
        lengths = np.linalg.norm(self.vector, axis=1)
        return max(0.0, float(1 - (self.vector @ self.clip / lengths).mean()))


def evenly_spaced(count: int, number: int = FRAMES) -> list[int]:
    """Return the middle frames of ``number`` equal parts of ``count`` frames; each frame at most once."""
    return sorted({int((part + 0.5) * count / number) for part in range(number)})


def collect(
    frame: list[int], vector: NDArray[Any], *, frames: int, fps: float, metadata: Mapping[str, Any] | None = None
) -> FrameEmbeddings:
    """Put together what a model said of frames, made of length 1 and rounded as the file has it.

    Args:
        frame: Their numbers, ascending.
        vector: A row for each.
        frames: Frames of the clip.
        fps: Frames a second.
        metadata: JSON values to keep with them, such as the model's release.

    Raises:
        ValueError: there is not one finite vector a frame, or one has no length.
    """
    vector = np.asarray(vector, np.float64)
    if vector.ndim != 2 or len(vector) != len(frame) or not len(frame):
        raise ValueError(f"{len(frame)} frames have embeddings of shape {vector.shape}, not one vector each")
    lengths = np.linalg.norm(vector, axis=1, keepdims=True)
    if not np.isfinite(vector).all() or not lengths.all():
        raise ValueError("an embedding is not finite, or is 0")
    rounded = track_file.rounded(vector / lengths, STEP)
    return FrameEmbeddings(frames, fps, np.array(frame, np.int32), rounded, metadata or {})


def write(path: Path, embeddings: FrameEmbeddings) -> None:
    """Write a clip's embeddings. Equal embeddings give equal bytes."""
    columns = {
        "frame": embeddings.frame,
        "t_s": embeddings.frame / embeddings.fps,
        "vector": embeddings.vector,
    }
    about = {"frames": embeddings.frames, "fps": embeddings.fps, "dimensions": embeddings.vector.shape[1]}
    track_file.write(path, columns, {**DESCRIPTION, **about, **embeddings.metadata})


def read(path: Path) -> FrameEmbeddings:
    """Read a clip's embeddings.

    Raises:
        ValueError: the file is something else.
    """
    table, said = track_file.read(path, KIND, VERSION)
    about = {name: said.pop(name) for name in ("frames", "fps")}
    return FrameEmbeddings(
        **about,
        frame=track_file.numbers(table, "frame"),
        vector=track_file.arrays(table, "vector", said.pop("dimensions")),
        metadata={key: value for key, value in said.items() if key not in DESCRIPTION},
    )
