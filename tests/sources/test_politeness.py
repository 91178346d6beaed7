"""Manners that hold for all workers together: measured on the side of the site, and in what the catalog promises."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from site_sources import Fetching
from video_site import BLOCK, Fault, Site

from humannet_ops.catalog import politeness
from humannet_ops.catalog.connection import connect
from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.sources.config import Politeness
from humannet_ops.sources.network import Guard, guarded
from humannet_ops.sources.visiting import quiet_until, seconds_of

UTC = datetime.UTC
WORKER = Path(__file__).parent / "polite_worker.py"


def postponement(fetch: Fetching, url: str, **options: object) -> Postponed:
    with pytest.raises(Postponed) as caught:
        fetch(url, **options)
    return caught.value


class Workers:
    """Processes that fetch side by side."""

    def __init__(self, fetch: Fetching) -> None:
        self.fetch = fetch
        self.running: list[subprocess.Popen[str]] = []

    def start(self, urls: list[str], **fields: object) -> subprocess.Popen[str]:
        folder = self.fetch.folder / f"w{len(self.running)}"
        config = self.fetch.config(**fields).model_dump_json()
        worker = subprocess.Popen(
            [sys.executable, str(WORKER), config, str(folder), *urls], stdout=subprocess.PIPE, text=True
        )
        self.running.append(worker)
        return worker

    def ends(self) -> Counter[str]:
        found = Counter()
        for worker in self.running:
            lines, _ = worker.communicate(timeout=120)
            assert worker.returncode == 0
            found.update(json.loads(line)[1] for line in lines.splitlines())
        return found


def test_two_workers_keep_one_hosts_limits(site: Site, fetch: Fetching, clip: Path) -> None:
    """Six items by two workers, one download at a time, begun half a second apart: what the site measured."""
    for name in "abcdef":
        site.add(name, clip)
        site.faults[f"/media/{name}.mp4"] = Fault(drip_s=0.03, step=BLOCK)
    workers = Workers(fetch)
    rules = {"concurrent": 1, "requests_per_minute": 120}
    workers.start([site.url(f"/item/{name}") for name in "abc"], politeness=rules)
    workers.start([site.url(f"/item/{name}") for name in "def"], politeness=rules)
    assert workers.ends() == {str(clip.stat().st_size): 6}
    assert site.most_at_once("/media/|/item/") == 1
    # six requests are five gaps; when each arrives depends on how busy this machine is
    assert site.span("^/item/") >= 2.4
    assert site.least_gap("^/item/") >= 0.3
    # shared, too: the robots.txt that one of them read
    assert site.paths()["/robots.txt"] == 1


def test_all_workers_leave_a_host_alone_that_asks_for_it(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "abcd":
        site.add(name, clip)
    site.faults["/item/a"] = Fault(status=429, headers={"Retry-After": "3"}, times=1)
    workers = Workers(fetch)
    workers.start([site.url("/item/a"), site.url("/item/b")])
    site.wait_for("/item/a")
    workers.start([site.url("/item/c"), site.url("/item/d")])
    assert workers.ends() == {str(clip.stat().st_size): 4}
    asked = next(each for each in site.asked if each.status == 429)
    assert asked.ended
    later = [each.began - asked.ended for each in site.asked if each.began > asked.ended]
    assert min(later) >= 2.9


def test_a_host_has_so_many_places(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "abc":
        site.add(name, clip)
    gate = threading.Event()
    site.faults["/media/a.mp4"] = site.faults["/media/b.mp4"] = Fault(gate=gate)
    # guards are the process's: these threads share one process, so they may all go elsewhere
    free = {"private_addresses": True}
    others = [
        threading.Thread(target=fetch, args=(site.url(f"/item/{name}"),), kwargs={"name": name, **free})
        for name in "ab"
    ]
    for other in others:
        other.start()
    for name in "ab":
        site.wait_for(f"/media/{name}.mp4", 2)
    wait = postponement(fetch, site.url("/item/c"), name="c")
    assert wait.cause == "host"
    assert "2 downloads" in str(wait)
    assert site.paths()["/item/c"] == 0
    # another host is free meanwhile
    with Site("127.0.0.2") as elsewhere:
        elsewhere.add("c", clip)
        fetch(elsewhere.url("/item/c"), name="c", **free)
    gate.set()
    for other in others:
        other.join()
    fetch(site.url("/item/c"), name="c")


def test_robots_txt_may_ask_for_more_time(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "abc":
        site.add(name, clip)
    site.robots = "User-agent: *\nCrawl-delay: 2\n"
    fetch(site.url("/item/a"))
    fetch(site.url("/item/b"))
    fetch(site.url("/item/c"))
    # they are begun two seconds apart; on a busy machine the first may reach the site a little later than that
    assert site.least_gap("^/item/[bc]$") >= 1.5


# budgets


def test_a_days_items_are_shared(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "abc":
        site.add(name, clip)
    budget = {"items": 2}
    fetch(site.url("/item/a"), budget=budget)
    with pytest.raises(SubjectError):
        fetch(site.url("/item/none"), budget=budget)
    # what was not there has cost nothing
    fetch(site.url("/item/b"), budget=budget)
    asked = len(site.asked)
    wait = postponement(fetch, site.url("/item/c"), budget=budget)
    assert wait.cause == "budget"
    assert wait.until.astimezone(UTC).time() == datetime.time()
    assert datetime.timedelta() < wait.until - datetime.datetime.now(UTC) <= datetime.timedelta(days=1)
    assert len(site.asked) == asked
    fetch(site.url("/item/c"), budget={"items": 3})


def test_an_item_under_way_counts(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "ab":
        site.add(name, clip)
    gate = threading.Event()
    site.faults["/media/a.mp4"] = Fault(gate=gate)
    other = threading.Thread(target=fetch, args=(site.url("/item/a"),), kwargs={"budget": {"items": 1}, "name": "a"})
    other.start()
    site.wait_for("/media/a.mp4", 2)
    assert postponement(fetch, site.url("/item/b"), budget={"items": 1}).cause == "budget"
    gate.set()
    other.join()


def test_a_days_bytes_are_reserved_before_they_are_read(site: Site, fetch: Fetching, clip: Path) -> None:
    for name in "abc":
        site.add(name, clip)
    size = clip.stat().st_size
    # what would not fit on any day is no matter of waiting
    with pytest.raises(SubjectError) as caught:
        fetch(site.url("/item/c"), budget={"bytes": size // 2})
    assert caught.value.reason is Reason.TOO_LARGE
    budget = {"bytes": int(2.5 * size)}
    fetch(site.url("/item/a"), budget=budget)
    fetch(site.url("/item/b"), budget=budget)
    assert postponement(fetch, site.url("/item/c"), budget=budget).cause == "budget"
    # one body was begun for each, by its length alone it was left
    (spent,) = fetch.asked("select bytes from source_days where source = $source")[0]
    assert 2 * size < spent < 2.2 * size


def test_bytes_that_nobody_announced_are_reserved_as_they_come(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults["/media/a.mp4"] = Fault(length=None)
    content, _ = fetch(site.url("/item/a"), budget={"bytes": "10 MB"})
    assert content == clip.read_bytes()
    site.faults["/media/a.mp4"] = Fault(endless=True)
    with pytest.raises((SubjectError, Postponed)):
        fetch(site.url("/item/a"), budget={"bytes": "10 MB"})
    (spent,) = fetch.asked("select bytes from source_days where source = $source")[0]
    assert spent < 10_200_000


# quiet hours


def test_nothing_is_fetched_in_quiet_hours(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    now = datetime.datetime.now(UTC)
    begin, end = now - datetime.timedelta(minutes=5), now + datetime.timedelta(hours=2)
    hours = f"{begin:%H:%M}-{end:%H:%M}"
    wait = postponement(fetch, site.url("/item/a"), politeness={"quiet_hours": hours})
    assert wait.cause == "quiet_hours"
    assert wait.until == end.replace(second=0, microsecond=0)
    assert site.asked == []


def test_quiet_hours_may_pass_midnight_in_any_zone() -> None:
    rules = Politeness(quiet_hours="22:00-06:00", timezone="Europe/Berlin")
    night = datetime.datetime(2026, 1, 15, 2, 30, tzinfo=UTC)
    assert quiet_until(rules, night) == datetime.datetime(2026, 1, 15, 5, 0, tzinfo=UTC)
    evening = datetime.datetime(2026, 1, 15, 21, 30, tzinfo=UTC)
    assert quiet_until(rules, evening) == datetime.datetime(2026, 1, 16, 5, 0, tzinfo=UTC)
    assert quiet_until(rules, datetime.datetime(2026, 1, 15, 5, 0, tzinfo=UTC)) is None
    assert quiet_until(rules, datetime.datetime(2026, 1, 15, 20, 59, tzinfo=UTC)) is None
    # the night in which the clocks go forward ends an hour sooner
    spring = datetime.datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
    assert quiet_until(rules, spring) == datetime.datetime(2026, 3, 29, 4, 0, tzinfo=UTC)


def test_what_retry_after_says() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    assert seconds_of("120", now) == 120
    assert seconds_of("Thu, 01 Jan 2026 00:01:30 GMT", now) == 90
    assert seconds_of("Wed, 31 Dec 2025 00:00:00 GMT", now) == 1
    assert seconds_of("999999999", now) == 86400
    assert seconds_of("soon", now) is None
    assert seconds_of(None, now) is None


# disk


def test_disk_space_is_promised_once(site: Site, fetch: Fetching, clip: Path) -> None:
    """Two downloads that would each take most of what is free: one goes on, the other waits."""
    for name in "ab":
        site.add(name, clip)
    # of what is free, each file and its copy in the store would take six tenths
    most = int(shutil.disk_usage(fetch.folder.parent).free * 0.3)
    gate = threading.Event()
    site.faults["/media/a.mp4"] = site.faults["/media/b.mp4"] = Fault(length=most, gate=gate, drop_after=1 << 40)

    def break_off() -> None:
        with pytest.raises(SubjectError):
            fetch(site.url("/item/a"), name="a", max_bytes=most + 1)

    first = threading.Thread(target=break_off)
    first.start()
    try:
        site.until(lambda: (fetch.folder / "a" / "mp4.mp4.part").exists())
        wait = postponement(fetch, site.url("/item/b"), name="b", max_bytes=most + 1)
        assert wait.cause == "disk"
        assert "MiB" in str(wait)
    finally:
        gate.set()
        first.join()
    # the first one is over, and has given back what it was promised
    site.faults["/media/b.mp4"] = Fault()
    assert fetch(site.url("/item/b"), name="b")[0] == clip.read_bytes()


def test_more_than_the_disk_has_waits(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults["/media/a.mp4"] = Fault(length=1 << 50)
    assert postponement(fetch, site.url("/item/a"), max_bytes=1 << 51).cause == "disk"
    assert max(asked.sent for asked in site.asked if asked.path == "/media/a.mp4") <= 1 << 20


# the catalog


def test_the_catalog_is_not_held_by_the_guard(site: Site) -> None:
    with guarded(Guard()), connect() as link, link.cursor() as cursor:
        cursor.execute("select 1 as one")
        assert cursor.fetchall()


def test_what_a_dead_worker_held_is_free_and_what_it_read_is_spent(site: Site) -> None:
    dead = politeness.begin_visit("dead", "worker")
    assert politeness.take_host(dead, "dead.example", concurrent=1, gap_s=0) is None
    assert politeness.reserve_budget(dead, items=1, bytes=1000, most_items=1, most_bytes=1000) is None
    assert politeness.reserve_disk(dead, volume="disk", free=1000, written=0, bytes=1000)
    politeness.renew_visit(dead, 300)
    other = politeness.begin_visit("dead", "another")
    assert politeness.take_host(other, "dead.example", concurrent=1, gap_s=0)
    assert politeness.reserve_budget(other, items=1, bytes=1, most_items=1, most_bytes=1000)
    assert not politeness.reserve_disk(other, volume="disk", free=1000, written=0, bytes=500)
    with connect() as link, link, link.cursor() as cursor:
        cursor.execute("update visits set expires_at = now() where visit_id = %s", (dead.visit_id,))
    assert politeness.take_host(other, "dead.example", concurrent=1, gap_s=0) is None
    assert politeness.reserve_disk(other, volume="disk", free=1000, written=0, bytes=500)
    third = politeness.begin_visit("dead", "third")
    with pytest.raises(politeness.ExpiredError):
        politeness.renew_visit(dead, 300)
    assert politeness.reserve_budget(third, items=1, bytes=701, most_items=9, most_bytes=1000)
    assert politeness.reserve_budget(third, items=1, bytes=700, most_items=9, most_bytes=1000) is None
    for visit in (other, third):
        politeness.end_visit(visit, items=0, received=0)
