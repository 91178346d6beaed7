"""Following DAG runs from a crawl to the last leg, through the asset events that link them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from humannet_ops.local.client import Client, Json
from humannet_ops.orchestration.legs import LEGS

Name = tuple[str, str]
ENDED = ("success", "failed")


@dataclass
class FollowedRun:
    """A DAG run as last seen."""

    dag_id: str
    run_id: str
    partition_key: str | None
    state: str
    tasks: list[Json] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.state in ENDED

    def counts(self) -> dict[str, Counter[str]]:
        """Return how many instances of each task are in which state, tasks in the order they started."""
        found: dict[str, Counter[str]] = {}
        for task in sorted(self.tasks, key=lambda t: t["start_date"] or "9"):
            found.setdefault(task["task_id"], Counter())[task["state"] or "waiting"] += 1
        return found

    def failures(self) -> list[Json]:
        """Return the task instances that failed themselves."""
        return [task for task in self.tasks if task["state"] == "failed"]


class Chain:
    """The runs that were started, the unfinished ones that were found, and all that follow from them."""

    def __init__(self, api: Client, started: Iterable[Name] = ()) -> None:
        """Begin with what runs now and what was just started."""
        self.api = api
        self.runs: dict[Name, FollowedRun] = {}
        self._settled: set[Name] = set()
        for run in api.runs(states=("queued", "running")):
            self._see(run)
        for name in started:
            self.add(name)

    def add(self, name: Name) -> None:
        """Follow one more run."""
        if name not in self.runs:
            self.runs[name] = FollowedRun(*name, partition_key=None, state="queued")

    def look(self) -> bool:
        """Look at everything once more; return whether all has ended and everything announced was followed."""
        for run in self.api.runs(states=("queued", "running")):
            self._see(run)
        for name, followed in list(self.runs.items()):
            if name not in self._settled:
                self._refresh(name, followed)
        return all(run.ended for run in self.runs.values()) and self._settled >= self.runs.keys()

    def failed(self) -> list[FollowedRun]:
        """Return the runs that failed."""
        return [run for run in self.runs.values() if run.state == "failed"]

    def _see(self, run: Json) -> None:
        name = (run["dag_id"], run["dag_run_id"])
        if name not in self.runs:
            self.runs[name] = FollowedRun(*name, run["partition_key"], run["state"])

    def _refresh(self, name: Name, run: FollowedRun) -> None:
        now = self.api.run(*name)
        run.state, run.partition_key = now["state"], now["partition_key"]
        run.tasks = self.api.tasks(*name)
        if run.ended and self._followed(name):
            self._settled.add(name)

    def _followed(self, name: Name) -> bool:
        """Say whether each partition that a run announced has a run of the leg that follows it."""
        for event in self.api.events_of(*name):
            followers = [leg.dag_id for leg in LEGS if leg.follows == event["uri"]]
            for dag_id in followers:
                if not self._find_follower(name, dag_id, event["partition_key"]):
                    return False
        return True

    def _find_follower(self, name: Name, dag_id: str, partition_key: str) -> bool:
        for run in self.api.runs(partition_key, dag_id=dag_id):
            if name in self.api.sources_of(run):
                self._see(run)
                return True
        return False
