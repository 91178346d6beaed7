"""The part of Airflow's REST API that the embedded platform uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]


class Unreachable(Exception):
    """The API server does not answer."""


class Refused(Exception):
    """The API server answered with an error; the message is its own."""


@dataclass
class Client:
    """Calls as one user, logged in at first need and again when the login ran out."""

    address: str
    user: str
    password: str = field(repr=False)
    _token: str = field(default="", repr=False)

    def health(self) -> dict[str, str]:
        """Return each component's state: ``healthy``, ``unhealthy`` or empty where it never reported."""
        parts = self._request("GET", "/api/v2/monitor/health", logged_in=False)
        return {name: (part or {}).get("status") or "" for name, part in parts.items()}

    def dags(self) -> dict[str, Json]:
        """Return every DAG by name."""
        return {dag["dag_id"]: dag for dag in self._pages("/api/v2/dags", "dags")}

    def import_errors(self) -> dict[str, str]:
        """Return the files that Airflow could not read, with the reason."""
        return {e["filename"]: e["stack_trace"] for e in self._pages("/api/v2/importErrors", "import_errors")}

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self._set_paused(dag_id, paused=False)

    def pause(self, dag_id: str) -> None:
        """Let no new run of a DAG begin."""
        self._set_paused(dag_id, paused=True)

    def _set_paused(self, dag_id: str, *, paused: bool) -> None:
        path = f"/api/v2/dags/{dag_id}"
        self._request("PATCH", path, params={"update_mask": "is_paused"}, json={"is_paused": paused})

    def trigger(self, dag_id: str, partition_key: str | None, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run, for a partition where the DAG has them, and return its run id."""
        body = {"logical_date": None, "partition_key": partition_key, "conf": dict(conf or {})}
        return str(self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def backfill(self, dag_id: str, first: str, last: str, *, again: bool) -> int:
        """Start a backfill over crawl days (both included), also of days that were done if ``again``; return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": "completed" if again else "none",
        }
        return int(self._request("POST", "/api/v2/backfills", json=body)["id"])

    def run(self, dag_id: str, run_id: str) -> Json:
        """Return one run."""
        found: Json = self._request("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return found

    def runs(self, partition_key: str | None = None, dag_id: str = "~", states: tuple[str, ...] = ()) -> list[Json]:
        """Return runs, newest first: of one partition, of one DAG, in some states, as far as given."""
        params: Json = {"order_by": "-id"}
        if partition_key is not None:
            params["partition_key_prefix_pattern"] = partition_key
        if states:
            params["state"] = list(states)
        found = self._pages(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs", params)
        return [run for run in found if partition_key in (None, run["partition_key"])]

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task handed over."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._request("GET", path, params={"deserialize": True})["value"]

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """Return a run's task instances."""
        return self._pages(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def log(self, task: Json) -> str:
        """Return the log of a task instance's last try as plain lines."""
        path = (
            f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
            f"/logs/{task['try_number']}"
        )
        params = {"map_index": task["map_index"], "full_content": True}
        content = self._request("GET", path, params=params)["content"]
        return "\n".join(line if isinstance(line, str) else _log_line(line) for line in content)

    def pools(self) -> dict[str, int]:
        """Return the pools and their sizes."""
        return {pool["name"]: pool["slots"] for pool in self._pages("/api/v2/pools", "pools")}

    def make_pool(self, name: str, slots: int, description: str) -> None:
        """Make a pool."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        self._request("POST", "/api/v2/pools", json=body)

    def _pages(self, path: str, key: str, params: Json | None = None) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self._request("GET", path, params={**(params or {}), "limit": 100, "offset": len(found)})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _request(self, method: str, path: str, *, logged_in: bool = True, **content: Any) -> Any:
        for attempt in (1, 2):
            headers = {"Authorization": f"Bearer {self._login(renew=attempt > 1)}"} if logged_in else {}
            answer = self._send(method, path, headers, content)
            if answer.status_code != 401:
                break
        if answer.is_error:
            raise Refused(f"Airflow's API: {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def _login(self, *, renew: bool) -> str:
        if renew or not self._token:
            body = {"username": self.user, "password": self.password}
            answer = self._send("POST", "/auth/token", {}, {"json": body})
            if answer.is_error:
                raise Refused(f"Airflow's API refuses the login as {self.user}: {answer.text[:200]}")
            self._token = answer.json()["access_token"]
        return self._token

    def _send(self, method: str, path: str, headers: Mapping[str, str], content: Json) -> httpx.Response:
        try:
            # trust_env: a proxy of the environment must not see calls to the loopback interface
            return httpx.request(
                method, self.address + path, headers=dict(headers), timeout=30, trust_env=False, **content
            )
        except httpx.TransportError as error:
            raise Unreachable(f"Airflow's API at {self.address} does not answer: {error}") from error


def _log_line(line: Json) -> str:
    """A line of a task's log: what it says, and the error it tells of."""
    errors = [f"{each['exc_type']}: {each['exc_value']}" for each in line.get("error_detail") or ()]
    return "\n".join([str(line.get("event", line)), *errors])
