"""How open data sets lay out their manifests: a table, and how a row becomes what a source offers."""

from __future__ import annotations

import ast
import datetime
import functools
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from humannet_ops.catalog.discovery import Entry, Report
from humannet_ops.sources.config import SourceError

FIELDS = (
    "url", "title", "license", "uploader", "channel", "uploaded_on", "duration", "signature", "start", "end",
    "segments", "caption",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a manifest say what they say.

    Attributes:
        columns: The column of each field; of several, the first that the manifest has.
        recognised_by: A manifest that has all these columns is laid out so.
        keep: Globs of further columns that are kept with the video.
        keep_in_segments: Globs of further columns that are kept with each segment. Where ``segments`` is a list of
            pairs, a list of the same length is dealt out to them.
        only: Rows that are taken: globs by column.
    """

    columns: Mapping[str, Sequence[str]]
    recognised_by: frozenset[str] = frozenset()
    keep: Sequence[str] = ()
    keep_in_segments: Sequence[str] = ()
    only: Mapping[str, Sequence[str]] | None = None


LAYOUTS: Mapping[str, Layout] = {
    # https://ego4d-data.org/docs/data/metadata: `videos` in ego4d.json, or the manifest.csv of the downloader, which
    # names annotation files too
    "ego4d": Layout(
        columns={
            "url": ("url", "http_path", "canonical_s3_location", "s3_path"),
            "title": ("video_uid",),
            "duration": ("duration_sec", "canonical_video_duration_sec"),
            "uploader": ("video_source",),
        },
        recognised_by=frozenset({"video_uid"}),
        keep=("*",),
        only={"type": ("mp4", "video", "")},
    ),
    # https://github.com/snap-research/Panda-70M: a row a video, with a list of segments and lists as long beside it
    "panda_70m": Layout(
        columns={"url": ("url",), "segments": ("timestamp",), "caption": ("caption",)},
        recognised_by=frozenset({"videoID", "url", "timestamp", "caption", "matching_score"}),
        keep=("videoID",),
        keep_in_segments=("*",),
    ),
    # https://huggingface.co/datasets/Koala-36M/Koala-36M-v1: a row a segment, with its caption and scores
    "koala_36m": Layout(
        columns={"url": ("url",), "segments": ("timestamp",), "caption": ("caption",)},
        recognised_by=frozenset({"videoID", "url", "timestamp", "caption"}),
        keep_in_segments=("*",),
    ),
    "plain": Layout(columns={name: (name,) for name in FIELDS}),
}
"""In this order they are tried on a manifest whose source names none."""

# What needs no closer look to be an address: most of a manifest of millions.
_USUAL = re.compile(r"https?://[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?/[!-~]*")
_TEMPLATE = re.compile(r"\{([^{}]+)\}")
_TIME = re.compile(r"\d+(?::\d{1,2}){0,2}(?:\.\d+)?")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,15})?")
_BEGINS_NUMBER = frozenset("-0123456789")
_AROUND_TIMES = frozenset("[](),;'\" \t\r\n")


def recognised(columns: Iterable[str]) -> str:
    """Return the name of the layout that a manifest with these columns has."""
    found = frozenset(columns)
    return next(name for name, layout in LAYOUTS.items() if layout.recognised_by <= found)


class Reader:
    """Turns rows into entries.

    Args:
        layout: What the rows mean.
        columns: The columns that the manifest has; in JSON those of the first row.
        licence_of: Names the licence of an address whose row names none.
        canonical: Returns an address without what does not name the item.
        report: Where faults go.

    Raises:
        SourceError: the manifest has no column with addresses.
    """

    def __init__(
        self,
        layout: Layout,
        columns: Sequence[str],
        *,
        licence_of: Callable[[str], str | None],
        canonical: Callable[[str], str],
        report: Report,
    ) -> None:
        self.layout, self.licence_of, self.canonical, self.report = layout, licence_of, canonical, report
        self.column = {name: _present(names, columns) for name, names in layout.columns.items()}
        address = self.column.get("url")
        if address is None:
            wanted = " or ".join(layout.columns.get("url", ("url",)))
            raise SourceError(
                f"it has no column {wanted} with addresses; its columns are {', '.join(columns) or 'none'}. "
                "Name yours: `columns: {url: ...}`"
            )
        self.template = address if _TEMPLATE.search(address) else None
        mapped = {name for name in self.column.values() if name}
        others = [name for name in columns if name not in mapped]
        self.kept_in_segments = [name for name in others if _matches(name, layout.keep_in_segments)]
        self.kept = [name for name in others if _matches(name, layout.keep)]
        in_both = frozenset(self.kept)
        self.kept_in_segments = [name for name in self.kept_in_segments if name not in in_both]
        self.taken = 0
        self._read = {name: _getter(column, columns) for name, column in self.column.items() if column}

    def entries(self, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Entry]:
        """Stream the entries of the rows that are asked for; a row without a usable address is a fault."""
        for line, row in rows:
            if self.layout.only and not _asked_for(row, self.layout.only):
                continue
            try:
                entry = self._entry(line, row)
            except ValueError as error:
                self.report.fault(line, f"{error}: the row is left out")
                continue
            self.taken += 1
            yield entry

    def _entry(self, line: int, row: Mapping[str, Any]) -> Entry:
        url = self._address(row)
        published = {name: value for name in self.kept if (value := row.get(name)) not in (None, "")}
        if segments := self._attempt(line, "segments", functools.partial(self._segments, line, row)):
            published["segments"] = segments
        return Entry(
            url,
            self._text(row, "signature") or "",
            title=self._text(row, "title"),
            license=self._text(row, "license") or self.licence_of(url),
            canonical_uri=url if url.startswith("s3:") else self.canonical(url),
            channel_id=self._text(row, "channel"),
            uploader=self._text(row, "uploader"),
            uploaded_on=self._typed(line, row, "uploaded_on", day),
            duration_s=self._typed(line, row, "duration", seconds),
            published=published,
        )

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        read = self._read.get(name)
        return read(row) if read else None

    def _text(self, row: Mapping[str, Any], name: str) -> str | None:
        value = self._value(row, name)
        return None if value in (None, "") else str(value)

    def _typed(self, line: int, row: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
        value = self._value(row, name)
        return None if value in (None, "") else self._attempt(line, name, functools.partial(read, value))

    def _address(self, row: Mapping[str, Any]) -> str:
        if self.template:
            parts = {name: row.get(name) for name in _TEMPLATE.findall(self.template)}
            missing = [name for name, value in parts.items() if value in (None, "")]
            if missing:
                raise ValueError(f"{missing[0]}: empty, and the address is made of it")
            url = _TEMPLATE.sub(lambda found: str(parts[found[1]]), self.template)
        else:
            url = str(self._value(row, "url") or "").strip()
        if _USUAL.fullmatch(url):
            return url
        if not url:
            raise ValueError(f"{self.column['url']}: empty")
        try:
            address = urlsplit(url)
            usable = address.scheme in ("http", "https", "s3") and bool(address.hostname)
        except ValueError:
            usable = False
        if not usable or not url.isprintable() or " " in url:
            raise ValueError(f"{self.column['url']}: {url[:200]!r} is no http, https or s3 address")
        return url

    def _attempt(self, line: int, name: str, read: Callable[[], Any]) -> Any:
        """Read a value that a row can do without: where it is wrong, the row is taken and the fault reported."""
        try:
            return read()
        except ValueError as error:
            self.report.fault(line, f"{self.column.get(name) or name}: {error}: the row is taken without it")
            return None

    def _segments(self, line: int, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        together = self._value(row, "segments")
        values = {"caption": self._value(row, "caption")}
        for name in self.kept_in_segments:
            values[name] = row.get(name)
        if together not in (None, "", []):
            found, many = pairs(together)
            spans = [_span(*pair) for pair in found]
            if many:
                dealt = {
                    name: self._attempt(line, name, functools.partial(_dealt, value, len(spans)))
                    for name, value in values.items()
                }
                return [
                    _segment(span, {name: items[place] for name, items in dealt.items() if items})
                    for place, span in enumerate(spans)
                ]
        else:
            start, end = seconds(self._value(row, "start")), seconds(self._value(row, "end"))
            if start is None and end is None and values["caption"] in (None, ""):
                return []
            spans = [_span(start, end)]
        return [_segment(span, {name: _typed(value) for name, value in values.items()}) for span in spans]


def seconds(value: Any) -> float | None:
    """Read a time: seconds as number or text, ``M:SS`` or ``H:MM:SS.mmm``; None is None.

    Raises:
        ValueError: it is none, or negative.
    """
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value >= 0 and value != float("inf"):
            return float(value)
    elif isinstance(value, datetime.timedelta):
        return value.total_seconds()
    elif _TIME.fullmatch(text := str(value).strip()):
        total = 0.0
        for part in text.split(":"):
            total = total * 60 + float(part)
        return round(total, 6)
    raise ValueError(f"{str(value)[:80]!r} is no time like 12.5 or 0:01:02.500")


def pairs(value: Any) -> tuple[list[tuple[float, float]], bool]:
    """Read ``[begin, end]`` or a list of such pairs, as a list or as the text of one.

    Returns:
        The pairs in seconds, and whether it was a list of them.

    Raises:
        ValueError: it is neither.
    """
    wrong = ValueError(f"{str(value)[:80]!r} is neither [begin, end] nor a list of such pairs")
    if isinstance(value, str):
        # the text of a Python or JSON list; only times and what stands between them may be in it
        if not _AROUND_TIMES.issuperset(_TIME.sub("", value)):
            raise wrong
        times: list[Any] = _TIME.findall(value)
        many = value.lstrip().startswith("[[") or value.lstrip().startswith("[(")
    else:
        try:
            many = bool(len(value)) and not isinstance(value[0], (int, float, str))
            times = [time for pair in value for time in pair] if many else list(value)
        except TypeError:
            raise wrong from None
    if not times or len(times) % 2 or (not many and len(times) != 2):
        raise wrong
    read = [seconds(time) or 0.0 for time in times]
    return list(zip(read[::2], read[1::2], strict=True)), many


def day(value: Any) -> datetime.date | None:
    """Read a day: ``2026-01-31``, with or without a time, or ``20260131``; None is None.

    Raises:
        ValueError: it is none.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.datetime.fromisoformat(str(value).strip()).date()
    except ValueError:
        raise ValueError(f"{str(value)[:80]!r} is no day like 2026-01-31") from None


def _present(names: Sequence[str], columns: Sequence[str]) -> str | None:
    return next(
        (name for name in names if _TEMPLATE.search(name) or name in columns or name.partition(".")[0] in columns), None
    )


def _getter(column: str, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], Any]:
    """Return what reads a column from a row, or ``b`` from the object ``a`` where it is written ``a.b``."""
    path = [column] if column in columns else column.split(".")
    if len(path) == 1:
        return operator.methodcaller("get", column)

    def read(row: Mapping[str, Any]) -> Any:
        found: Any = row
        for part in path:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found

    return read


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _asked_for(row: Mapping[str, Any], only: Mapping[str, Sequence[str]]) -> bool:
    return all(_matches(str(row.get(column, "")), globs) for column, globs in only.items())


def _span(start: float | None, end: float | None) -> tuple[float | None, float | None]:
    if end is not None and end <= (start or 0.0):
        raise ValueError(f"a segment ends at {end:g} s, not after its begin at {start or 0.0:g} s")
    return start, end


def _segment(span: tuple[float | None, float | None], values: Mapping[str, Any]) -> dict[str, Any]:
    times = {"start_s": span[0], "end_s": span[1]}
    return {name: value for name, value in {**times, **values}.items() if value not in (None, "")}


def _typed(value: Any) -> Any:
    """Make a number of a text that is one: CSV has no numbers."""
    if isinstance(value, str) and value[:1] in _BEGINS_NUMBER and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value


def _dealt(value: Any, count: int) -> list[Any] | None:
    """Return a list's items, one a segment.

    Raises:
        ValueError: it is no list of that length.
    """
    if value in (None, ""):
        return None
    found = _listed(value) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)):
        raise ValueError(f"{str(value)[:60]!r} is no list of {count} items")
    if len(found) != count:
        raise ValueError(f"{len(found)} items for {count} segments")
    return list(found)


def _listed(text: str) -> Any:
    """Return what the text of a JSON or Python list holds; anything else as it is."""
    if not text.lstrip().startswith(("[", "(")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
