"""The frames that detection looks at: JPEG pictures in a Parquet file, written and read a group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# Detectors lose nothing to JPEG at this quality; the file is a hundredth of the raw frames.
_QUALITY = 90
_GROUP = 64


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """One frame: time in seconds, its number in the video, RGB uint8 (height, width, 3)."""

    t_s: float
    frame: int
    rgb: np.ndarray


class Writer:
    """Writes frames as they come; memory holds one group."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, pa.DataType] = {"t_s": pa.float64(), "frame": pa.int64(), "jpeg": pa.binary()}
        self._schema = pa.schema(columns)
        # JPEG does not compress again
        self._file = pq.ParquetWriter(path, self._schema, compression="none")
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._file.close()

    def add(self, t_s: float, frame: int, bgr: np.ndarray) -> None:
        """Encode and keep one frame, uint8 (height, width, 3).

        Blue comes first because the encoder wants that: an array whose colours are turned round by a view takes it
        three times as long.
        """
        import cv2

        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        assert done
        self._rows.append({"t_s": t_s, "frame": frame, "jpeg": jpeg.tobytes()})
        if len(self._rows) == _GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def batches(path: Path, size: int) -> Iterator[list[SampledFrame]]:
    """Read frames in time order, ``size`` at a time."""
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=size):
        yield [_decode(row) for row in batch.to_pylist()]


def nearest(path: Path, t_s: float) -> SampledFrame | None:
    """Return the frame nearest to a time, None where there are none."""
    import numpy as np
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    times = file.read(columns=["t_s"])["t_s"].to_numpy()
    if not len(times):
        return None
    place = int(np.abs(times - t_s).argmin())
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if place < rows:
            # one group of pictures, however long the video is
            return _decode(file.read_row_group(number).slice(place, 1).to_pylist()[0])
        place -= rows
    return None


def _decode(row: dict[str, Any]) -> SampledFrame:
    import cv2
    import numpy as np

    # red first from the decoder: to turn the colours round afterwards costs every detector 3 ms a frame
    rgb = cv2.imdecode(np.frombuffer(row["jpeg"], np.uint8), cv2.IMREAD_COLOR_RGB)
    assert rgb is not None
    return SampledFrame(row["t_s"], row["frame"], rgb)
