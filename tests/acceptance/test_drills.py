"""Failure drills on the cluster's real processes. After each: one outcome a subject and stage, no orphan, none lost."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from cluster_home import QUICK, Drilled, Unanswered, until
from interrupted_recovery import interrupt_recovery
from proxy import Proxy

from humannet_ops.cluster import loopback, servers
from humannet_ops.local import components, postgres
from humannet_ops.settings import settings

pytestmark = [pytest.mark.acceptance, pytest.mark.drill]

LEASE_S = int(QUICK["VISIBILITY_TIMEOUT"])
# Longer than a client of the store is patient: its tasks fail meanwhile.
OUTAGE_S = 45


@pytest.fixture(scope="module")
def store_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Proxy]]:
    """A home whose ports are chosen, and a proxy before its object store."""
    home = tmp_path_factory.mktemp("cluster")
    place = loopback.folder(home)
    place.mkdir()
    proxy = Proxy(loopback.choose_ports(place)["store"])
    yield home, proxy
    proxy.close()


@pytest.fixture(scope="module")
def drilled(store_proxy: tuple[Path, Proxy], samples: Path, request: pytest.FixtureRequest) -> Iterator[Drilled]:
    """A cluster that is up, with an empty folder to crawl. After a failure what it left stays to be looked at."""
    home, proxy = store_proxy
    environment = {
        **os.environ, **QUICK, "HUMANNET_HOME": str(home), "HUMANNET_MODELS_DIR": str(settings().models),
        "STORE_ENDPOINT": f"http://127.0.0.1:{proxy.port}", "COLUMNS": "200",
    }  # fmt: skip
    videos = loopback.folder(home) / "videos"
    videos.mkdir()
    made = Drilled(home, environment, videos, samples)
    with _small_scratch(home):
        try:
            made.humannet("cluster", "up")
            yield made
        finally:
            made.humannet("cluster", "down")
    if not request.session.testsfailed:
        shutil.rmtree(home)


@contextmanager
def _small_scratch(home: Path) -> Iterator[None]:
    """Give the tasks' scratch folder a file system of its own, small enough to be filled, where this user may."""
    scratch = loopback.folder(home) / "scratch"
    scratch.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(scratch)], capture_output=True)
    try:
        yield
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", str(scratch)], check=True)


class Drill:
    """One drill: new videos, a crawl, a moment, a harm; then the way to its end, and what it cost."""

    def __init__(self, drilled: Drilled, name: str) -> None:
        self.drilled, self.name = drilled, name
        self.harmed_at = self.mended_at = 0.0

    def begin(self, videos: int = 4, *, people: bool = False) -> None:
        """Crawl new videos; with ``people`` some are kept and go all the way, which takes minutes."""
        self.drilled.add_videos(videos, people=people)
        self.chain = self.drilled.crawl()

    def when_running(self, stage: str) -> None:
        """Wait until a shard of a stage is being worked on."""
        running = f"SELECT count(*) FROM stage_runs WHERE stage = '{stage}' AND status = 'running'"
        until(lambda: self.drilled.number(running), pause_s=0.02)

    def harm(self, do: Callable[[], object]) -> None:
        """Do harm; it is over when ``do`` returns, or goes on."""
        self.harmed_at = time.time()
        do()
        self.mended_at = time.time()

    def since(self) -> float:
        """Seconds since the harm."""
        return time.time() - self.harmed_at

    def end(self, record: Callable[..., None]) -> None:
        """Follow to the end and judge."""
        until(lambda: self.drilled.cluster.fallen() == [])
        back_s = time.time() - self.mended_at
        self.drilled.follow(self.chain)
        cost = judged(self.drilled, self.harmed_at, self.mended_at)
        record(self.name, **{**cost, "recovery_s": max(back_s, cost["recovery_s"])})


# What a harm met: the shards that were worked on at its moment, those that failed after it, and what was tried again.
# They are over it when the last of their subjects has its outcome, whoever recorded it. What had not begun yet is over
# it when anything has an outcome again.
RECOVERED = """
    SELECT extract(epoch FROM greatest(
        max(o.recorded_at), (SELECT min(recorded_at) FROM outcomes WHERE recorded_at > to_timestamp({mended_at}))
    )) - {mended_at} AS seconds
    FROM stage_runs r
    JOIN shard_subjects s USING (shard_id)
    JOIN outcomes o ON o.stage = r.stage AND o.stage_version = r.stage_version AND o.subject_id = s.subject_id
    JOIN attempts a ON a.stage = r.stage AND a.stage_version = r.stage_version AND a.subject_id = s.subject_id
    WHERE coalesce(r.ended_at, now()) >= to_timestamp({harmed_at})
      AND (r.started_at <= to_timestamp({harmed_at}) OR r.status = 'failed' OR a.attempts > 1)
"""


