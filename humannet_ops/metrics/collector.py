"""Asking in the background, and answering scrapes with what is known: a scrape never waits for the catalog."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from humannet_ops.metrics.questions import Question
from humannet_ops.settings import settings

logger = logging.getLogger(__name__)
# A question that took t seconds rests for 20 t: however large the catalog, each keeps it busy for a twentieth at most.
_REST = 20
# An answer is told until three more should have come. Then whoever asks hangs, and its metrics are missing.
_LIVES = 3


@dataclass(slots=True)
class Asked:
    """A question and its last answer."""

    question: Question
    rows: list[dict[str, Any]] | None = None
    at: float = 0.0
    took: float = 0.0
    errors: int = 0
    said: str = ""

    def ask(self) -> None:
        """Ask now. What goes wrong takes the answer away, is counted, and logged once."""
        begun = time.monotonic()
        try:
            self.rows, said = self.question.ask(), ""
        except Exception as error:
            self.rows, said = None, f"{type(error).__name__}: {error}"
            self.errors += 1
        if said and said != self.said:
            logger.warning("%s: %s", self.question.name, said)
        self.said, self.at = said, time.monotonic()
        self.took = self.at - begun

    def rest_s(self) -> float:
        """Return the seconds from its last answer to the next time."""
        return max(self.question.every_s, _REST * self.took)

    def answer(self) -> list[dict[str, Any]] | None:
        """Return the last answer unless it failed or is too old."""
        lives = _LIVES * (self.rest_s() + self.question.timeout_s)
        return self.rows if self.rows is not None and time.monotonic() - self.at < lives else None


class Exporter(Collector):
    """The questions, the threads that ask them, and their metrics."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.asked = [Asked(question) for question in questions]
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def ask_all(self) -> None:
        """Ask every question once."""
        for asked in self.asked:
            asked.ask()

    def start(self) -> None:
        """Ask on and on, one thread a lane, until ``stop``."""
        for lane in sorted({asked.question.lane for asked in self.asked}):
            mine = [asked for asked in self.asked if asked.question.lane == lane]
            self._threads.append(threading.Thread(target=self._go_on, args=(mine,), name=lane, daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Ask nothing more. A question under way is not waited for: it has its own limit."""
        self._ended.set()

    def _go_on(self, mine: list[Asked]) -> None:
        due = dict.fromkeys(range(len(mine)), 0.0)
        while not self._ended.is_set():
            place = min(due, key=due.__getitem__)
            if self._ended.wait(max(0.0, due[place] - time.monotonic())):
                return
            mine[place].ask()
            due[place] = mine[place].at + mine[place].rest_s()

    def catalog_is_up(self) -> bool:
        """Say whether the catalog answered a quick question lately."""
        return any(asked.question.lane == "quick" and asked.answer() is not None for asked in self.asked)

    def collect(self) -> Iterator[Metric]:
        """Give every metric whose answer is known."""
        found: dict[str, GaugeMetricFamily] = {}
        for asked in self.asked:
            rows = asked.answer()
            if rows is None:
                continue
            for measure in asked.question.measures:
                names = (*measure.labels, *measure.fixed)
                family = found.setdefault(measure.metric, GaugeMetricFamily(measure.metric, measure.help, labels=names))
                for row in rows:
                    if row.get(measure.column) is not None:
                        values = [*(str(row[label]) for label in measure.labels), *measure.fixed.values()]
                        family.add_metric(values, float(row[measure.column]))
        yield from (family for family in found.values() if family.samples)
        yield _gauge(
            "humannet_worker_price_per_hour", "Price of an hour of a slot of a queue.", settings().worker_prices.items()
        )
        up = GaugeMetricFamily("humannet_catalog_up", "Whether the catalog answered one of the last questions.")
        up.add_metric([], self.catalog_is_up())
        yield up
        yield from self._about_itself()

    def _about_itself(self) -> Iterable[Metric]:
        errors = CounterMetricFamily("humannet_metrics_errors", "Questions without an answer.", labels=["question"])
        took = GaugeMetricFamily("humannet_metrics_question_seconds", "What the last answer took.", labels=["question"])
        for asked in self.asked:
            errors.add_metric([asked.question.name], asked.errors)
            took.add_metric([asked.question.name], asked.took)
        return errors, took


def _gauge(name: str, text: str, values: Iterable[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["queue"])
    for queue, value in values:
        if value:
            family.add_metric([queue], value)
    return family
