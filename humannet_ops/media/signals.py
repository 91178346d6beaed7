"""Signals over a video's time as Parquet: one row a sample, columns with their units in the file's metadata."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

COLUMNS = {
    "t_s": "presentation time, seconds from the first frame",
    "luma": "mean brightness, 0 to 255",
    "contrast": "standard deviation of brightness, 0 to 128",
    "dark_share": "share of pixels darker than 32 of 255",
    "bright_share": "share of pixels brighter than 240 of 255",
    "sharpness": "variance of the Laplacian over the variance of brightness",
    "change": "mean absolute difference from the sample before, 0 to 1",
    "camera": "speed of the camera's part of the motion, picture widths a second",
    "residual": "mean speed of what the camera does not explain, picture widths a second",
    "moving_share": "share of the picture that moves by itself",
}


def write(path: Path, rows: Sequence[Sequence[float]]) -> None:
    """Write samples, each a value for every name in ``COLUMNS``, in order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = np.asarray(rows, dtype=np.float32).reshape(-1, len(COLUMNS))
    fields = [pa.field(name, pa.float32(), metadata={"unit": unit}) for name, unit in COLUMNS.items()]
    table = pa.table([values[:, place] for place in range(len(COLUMNS))], schema=pa.schema(fields))
    pq.write_table(table, path, compression="zstd")


def read(path: Path) -> dict[str, np.ndarray]:
    """Return every column as a float array, one value a sample."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}
