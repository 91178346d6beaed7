"""Parquet files of what was tracked through a clip: rows in columns, and a JSON object that says what they mean.

All of them are written alike: zstd, floats split by byte, equal data gives equal bytes; the file's ``humannet``
metadata has ``kind``, ``version``, ``units``, ``frames_of_reference`` and whatever else the kind needs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

KEY = b"humannet"
PARQUET = "application/vnd.apache.parquet"


def write(
    path: Path,
    columns: Mapping[str, Any],
    described: Mapping[str, Any],
    *,
    sort: Sequence[str] = ("frame",),
) -> None:
    """Write a file.

    Args:
        path: Where to.
        columns: Arrays of one length. N x k x ... arrays become lists of floats; lists of str or None become strings;
            masked arrays' masked values become null.
        described: What the file says about itself.
        sort: Columns that order the rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: _column(values) for name, values in columns.items()})
    table = table.sort_by([(name, "ascending") for name in sort])
    table = table.replace_schema_metadata({KEY: json.dumps(described, sort_keys=True)})
    split, dictionary = [], []
    for entry in table.schema:
        if pa.types.is_list(entry.type):
            split.append(f"{entry.name}.list.element")
        elif pa.types.is_floating(entry.type):
            split.append(entry.name)
        elif pa.types.is_string(entry.type):
            dictionary.append(entry.name)
    pq.write_table(
        table,
        path,
        version="2.6",
        compression="zstd",
        compression_level=9,
        use_dictionary=dictionary or False,  # type: ignore[arg-type]
        use_byte_stream_split=split,  # type: ignore[arg-type]
    )


def _column(values: Any) -> Any:
    import pyarrow as pa

    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, mask=np.ma.getmaskarray(values))
    if isinstance(values, np.ndarray) and values.ndim > 1:
        rows = values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32)
        offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
        lists: Any = pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.ravel()))  # type: ignore[call-overload]
        return lists
    if isinstance(values, np.ndarray):
        return pa.array(values)
    return pa.array(values, pa.string())


def read(path: Path, kind: str, version: int) -> tuple[pa.Table, dict[str, Any]]:
    """Read a file and what it says about itself.

    Raises:
        ValueError: it is of another kind, or of a version that this code does not know.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    described = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    if described.get("kind") != kind or described.get("version") != version:
        found = f"{described.get('kind', 'another kind of file')} {described.get('version', '')}".strip()
        raise ValueError(f"{path} is no {kind} {version} but {found}: run its stage again")
    return table, described


def numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column of plain numbers, or of strings as objects."""
    values: NDArray[Any] = table[name].to_numpy(zero_copy_only=False)
    return values


def arrays(table: pa.Table, name: str, *shape: int) -> NDArray[np.float32]:
    """Return a column of lists as rows x ``shape``."""
    import pyarrow.compute as pc

    values: NDArray[np.float32] = pc.list_flatten(table[name]).to_numpy()
    return values.reshape(table.num_rows, *shape)


def rounded(values: NDArray[Any], step: float) -> NDArray[np.float32]:
    """Round to multiples of a step far below what a model can tell: files get about half as large.

    Adding zero turns -0.0 into 0.0, so that equal values are equal bytes.
    """
    return np.round(np.asarray(values, np.float32) / step) * np.float32(step) + np.float32(0)
