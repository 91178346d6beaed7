"""Following DAG runs from a crawl to the last leg, through the asset events that link them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from humannet_ops.local.client import Client, Json
from humannet_ops.orchestration.legs import FETCHED, LEGS, REVISIT, STATISTICS

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
        self.settled: set[Name] = set()
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
            if name not in self.settled:
                self._refresh(name, followed)
        return all(run.ended for run in self.runs.values()) and self.settled >= self.runs.keys()

    def is_stalled(self) -> bool:
        """Say whether the executor was handed tasks and runs none."""
        states = {task["state"] for run in self.runs.values() if not run.ended for task in run.tasks}
        return "queued" in states and "running" not in states

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
        if run.ended and self._followed(run):
            self.settled.add(name)

    def _followed(self, run: FollowedRun) -> bool:
        """Say whether each crawl day that a run announced has a run of the legs that follow.

        Airflow makes the follower after it took the announcement. (Its API links the two, but answers 500 while the
        follower is still queued, in 3.3.2.)
        """
        told = next((task for task in run.tasks if task["task_id"] == "announce"), None)
        if told is None or told["state"] != "success":
            return True
        followers = _followers(_announced_by(run.dag_id))
        days = self.api.returned(run.dag_id, run.run_id, "find_due") if run.dag_id == REVISIT else [run.partition_key]
        after = datetime.fromisoformat(told["start_date"])
        return all(self._find(dag_id, str(day), after) for dag_id in followers for day in days)

    def _find(self, dag_id: str, partition_key: str, after: datetime) -> bool:
        for run in self.api.runs(partition_key, dag_id):
            if datetime.fromisoformat(run["run_after"]) >= after:
                self._see(run)
                return True
        return False


def _announced_by(dag_id: str) -> str:
    return next((leg.announces for leg in LEGS if leg.dag_id == dag_id), FETCHED)


def _followers(announced: str) -> list[str]:
    if announced == LEGS[-1].announces:
        return [STATISTICS]
    return [leg.dag_id for leg in LEGS if leg.follows == announced]
