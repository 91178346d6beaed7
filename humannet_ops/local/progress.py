"""Showing how far runs are: a table that renews itself on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from humannet_ops.local.chain import Chain, FollowedRun

Say = Callable[[str], None]
_COLOURS = {"success": "green", "failed": "red", "running": "cyan", "queued": "yellow"}


class Progress:
    """One run's progress."""

    def __init__(self, console: Console | None = None) -> None:
        """Show on a console, by default standard output."""
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._live: Live | None = None
        self._said: dict[tuple[str, str, str], str] = {}

    def say(self, text: str) -> None:
        """Print one line, with the seconds since the beginning."""
        self.console.print(f"{time.monotonic() - self._began:6.1f} s  {text}", markup=False)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Keep a table on the terminal for the length of a ``with`` block."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, refresh_per_second=4) as self._live:
            yield
        self._live = None

    def show(self, chain: Chain) -> None:
        """Show the chain as it is now."""
        if self._live is not None:
            self._live.update(Group(*(_panel(run) for run in chain.runs.values())))
            return
        for run in chain.runs.values():
            self._say_once(run, "", run.state)
            for task_id, counts in run.counts().items():
                self._say_once(run, task_id, _in_words(counts))

    def _say_once(self, run: FollowedRun, task_id: str, state: str) -> None:
        key = (run.dag_id, run.run_id, task_id)
        if self._said.get(key) != state and not (task_id and state == "waiting"):
            self._said[key] = state
            self.say(f"{run.dag_id} {run.partition_key or ''}  {task_id or 'DAG run'}: {state}")


def _in_words(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    if total == 1:
        return next(iter(counts))
    return ", ".join(f"{number} of {total} {state}" for state, number in counts.items())


def _panel(run: FollowedRun) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(Text(run.dag_id, style="bold"), run.partition_key or "", _coloured(run.state))
    if run.ended and run.state == "success":
        return table
    for task_id, counts in run.counts().items():
        done = counts["success"] + counts["skipped"]
        table.add_row(f"  {task_id}", f"{done}/{sum(counts.values())}", _coloured(next(iter(counts), "")))
    return table


def _coloured(state: str) -> Text:
    return Text(state, style=_COLOURS.get(state, "dim"))
