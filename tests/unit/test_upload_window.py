"""Which upload days a crawl day is about: none is missed, and a backfill looks at no other."""

from __future__ import annotations

import datetime

import pytest

from humannet_ops.sources.protocol import Window
from humannet_ops.stages.execution import settled, upload_window


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("key", "watermark", "since", "after", "through"),
    [
        pytest.param("2026-01-05", None, None, None, "2026-01-05", id="first crawl: everything"),
        pytest.param("2026-01-05", None, "2026-01-03", "2026-01-02", "2026-01-05", id="first crawl: since a day"),
        pytest.param("2026-01-05", "2026-01-04", None, "2026-01-04", "2026-01-05", id="the next day"),
        pytest.param("2026-01-09", "2026-01-04", None, "2026-01-04", "2026-01-09", id="days without a crawl"),
        pytest.param("2026-01-05", "2026-01-05", None, "2026-01-04", "2026-01-05", id="the same day again"),
        pytest.param("2026-01-02", "2026-01-05", None, "2026-01-01", "2026-01-02", id="backfill: that day alone"),
    ],
)
def test_window(key: str, watermark: str | None, since: str | None, after: str | None, through: str) -> None:
    found = upload_window(key, watermark, day(since) if since else None)
    assert found == Window(day(after) if after else None, day(through))


def test_a_window_holds_its_last_day_and_what_has_none() -> None:
    window = Window(day("2026-01-01"), day("2026-01-03"))
    inside = [text for text in ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04") if window.contains(day(text))]
    assert inside == ["2026-01-02", "2026-01-03"]
    assert window.contains(None)


@pytest.mark.parametrize(("hour", "settles"), [("2026-01-05T00:00", "2026-01-03"), ("2026-01-05T12:00", "2026-01-04")])
def test_a_day_that_is_not_over_everywhere_is_looked_at_again(hour: str, settles: str) -> None:
    now = datetime.datetime.fromisoformat(hour).replace(tzinfo=datetime.UTC)
    assert settled("2026-01-05", now) == settles
    assert settled("2025-12-01", now) == "2025-12-01"
    after = upload_window("2026-01-06", settles, None).after
    assert after is not None
    assert after.isoformat() == settles