def judged(drilled: Drilled, harmed_at: float, mended_at: float) -> dict[str, float]:
    """Ask the catalog and the store what a drill lost and doubled, and how long it took until what it met was done."""
    recovered = drilled.rows(RECOVERED.format(harmed_at=harmed_at, mended_at=mended_at))[0]["seconds"]
    doctor = drilled.ask_as("api-server", "doctor", "--store", status=None)
    missing, orphans = (
        int(re.search(pattern, doctor)[1])  # type: ignore[index]
        for pattern in (r"(\d+) artifacts without their object", r"(\d+) objects that no outcome names")
    )
    pending = drilled.number("SELECT count(*) FROM v_videos WHERE status = 'pending'")
    failed = drilled.number("SELECT count(*) FROM v_videos WHERE status = 'failed'")
    twice = drilled.number(
        "SELECT count(*) FROM (SELECT FROM outcomes GROUP BY stage, stage_version, subject_id HAVING count(*) > 1) AS t"
    )
    unseen = len(list(drilled.videos.iterdir())) - drilled.number("SELECT count(*) FROM v_videos")
    return {
        "recovery_s": float(recovered or 0),
        "lost": pending + failed + missing + unseen,
        "duplicated": twice + orphans,
    }


@pytest.fixture
def drill(drilled: Drilled, request: pytest.FixtureRequest) -> Drill:
    """A drill under the name of its test."""
    name = request.node.callspec.id if hasattr(request.node, "callspec") else request.node.name.removeprefix("test_")
    return Drill(drilled, name.replace("_", " "))


@pytest.mark.parametrize(
    ("victim", "stage"),
    [
        pytest.param("worker-cpu", "analyse", id="worker killed in mid-shard"),
        pytest.param("worker-gpu", "detect", id="model worker killed in mid-shard"),
        pytest.param("scheduler", "analyse", id="scheduler killed"),
        pytest.param("redis", "analyse", id="Redis killed"),
        pytest.param("catalog", "analyse", id="catalog killed"),
        pytest.param("metadata", "analyse", id="Airflow's database killed"),
        pytest.param("store", "analyse", id="S3 server killed"),
    ],
)
def test_a_killed_part_comes_back_and_the_way_goes_on(drill: Drill, victim: str, stage: str, record_drill) -> None:
    drill.begin(people=victim in ("worker-gpu", "store"))
    drill.when_running(stage)
    drill.harm(lambda: drill.drilled.kill(victim))
    drill.end(record_drill)
    assert drill.drilled.cluster.fallen() == []


def test_catalog_killed_in_its_recovery(drill: Drill, record_drill) -> None:
    drill.begin()
    drill.when_running("analyse")
    drilled = drill.drilled
    drill.harm(lambda: interrupt_recovery(drilled.place / "catalog", drilled.cluster.ports["catalog"]))
    drill.end(record_drill)


def test_store_answers_500(drill: Drill, store_proxy: tuple[Path, Proxy], record_drill) -> None:
    _, proxy = store_proxy
    drill.begin()
    drill.when_running("fetch")

    def fail() -> None:
        proxy.answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        until(lambda: drill.since() > OUTAGE_S)
        proxy.answer = None

    drill.harm(fail)
    drill.end(record_drill)


def test_store_is_slow(drill: Drill, store_proxy: tuple[Path, Proxy], record_drill) -> None:
    _, proxy = store_proxy
    drill.begin(2)
    drill.when_running("fetch")

    def slow() -> None:
        proxy.delay_s = 0.5

    drill.harm(slow)
    try:
        drill.end(record_drill)
    finally:
        proxy.delay_s = 0.0


