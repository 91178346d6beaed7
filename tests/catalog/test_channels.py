"""Channels: paused for what they bring, pinned and banned by people, and what that does to their candidates."""

from __future__ import annotations

import pytest
from endings import record
from keyword_world import SPECS, Site, shelf_entry

from humannet_ops.catalog import channels, fetching, planning, reading, recording
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import rejected
from humannet_ops.domain.stage import stage_versions

DAY = "2026-01-01"
VERSIONS = stage_versions(SPECS)


def crawl(site: Site, day: str, *names: str) -> None:
    """Find videos, each of the channel that its name begins with: ``bad-1`` is of ``shelf:bad``."""
    entries = [shelf_entry(name, channel=f"shelf:{name.split('-')[0]}") for name in names]
    site.crawl(day, lambda _phrase, _items: entries)


def judge(title: str) -> tuple[float, float]:
    """Keep videos of good channels, and of the others every one whose number ends in 7."""
    return 0.1, 0.05 if title.startswith("good") or title.endswith("7") else 0.0


def statuses() -> dict[str, tuple[str, str | None]]:
    return {
        row["channel_id"]: (row["status"], row["reason"]) for row in reading.rows("channels", source=None, status=None)
    }


def fetch_due(day: str) -> list[str]:
    """Run fetch's gate over what is due on a day, as the fetch stage does; return the titles that it rejected."""
    done = []
    for shard in planning.plan_shards(SPECS[0], VERSIONS, day, shard_seconds=1e9, max_attempts=3):
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, SPECS[0], 3)):
                barred = fetching.bar(item.subject.video_id)
                if barred is None:
                    continue
                recording.begin_attempt(link, run, item.subject.subject_id)
                assert barred[0] is Reason.CHANNEL_REJECTED
                with transaction(link):
                    record(link, run, item.subject, rejected(barred[0], detail={"message": barred[1]}))
                done.append(str(item.subject.title))
    return sorted(done)


@pytest.fixture
def judged(site: Site) -> Site:
    """Twenty videos of a good channel, twenty of a bad one, nineteen of another bad one, all decided."""
    names = [f"{channel}-{n}" for channel, count in (("good", 20), ("bad", 20), ("few", 19)) for n in range(count)]
    site.write("seeds: [x]\nexpansion: {strategies: []}\nchannels: {after_videos: 20, kept_share_below: 0.15}\n")
    crawl(site, DAY, *names)
    site.decide(judge)
    return site


def test_a_channel_is_paused_before_the_next_crawl_with_its_numbers(judged: Site) -> None:
    assert {status for status, _ in statuses().values()} == {"active"}
    crawl(judged, "2026-01-02", "bad-new", "good-new", "few-new")
    assert statuses() == {
        "shelf:bad": ("paused", "kept 2 of 20 videos, less than 15.0 in a hundred after 20"),
        "shelf:few": ("active", None),
        "shelf:good": ("active", None),
    }
    assert fetch_due("2026-01-02") == ["bad-new"]
    assert list(reading.ask("select reason from v_videos where title = 'bad-new'")[1]) == [("channel_rejected",)]


def test_the_share_must_stay_under_its_threshold(judged: Site) -> None:
    assert channels.pause_poor("cooking", after_videos=20, kept_share_below=0.1) == {}
    assert channels.pause_poor("cooking", after_videos=21, kept_share_below=0.9) == {}
    assert list(channels.pause_poor("cooking", after_videos=19, kept_share_below=0.11)) == ["shelf:bad", "shelf:few"]
    assert channels.pause_poor("cooking", after_videos=19, kept_share_below=0.11) == {}
    assert channels.pause_poor("another", after_videos=1, kept_share_below=1) == {}


def test_what_was_refused_before_fetching_is_not_held_against_a_channel(site: Site) -> None:
    crawl(site, DAY, *(f"new-{n}" for n in range(30)))
    site.decide(lambda title: "license_denied" if title < "new-2" else None)
    assert channels.pause_poor("cooking", after_videos=1, kept_share_below=1) == {}
    # nor is what is not decided yet; one that is decided counts
    site.decide(lambda title: (0.1, 0.0) if title == "new-3" else None)
    assert channels.pause_poor("cooking", after_videos=2, kept_share_below=1) == {}
    assert list(channels.pause_poor("cooking", after_videos=1, kept_share_below=1).values()) == [
        "kept 0 of 1 videos, less than 100.0 in a hundred after 1"
    ]


def test_pinned_is_never_paused_and_banned_stays(judged: Site) -> None:
    channels.pin("shelf:bad", "me", "rare")
    channels.ban("shelf:few", "me", "copies")
    assert channels.pause_poor("cooking", after_videos=1, kept_share_below=0.5) == {}
    assert statuses()["shelf:bad"] == ("pinned", "rare")
    assert statuses()["shelf:few"] == ("banned", "copies")
    crawl(judged, "2026-01-02", "bad-new", "few-new")
    assert fetch_due("2026-01-02") == ["few-new"]


def test_a_paused_channel_that_is_pinned_has_its_rejected_candidates_due_again(judged: Site) -> None:
    crawl(judged, "2026-01-02", "bad-new", "bad-other", "few-new")
    assert fetch_due("2026-01-02") == ["bad-new", "bad-other"]
    assert fetch_due("2026-01-02") == []
    assert channels.pin("shelf:bad", "me") == 2
    (shard,) = planning.plan_shards(SPECS[0], VERSIONS, "2026-01-02", shard_seconds=1e9, max_attempts=3)
    with connect() as link:
        work = list(planning.open_work(link, shard, SPECS[0], 3))
    assert sorted((str(item.subject.title), item.attempts) for item in work) == [
        ("bad-new", 0), ("bad-other", 0), ("few-new", 0),
    ]  # fmt: skip
    assert fetch_due("2026-01-02") == []
    assert "2026-01-02" in planning.due_partitions(3)


def test_a_released_channel_is_judged_by_what_is_found_since(judged: Site) -> None:
    crawl(judged, "2026-01-02", "bad-new")
    assert fetch_due("2026-01-02") == ["bad-new"]
    assert channels.release("shelf:bad", "me", "a second chance") == 1
    assert statuses()["shelf:bad"] == ("active", "a second chance")
    crawl(judged, "2026-01-03", *(f"bad-again{n}" for n in range(20)))
    assert statuses()["shelf:bad"][0] == "active"
    judged.decide(judge)
    crawl(judged, "2026-01-04", "x-1")
    assert statuses()["shelf:bad"] == ("paused", "kept 2 of 20 videos, less than 15.0 in a hundred after 20")


def test_a_channel_nobody_knows_is_named(site: Site) -> None:
    with pytest.raises(LookupError, match="no channel 'shelf:typo' in the catalog: `humannet channel list`"):
        channels.ban("shelf:typo", "me")


def test_the_list_says_what_each_keeps(judged: Site) -> None:
    found = {row["channel_id"]: row for row in reading.rows("channels", source="cooking", status=None)}
    assert {name: (row["videos"], row["kept"], row["kept_share"]) for name, row in found.items()} == {
        "shelf:bad": (20, 2, 0.1), "shelf:few": (19, 2, pytest.approx(2 / 19)), "shelf:good": (20, 20, 1.0),
    }  # fmt: skip
    assert found["shelf:good"]["kept_hours"] == pytest.approx(1.0)
    assert reading.rows("channels", source="another", status=None) == []
    assert reading.rows("channels", source=None, status="banned") == []
