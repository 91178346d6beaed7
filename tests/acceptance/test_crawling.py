"""A site on loopback is crawled day by day by real Airflow, with yt-dlp's real extractors; then days are backfilled."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from broken_videos import moving_video
from video_site import Site
from waiting import wait

from humannet_ops.local import airflow
from humannet_ops.local.chain import ENDED, Chain
from humannet_ops.orchestration.legs import REVISIT

pytestmark = pytest.mark.acceptance

SOURCE = """
source: site
kind: ytdlp_channel
description: A site on loopback.
url: {url}
license: CC-BY-4.0
terms: Made for this test.
private_addresses: [127.0.0.1/32]
politeness: {{requests_per_minute: 6000, concurrent: 1}}
"""
FIRST = datetime.date(2026, 1, 1)


def day(number: int) -> datetime.date:
    """Return the first, second, ... simulated day."""
    return FIRST + datetime.timedelta(days=number - 1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Six videos over five days: one removed, one retitled, one at two addresses."""
    with Site() as there:
        for number, (name, uploaded) in enumerate({"a": 1, "b": 1, "c": 2, "d": 3, "e": 3, "f": 5}.items(), 1):
            clip = moving_video(tmp_path_factory.mktemp(name), 1.0 + number / 10, audio=False)
            there.add(name, clip, uploaded=day(uploaded))
        there.items["d"].removed = day(5)
        there.items["a"].retitled = (day(4), "Another title")
        yield there


@pytest.fixture(scope="module")
def crawler(new_home: Any, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A platform that is up and has this one source."""
    sources = tmp_path_factory.mktemp("sources")
    (sources / "site.yaml").write_text(SOURCE.format(url=site.url("/feed/all.rss")))
    home = new_home()
    environment = {"HUMANNET_SOURCES_DIR": str(sources)}
    home.ask("local", "up", **environment)
    api = airflow.client(home.path)
    # runs are counted here: at half past the hour this one announces days that are under way once more
    api.pause(REVISIT)
    api.unpause("crawl_site")
    yield home
    home.ask("local", "down", **environment)


def crawl(home: Any, site: Site, number: int) -> None:
    """Set the site's calendar and crawl that day; what follows goes on beside the next day's crawl."""
    site.today = day(number)
    api = airflow.client(home.path)
    run = api.trigger("crawl_site", day(number).isoformat())
    wait(lambda: api.run("crawl_site", run)["state"] in ENDED)
    assert api.run("crawl_site", run)["state"] == "success"


def follow(home: Any) -> None:
    """Wait until all that runs, and all that follows from it, has ended well."""
    chain = Chain(airflow.client(home.path))
    wait(chain.look)
    assert not chain.failed()


def media(site: Site) -> Counter[str]:
    """Return how often each file of the site was asked for."""
    return Counter({path: times for path, times in site.paths().items() if path.startswith("/media/")})


def found(home: Any) -> dict[str, tuple[str, str]]:
    """Return each video's crawl day and fetch outcome, by its name on the site."""
    rows = home.rows("""
        SELECT v.origin_uri, v.partition_key, o.outcome
        FROM videos v LEFT JOIN outcomes o ON o.stage = 'fetch' AND o.subject_id = v.video_id
    """)
    return {row["origin_uri"].rsplit("/", 1)[-1]: (row["partition_key"], row["outcome"]) for row in rows}


def test_five_days_and_a_backfill_of_two_end_in_the_expected_set(crawler: Any, site: Site) -> None:
    expected: dict[str, tuple[str, str]] = {}
    for number, names in enumerate(("ab", "c", "de", "", "f"), 1):
        crawl(crawler, site, number)
        expected |= {name: (day(number).isoformat(), "kept") for name in names}
        assert found(crawler) == expected
    changes = crawler.rows("SELECT video_id, field, before, after FROM upstream_changes ORDER BY change_id")
    assert [(row["field"], row["after"]) for row in changes if row["field"] == "title"] == [("title", "Another title")]

    # what appears late with a date of the past is found by a backfill of its day
    clip = site.items["b"].video.with_name("late.mp4")
    clip.write_bytes(site.items["a"].video.read_bytes() + b"\0" * 64)
    site.add("late", clip, uploaded=day(2))
    watermark = "SELECT max(watermark) AS day FROM crawls WHERE partition_key <= '2026-01-31'"
    before, asked = crawler.rows(watermark), media(site)
    crawler.ask(
        *("local", "airflow", "backfill", "create", "--dag-id", "crawl_site", "--reprocess-behavior", "completed"),
        *("--from-date", day(2).isoformat(), "--to-date", day(3).isoformat()),
    )
    follow(crawler)
    expected["late"] = (day(2).isoformat(), "kept")
    assert found(crawler) == expected
    assert crawler.rows(watermark) == before
    # yt-dlp asks a file what it is and then for all of it: the new one twice, the known ones never again
    assert media(site) == asked + Counter({"/media/late.mp4": asked["/media/a.mp4"]})
    assert crawler.rows("SELECT max(attempts) AS tries FROM attempts WHERE stage = 'fetch'") == [{"tries": 1}]


def test_every_day_went_the_whole_way_and_the_backfilled_ones_twice(crawler: Any) -> None:
    runs = Counter((run["dag_id"], run["partition_key"]) for run in airflow.client(crawler.path).runs())
    for leg in ("crawl_site", "analyse_videos", "curate_clips", "annotate_clips"):
        for number in range(1, 6):
            assert runs[leg, day(number).isoformat()] == (2 if number in (2, 3) else 1)


def test_days_go_side_by_side_and_a_day_by_one_run_at_a_time(crawler: Any) -> None:
    api = airflow.client(crawler.path)
    api.pause("analyse_videos")
    first, other, second = (api.trigger("analyse_videos", day(number).isoformat()) for number in (1, 2, 1))
    # as if the first had got there before the others began
    (turn,) = crawler.rows(f"""
        UPDATE turns SET run_id = '{first}'
        WHERE dag_id = 'analyse_videos' AND partition_key = '{day(1)}' RETURNING run_id
    """)
    assert turn["run_id"] == first
    api.unpause("analyse_videos")
    follow(crawler)
    ended = {run: datetime.datetime.fromisoformat(api.run("analyse_videos", run)["end_date"]) for run in (first, other)}
    # the last try of what finds the work: it was rescheduled until then
    (found_due,) = (task for task in api.tasks("analyse_videos", second) if task["task_id"] == "find_due")
    assert datetime.datetime.fromisoformat(found_due["start_date"]) >= ended[first]
    assert api.run("analyse_videos", second)["state"] == api.run("analyse_videos", other)["state"] == "success"
    held = f"SELECT run_id FROM turns WHERE dag_id = 'analyse_videos' AND partition_key = '{day(1)}'"
    assert crawler.rows(held) == [{"run_id": second}]


def test_the_rest_of_the_way_saw_them_all(crawler: Any) -> None:
    statuses = crawler.rows("SELECT status, count(*) AS videos FROM v_videos GROUP BY status")
    assert {row["status"] for row in statuses} <= {"kept", "rejected"}
    assert sum(row["videos"] for row in statuses) == 7


def test_its_provenance_is_whole(crawler: Any, site: Site) -> None:
    for row in crawler.rows("SELECT * FROM v_provenance"):
        assert row["license"] == "CC-BY-4.0"
        assert row["terms"] == "Made for this test."
        assert row["client"].startswith("yt-dlp ")
        assert row["fetched_from"].startswith(site.url("/"))
        assert row["uploaded_on"] is not None
        assert row["metadata_uri"]
        assert len(row["sha256"]) == 64
