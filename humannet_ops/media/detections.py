"""What the detectors found in a video, as Parquet: one row a detection, and the time of every frame that was looked at.

Frames in which nothing was found have no row, so their times are kept in the file's metadata: a share of frames needs
both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.detection import Detection

if TYPE_CHECKING:
    import numpy as np

_TIMES = b"frame_times_s"


@dataclass(frozen=True, slots=True)
class Detections:
    """A video's detections, in order of time.

    Attributes:
        frame_times: Seconds, of every frame that was looked at, ascending.
        columns: One array a column: ``t_s``, ``frame``, ``label``, ``score``, ``x1``, ``y1``, ``x2``, ``y2``, ``side``.
    """

    frame_times: np.ndarray
    columns: dict[str, np.ndarray]


class Writer:
    """Collects detections and writes them when its block ends well; equal detections give equal bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: dict[int, float] = {}
        self._rows: list[dict[str, Any]] = []
        self._seen: dict[str, set[int]] = {}

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()

    def add(self, t_s: float, frame: int, found: Sequence[Detection]) -> None:
        """Add what one detector found in one frame, even if that is nothing.

        Args:
            t_s: The frame's presentation time, seconds from the first frame.
            frame: Its number in the video.
            found: In any order.
        """
        self._frames[frame] = t_s
        for box in found:
            self._seen.setdefault(box.label, set()).add(frame)
            self._rows.append(
                {"t_s": t_s, "frame": frame, "label": box.label, "score": box.score,
                 "x1": box.x1, "y1": box.y1, "x2": box.x2, "y2": box.y2, "side": box.side}
            )  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        """In how many frames each label was found."""
        return {label: len(frames) for label, frames in sorted(self._seen.items())}

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {"t_s": pa.float64(), "frame": pa.int64(), "label": pa.string()}
        columns |= dict.fromkeys(("score", "x1", "y1", "x2", "y2"), pa.float32())
        columns["side"] = pa.string()
        times = json.dumps([self._frames[frame] for frame in sorted(self._frames)])
        schema = pa.schema(columns, metadata={_TIMES: times})
        self._rows.sort(key=lambda row: (row["frame"], row["label"], -row["score"], row["x1"], row["y1"]))
        pq.write_table(pa.Table.from_pylist(self._rows, schema=schema), self._path, compression="zstd")


def read(path: Path) -> Detections:
    """Read a file that ``Writer`` wrote."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return Detections(
        frame_times=np.array(json.loads(table.schema.metadata[_TIMES]), dtype=np.float64),
        columns={name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names},
    )
