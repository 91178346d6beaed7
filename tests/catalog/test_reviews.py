"""Reviews: what sends a clip to a person, who may know why, and what a decision does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from endings import record
from typer.testing import CliRunner

from humannet_ops.catalog import migrations, planning, reading, recording, reviews, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.cli import app
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.records import ClipSpan, Result, VideoFile, VideoSubject, kept
from humannet_ops.domain.screening import Cause, ReviewCause
from humannet_ops.domain.stage import StageSpec, stage_versions

DAY = "2026-01-01"
CHILD = ReviewCause(Cause.MINORS_RISK, 1.0, "toddler")
CLOSE = ReviewCause(Cause.CLOSE_FACE, 0.9)
CAUSES = {"a child": (CHILD, CLOSE), "a face": (CLOSE,), "a street": ()}
AsRole = Callable[[str], AbstractContextManager[None]]


class Corpus:
    """Videos of one clip each, screened as their titles have it."""

    def __init__(self, revision: int = 1) -> None:
        self.specs = (
            StageSpec("fetch", "video", 1, "crawl"),
            StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
            StageSpec("screen_content", "clip", revision, "gpu", ("analyse",), ("analyse",)),
        )
        self.versions = stage_versions(self.specs)
        migrations.register(self.specs, self.versions)

    def crawl(self, *titles: str) -> None:
        entries = (Entry(f"https://site.test/{name}", "1", name) for name in titles)
        record_entries(Pass("site", "http_manifest", "u", DAY), entries, lambda _uri: None)

    def go(self, causes: dict[str, tuple[ReviewCause, ...]]) -> None:
        for spec in self.specs:
            for shard in planning.plan_shards(spec, self.versions, DAY, shard_seconds=1e9, max_attempts=3):
                self.run(spec, shard, causes)

    @staticmethod
    def run(spec: StageSpec, shard: planning.Shard, causes: dict[str, tuple[ReviewCause, ...]]) -> None:
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, spec, 3)):
                recording.begin_attempt(link, run, item.subject.subject_id)
                video = item.subject if isinstance(item.subject, VideoSubject) else item.subject.video
                with transaction(link):
                    result = Corpus.work(spec.name, item.subject.subject_id, causes[str(video.title)])
                    record(link, run, item.subject, result)

    @staticmethod
    def work(stage: str, subject_id: str, causes: tuple[ReviewCause, ...]) -> Result:
        if stage == "fetch":
            return kept(records=(VideoFile(subject_id, 1, "mp4", "h264", 10.0, 64, 48, 30.0, False),))
        if stage == "analyse":
            return kept(records=(ClipSpan(0, 0, 300, 0.0, 10.0),))
        return kept(scores={"faces_max": 1, "needs_review": bool(causes)}, records=causes)


def ask(statement: str) -> list[tuple[Any, ...]]:
    return sorted(reading.ask(statement)[1], key=repr)


def run_sql(statement: str) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(statement)


def clip_of(title: str) -> str:
    ((found,),) = ask(f"select clip_id from clips join videos using (video_id) where title = '{title}'")
    return str(found)


def state(title: str) -> tuple[Any, ...]:
    (row,) = ask(f"select status, reason, review from v_clips where clip_id = '{clip_of(title)}'")
    return row


def waiting() -> list[str]:
    return [row["title"] for row in reading.rows("review_queue", source=None, cause=None, most=10)]


def humannet(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["review", *arguments], env={"COLUMNS": "240"})
    return told.exit_code, told.output


@pytest.fixture
def corpus(home: Any) -> Corpus:
    made = Corpus()
    made.crawl(*CAUSES)
    made.go(CAUSES)
    return made


def test_a_clip_with_a_cause_waits_and_stays_in_the_corpus(corpus: Corpus) -> None:
    assert sorted(waiting()) == ["a child", "a face"]
    assert state("a child") == ("kept", None, "waiting")
    assert state("a street") == ("kept", None, None)
    (row,) = reading.rows("review_queue", source=None, cause="minors_risk", most=10)
    assert (row["causes"], row["notes"]) == (["close_face", "minors_risk"], "minors_risk: toddler")
    assert row["scores"] == {"faces_max": 1, "needs_review": True}


def test_the_latest_decision_counts_and_the_earlier_ones_stay(corpus: Corpus) -> None:
    child, face = clip_of("a child"), clip_of("a face")
    assert reviews.decide([child, face, face], "withheld", decided_by="ann", note="a child alone") == 2
    assert state("a child") == ("rejected", "withheld", "withheld")
    assert waiting() == []
    assert reviews.decide([child], "passed", decided_by="bob", note=None) == 1
    assert state("a child") == ("kept", None, "passed")
    reviews.decide([child], "reopened", decided_by="ann", note=None)
    assert state("a child") == ("kept", None, "waiting")
    assert waiting() == ["a child"]
    told = [(row["decision"], row["decided_by"]) for row in reading.rows("reviewed", source=None, most=9)]
    assert told == [("reopened", "ann"), ("passed", "bob"), ("withheld", "ann"), ("withheld", "ann")]
    # with what each was shown
    assert ask("select distinct decision, causes from reviews where decision <> 'withheld'") == [
        ("passed", ["close_face", "minors_risk"]), ("reopened", ["close_face", "minors_risk"]),
    ]  # fmt: skip


def test_nothing_is_decided_where_one_clip_is_unknown(corpus: Corpus) -> None:
    with pytest.raises(LookupError, match="no clip c1: `humannet review list` lists those that wait"):
        reviews.decide([clip_of("a face"), "c1"], "withheld", decided_by="ann", note=None)
    assert state("a face") == ("kept", None, "waiting")


def test_who_passed_waits_again_when_another_cause_is_found_and_only_then(corpus: Corpus) -> None:
    reviews.decide([clip_of("a face"), clip_of("a child")], "passed", decided_by="ann", note=None)
    # screened again by a newer version: the child's clip has fewer causes, the other one more
    Corpus(revision=2).go({"a child": (CLOSE,), "a face": (CLOSE, CHILD), "a street": ()})
    assert state("a child") == ("kept", None, "passed")
    assert state("a face") == ("kept", None, "waiting")
    assert waiting() == ["a face"]


def test_a_person_may_look_at_what_screening_let_pass(corpus: Corpus) -> None:
    reviews.decide([clip_of("a street")], "reopened", decided_by="ann", note="asked by the uploader")
    assert "a street" in waiting()
    reviews.decide([clip_of("a street")], "withheld", decided_by="ann", note=None)
    assert state("a street") == ("rejected", "withheld", "withheld")


def test_why_a_clip_waits_is_not_for_readers(corpus: Corpus, as_role: AsRole) -> None:
    with as_role("reader"):
        queue = ask("select causes, notes, scores from v_review_queue")
        assert [row[:2] for row in queue] == [(None, None)] * 2
        assert state("a child") == ("kept", None, "waiting")
        everything = repr([ask(f"select * from {view}") for view in ("v_clips", "v_review_queue", "v_annotations")])
        assert "minors" not in everything
        assert "toddler" not in everything
        for table in ("review_causes", "reviews", "clip_reviews"):
            with pytest.raises(CatalogError, match="permission denied"):
                ask(f"select * from {table}")
        with pytest.raises(CatalogError):
            reviews.decide([clip_of("a child")], "passed", decided_by="eve", note=None)


def test_each_role_does_its_part(home: Any, as_role: AsRole) -> None:
    corpus = Corpus()
    corpus.crawl("a child")
    with as_role("crawler"):
        (shard,) = planning.plan_shards(corpus.specs[0], corpus.versions, DAY, shard_seconds=1e9, max_attempts=3)
        corpus.run(corpus.specs[0], shard, CAUSES)
    for spec in corpus.specs[1:]:
        with as_role("crawler"):
            (shard,) = planning.plan_shards(spec, corpus.versions, DAY, shard_seconds=1e9, max_attempts=3)
        with as_role("worker"):
            corpus.run(spec, shard, CAUSES)
    with as_role("worker"), pytest.raises(CatalogError):
        reviews.decide([clip_of("a child")], "passed", decided_by="worker", note=None)
    with as_role("reviewer"):
        assert waiting() == ["a child"]
        reviews.decide([clip_of("a child")], "withheld", decided_by="ann", note=None)
        assert state("a child") == ("rejected", "withheld", "withheld")
        with pytest.raises(CatalogError):
            run_sql("update reviews set decision = 'passed'")


def test_a_takedown_leaves_neither_causes_nor_decisions(corpus: Corpus) -> None:
    child = clip_of("a child")
    reviews.decide([child], "passed", decided_by="ann", note="seen")
    reviews.decide([clip_of("a face")], "passed", decided_by="ann", note="seen")
    ((video,),) = ask("select video_id from videos where title = 'a child'")
    takedowns.take_down("video", video, reason="asked for", requested_by="ann")
    assert waiting() == []
    with pytest.raises(LookupError):
        reviews.decide([child], "passed", decided_by="ann", note=None)
    with connect() as link:
        assert takedowns.clear(link, 10) == [video]
    assert ask("select cause from review_causes") == [("close_face",)]
    assert ask("select count(*) from reviews") == [(1,)]


def test_the_command_lists_decides_and_says_what_became_of_it(corpus: Corpus) -> None:
    child = clip_of("a child")
    status, said = humannet("list", "--format", "json")
    assert {row["title"] for row in json.loads(said)} == {"a child", "a face"}
    status, said = humannet("list", "--cause", "minors_risk")
    assert (status, child in said, clip_of("a face") in said) == (0, True, False)
    assert humannet("withhold", child, "--by", "ann", "--note", "a child alone") == (
        0, "1 clip is withheld, and rejected from now on.\n",
    )  # fmt: skip
    status, said = humannet("list", "--decided", "--format", "json")
    (row,) = json.loads(said)
    assert (row["decision"], row["decided_by"], row["note"]) == ("withheld", "ann", "a child alone")
    assert humannet("pass", child, clip_of("a face")) == (0, "2 clips are passed.\n")
    assert humannet("list") == (0, "No clip waits for a person.\n")
    assert humannet("pass", "c1") == (1, "humannet: no clip c1: `humannet review list` lists those that wait\n")
    status, said = humannet("list", "--decided", "--cause", "crowd")
    assert (status, said) == (1, "humannet: --cause is about clips that wait: leave it out with --decided\n")
