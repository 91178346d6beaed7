"""Outcomes of quick stages are written together, and none of them is lost by that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from humannet_ops.catalog import reading
from humannet_ops.domain.outcome import DeviceLost, Reason
from humannet_ops.domain.records import ClipSubject, Result, VideoSubject, rejected
from humannet_ops.stages import execution, registry
from humannet_ops.storage import StoreError

Work = Callable[[VideoSubject | ClipSubject], Result]


class Quick:
    """A stage that needs no time: it refuses everything, or does what a test wants."""

    def __init__(self, work: Work) -> None:
        self.process = work


def refuse(_subject: VideoSubject | ClipSubject) -> Result:
    return rejected(Reason.NO_VIDEO)


@pytest.fixture
def fetch(way, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Counter[str]]:
    """A function that runs the fetch of 250 files with work of the test's own."""
    for number in range(250):
        (way.videos / f"{number:03}.mp4").write_text(str(number))

    def run(work: Work) -> Counter[str]:
        monkeypatch.setattr(registry, "open_stage", lambda *_: Quick(work))
        return way.go(until="fetch")

    return run


def transactions() -> list[int]:
    """Return how many outcomes each transaction wrote."""
    return [row[0] for row in reading.ask("select count(*) from outcomes group by xmin::text")[1]]


def recorded() -> set[str]:
    return {row[0] for row in reading.ask("select title from outcomes join videos using (video_id)")[1]}


def test_a_few_transactions_write_them_all(fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_LONGEST_WAIT_S", 60.0)
    assert fetch(refuse) == {"fetch rejected": 250}
    # shards of ninety videos whose length is not known yet
    assert sorted(transactions()) == [70, 90, 90]
    assert len(recorded()) == 250


def test_a_slow_stage_waits_for_nobody(fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_LONGEST_WAIT_S", 0.0)
    assert fetch(refuse) == {"fetch rejected": 250}
    assert transactions() == [1] * 250


@pytest.mark.parametrize("lost", [StoreError("the store does not answer"), DeviceLost("the card is gone")])
def test_what_was_done_before_the_store_or_the_card_was_lost_stands(
    fetch, lost: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_LONGEST_WAIT_S", 60.0)
    done: list[str] = []

    def until_lost(subject: VideoSubject | ClipSubject) -> Result:
        if len(done) == 20:
            raise lost
        done.append(subject.title)
        return rejected(Reason.NO_VIDEO)

    with pytest.raises(type(lost)):
        fetch(until_lost)
    assert recorded() == set(done)
    assert len(done) == 20


def test_after_a_kill_what_was_begun_before_is_written_one_by_one(fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may be what kills the worker: the others must not go down with it again and again."""
    monkeypatch.setattr(execution, "_LONGEST_WAIT_S", 60.0)
    begun: list[str] = []

    def killed(subject: VideoSubject | ClipSubject) -> Result:
        begun.append(subject.title)
        if len(begun) == 30:
            raise KeyboardInterrupt
        return rejected(Reason.NO_VIDEO)

    with pytest.raises(KeyboardInterrupt):
        fetch(killed)
    assert recorded() == set()
    assert fetch(refuse) == {"fetch rejected": 250}
    assert len(recorded()) == 250
    assert Counter(transactions())[1] == 30
    assert set(reading.ask("select attempts, count(*) from attempts group by attempts")[1]) == {(1, 220), (2, 30)}