def test_worker_cut_off_from_redis_for_longer_than_its_lease(drill: Drill, record_drill) -> None:
    drilled = drill.drilled
    proxy = Proxy(drilled.cluster.ports["redis"])
    environment = drilled.cluster.environment("worker-cpu")
    broker = environment["AIRFLOW__CELERY__BROKER_URL"].replace(
        f":{drilled.cluster.ports['redis']}/", f":{proxy.port}/"
    )
    command = [part.replace("cpu@", "distant@") for part in drilled.cluster.command("worker-cpu")]
    drilled.kill("worker-cpu")
    distant = components.start(
        drilled.place, "worker-distant", command, {**environment, "AIRFLOW__CELERY__BROKER_URL": broker}
    )
    try:
        drill.begin()
        running = "SELECT count(*) FROM stage_runs WHERE stage = 'analyse' AND status = 'running'"
        until(lambda: drilled.number(running), pause_s=0.02)
        drill.harm(proxy.cut)
        until(lambda: drill.since() > LEASE_S + 5)
        proxy.mend()
        drill.end(record_drill)
    finally:
        components.kill([distant, *components.remains(drilled.place, "worker-distant")])
        components.forget(drilled.place, "worker-distant")
        proxy.close()


def test_disk_full(drill: Drill, record_drill) -> None:
    scratch = drill.drilled.place / "scratch"
    if not os.path.ismount(scratch):
        pytest.skip("a small file system for the scratch folder takes the right to mount one")
    filler = scratch / "filler"
    noticed = """
        SELECT (SELECT count(*) FROM task_failures WHERE error LIKE '%space left%')
             + (SELECT count(*) FROM outcomes WHERE reason = 'disk_full')
    """

    def fill() -> None:
        with suppress(OSError), filler.open("wb") as stream:
            while True:
                stream.write(bytes(1 << 20))
        until(lambda: drill.drilled.number(noticed))
        filler.unlink()

    drill.begin(people=True)
    drill.harm(fill)
    drill.end(record_drill)


def test_two_schedulers_and_one_is_killed(drill: Drill, record_drill) -> None:
    drilled = drill.drilled
    second = components.start(
        drilled.place, "scheduler-2", drilled.cluster.command("scheduler"), drilled.cluster.environment("scheduler")
    )
    try:
        drill.begin()
        drill.when_running("analyse")
        drill.harm(lambda: drilled.kill("scheduler"))
        drill.end(record_drill)
    finally:
        components.kill([second, *components.remains(drilled.place, "scheduler-2")])
        components.forget(drilled.place, "scheduler-2")


PLAN = """
import sys
from humannet_ops.stages import execution
for shard in execution.plan(sys.argv[1], sys.argv[2], execution.person()):
    print(shard["shard_id"])
"""
RUN_SHARD = """
import sys
from humannet_ops.stages import execution
execution.run_shard(sys.argv[1], execution.person())
"""


def test_same_shard_twice_at_once(drill: Drill, record_drill) -> None:
    drilled = drill.drilled
    planner, worker = drilled.cluster.environment("worker-crawl"), drilled.cluster.environment("worker-cpu")
    api = drilled.cluster.client()
    api.pause("analyse_videos")
    drill.begin()
    until(lambda: _all_fetched(drilled))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    drill.harmed_at = drill.mended_at = time.time()
    for stage in ("deduplicate_exact", "analyse"):
        plan = [sys.executable, "-c", PLAN, stage, today]
        shards = subprocess.run(plan, env=planner, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        assert shards
        for shard in shards:
            both = [subprocess.Popen([sys.executable, "-c", RUN_SHARD, shard], env=worker) for _ in range(2)]
            assert [run.wait(timeout=300) for run in both] == [0, 0]
    api.unpause("analyse_videos")
    drill.chain = drilled.crawl()
    drill.end(record_drill)


def _all_fetched(drilled: Drilled) -> bool:
    with suppress(Unanswered):
        return drilled.number("SELECT count(*) FROM outcomes WHERE stage = 'fetch'") >= len(
            list(drilled.videos.iterdir())
        )
    return False


def test_fifty_random_kills(drill: Drill, record_drill) -> None:
    """Any process of the cluster but the one that starts them again, at any moment."""
    drilled = drill.drilled
    chance = random.Random(20261123)

    def kill_fifty() -> None:
        killed = 0
        while killed < 50:
            supervisor = components.find(drilled.place, "supervisor")
            assert supervisor is not None
            candidates = [process for process in components.marked(drilled.place) if process.pid != supervisor.pid]
            candidates += [process for name in servers.DATABASES for process in postgres.servers(drilled.place / name)]
            with suppress(psutil.Error):
                chance.choice(candidates).kill()
                killed += 1
            time.sleep(chance.uniform(0.2, 2.0))

    drill.begin(8, people=True)
    drill.harm(kill_fifty)
    drill.end(record_drill)
