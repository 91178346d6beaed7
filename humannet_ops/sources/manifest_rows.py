"""The rows of a manifest (CSV, JSON Lines, JSON or Parquet), one at a time, with what is wrong with any of them."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, cast

from humannet_ops.catalog.discovery import Report
from humannet_ops.sources.config import SourceError

Form = Literal["csv", "tsv", "jsonl", "json", "parquet"]
Row = tuple[int, dict[str, Any]]
"""A row's line in the file (or its number, in JSON and Parquet), from 1, and its values by column."""

LONGEST_LINE = 16 << 20
LONGEST_FIELD = 1 << 20
_BATCH = 1000


class Manifest:
    """A manifest on local disk.

    Args:
        path: The file; gzip is seen through.
        form: Its form; None looks at its first bytes.
        rows: Where the list of rows is in a JSON document: ``videos``, or ``a.b``; None is the document itself.
        encoding: Of text.
        report: Where faults go.
    """

    def __init__(self, path: Path, *, form: Form | None, rows: str | None, encoding: str, report: Report) -> None:
        self.path, self.at, self.encoding, self.report = path, rows, encoding, report
        self.form = form or self._sniffed()

    def columns(self) -> list[str]:
        """Return the columns that its header, its schema or its first row has.

        Raises:
            SourceError: it has no row, or no header that can be used.
        """
        if self.form == "parquet":
            with self._parquet() as table:
                return list(table.schema_arrow.names)
        unheard = Manifest(self.path, form=self.form, rows=self.at, encoding=self.encoding, report=Report())
        first = next(iter(unheard), None)
        if first is not None:
            return list(first[1])
        if self.form in ("csv", "tsv"):
            with self._open() as stream:
                return self._header(_Lines(stream, self.encoding, Report()))
        return []

    def __iter__(self) -> Iterator[Row]:
        """Stream the rows; those that cannot be read go to the report with their line and the reason.

        Raises:
            SourceError: the file is damaged in a way that leaves no further row to read.
        """
        read = {"csv": self._csv, "tsv": self._csv, "jsonl": self._jsonl, "json": self._json, "parquet": self._batches}
        return read[self.form]()

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with self.path.open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        try:
            with cast(IO[bytes], gzip.open(self.path)) if zipped else self.path.open("rb") as stream:
                yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"it is a damaged gzip file: {error}") from error

    def _sniffed(self) -> Form:
        with self._open() as stream:
            head = stream.read(1 << 16)
        if head.startswith(b"PAR1"):
            return "parquet"
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if text.startswith(b"["):
            return "json"
        if text.startswith(b"{"):
            line = text.partition(b"\n")[0]
            # one object a line, or a document of which the first line is a part
            return "jsonl" if _is_json(line) and not self.at else "json"
        first = text.partition(b"\n")[0]
        return "tsv" if first.count(b"\t") > first.count(b",") else "csv"

    def _csv(self) -> Iterator[Row]:
        csv.field_size_limit(LONGEST_FIELD)
        with self._open() as stream:
            lines = _Lines(stream, self.encoding, self.report)
            header = self._header(lines)
            reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
            while True:
                lines.taken.clear()
                try:
                    values = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    fault = str(error)
                else:
                    if len(values) == len(header):
                        yield lines.first, dict(zip(header, values, strict=True))
                    if not values or len(values) == len(header):
                        continue
                    fault = f"{len(values)} fields where the header has {len(header)}"
                self.report.fault(lines.first, f"{fault}: the row is left out")
                lines.again()
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)

    @property
    def _delimiter(self) -> str:
        return "\t" if self.form == "tsv" else ","

    def _header(self, lines: _Lines) -> list[str]:
        try:
            header = [name.strip() for name in next(csv.reader(lines, delimiter=self._delimiter), [])]
        except csv.Error as error:
            raise SourceError(f"its first line is no header of columns: {error}") from error
        twice = {name for name in header if header.count(name) > 1}
        if not any(header) or twice:
            what = f"has the column {min(twice)!r} twice" if twice and any(header) else "is empty"
            raise SourceError(f"its first line must name the columns, but {what}")
        return header

    def _jsonl(self) -> Iterator[Row]:
        with self._open() as stream:
            lines = _Lines(stream, self.encoding, self.report)
            for line in lines:
                lines.taken.clear()
                if not line.strip():
                    continue
                try:
                    values = json.loads(line)
                except (ValueError, RecursionError) as error:
                    self.report.fault(lines.number, f"not JSON ({error}): the row is left out")
                    continue
                if isinstance(values, dict):
                    yield lines.number, values
                else:
                    self.report.fault(lines.number, 'not a JSON object like {"url": ...}: the row is left out')

    def _json(self) -> Iterator[Row]:
        import ijson

        try:
            at = self.at if self.at is not None else self._first_list()
            place = f"{at}.item" if at else "item"
            with self._open() as stream:
                for number, values in enumerate(ijson.items(stream, place, use_float=True), start=1):
                    if isinstance(values, dict):
                        yield number, values
                    else:
                        self.report.fault(number, 'not a JSON object like {"url": ...}: the row is left out')
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise SourceError(f"its JSON cannot be read to its end: {error}") from error

    def _first_list(self) -> str:
        """Return where a document's first list of objects is, empty where it is the document."""
        import ijson

        with self._open() as stream:
            before: tuple[str, str] = ("", "")
            for prefix, event, _value in ijson.parse(stream, use_float=True):
                if event == "start_map" and before[1] == "start_array":
                    return before[0]
                before = (prefix, event)
        raise SourceError("it is JSON without a list of objects: name its place with `rows`")

    @contextmanager
    def _parquet(self) -> Iterator[Any]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(self.path, memory_map=True) as table:
                yield table
        except (pyarrow.ArrowException, OSError) as error:
            raise SourceError(f"it cannot be read as Parquet: {error}") from error

    def _batches(self) -> Iterator[Row]:
        number = 0
        with self._parquet() as table:
            for batch in table.iter_batches(batch_size=_BATCH):
                for values in batch.to_pylist():
                    number += 1
                    yield number, values


class _Lines:
    """The lines of a text file, which can be read again from the second line of what was taken last.

    A quote that is never closed makes the rows after it part of its row. When such a row turns out to be none, reading
    goes on with its second line, so one bad row costs one row.
    """

    def __init__(self, stream: IO[bytes], encoding: str, report: Report) -> None:
        self.stream, self.encoding, self.report = stream, encoding, report
        self.number = 0
        self.taken: list[tuple[int, str]] = []
        self._pending: deque[tuple[int, str]] = deque()
        self._read = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, text = self._pending.popleft() if self._pending else self._next()
        self.taken.append((self.number, text))
        return text

    @property
    def first(self) -> int:
        """The number of the first line taken."""
        return self.taken[0][0]

    def again(self) -> None:
        """Give the lines taken again, but for the first."""
        self._pending.extendleft(reversed(self.taken[1:]))

    def _next(self) -> tuple[int, str]:
        while line := self.stream.readline(LONGEST_LINE):
            self._read += 1
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                while (rest := self.stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    pass
                self.report.fault(self._read, f"longer than {LONGEST_LINE >> 20} MiB: the line is left out")
                continue
            if self._read == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                return self._read, line.decode(self.encoding)
            except UnicodeDecodeError as error:
                fault = f"not {self.encoding} (byte {error.start + 1} of the line): the line is left out"
                self.report.fault(self._read, fault)
        raise StopIteration


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
