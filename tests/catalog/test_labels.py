"""Labels: only what is in the taxonomy is written, together with its outcome; and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import psycopg2.errors
import pytest
from endings import record

from humannet_ops.catalog import migrations, planning, reading, recording, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.domain import taxonomy as tree
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.records import Annotation, ClipSpan, ClipSubject, Label, Result, VideoFile, VideoSubject, kept
from humannet_ops.domain.stage import StageSpec, stage_versions

DAY = "2026-01-01"
CHOP = Label("motion", "daily_activities/cooking/chop", 0.8, "offline", "minilm@1")
KITCHEN = Label("scene", "home/kitchen", 0.6, "offline", "minilm@1")
INHERITED = Label("motion", "daily_activities/cooking", 1.0, "inherited", "signals")


class Corpus:
    """Videos of two clips each, whose clips are labelled by a function of the clip."""

    def __init__(self, revision: int = 1) -> None:
        self.specs = (
            StageSpec("fetch", "video", 1, "crawl"),
            StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
            StageSpec("caption", "clip", 1, "default", ("analyse",), ("analyse",)),
            StageSpec("label_activity", "clip", revision, "default", ("caption",), ("caption",)),
        )
        self.versions = stage_versions(self.specs)
        migrations.register(self.specs, self.versions)

    def crawl(self, *titles: str) -> None:
        entries = (
            Entry(f"https://site.test/{name}", "1", name, published={"description": f"about {name}"}) for name in titles
        )
        record_entries(Pass("site", "http_manifest", "u", DAY), entries, lambda _uri: None)

    def go(self, *labels: Label, stages: tuple[str, ...] = ("fetch", "analyse", "caption", "label_activity")) -> None:
        for spec in self.specs:
            if spec.name not in stages:
                continue
            for shard in planning.plan_shards(spec, self.versions, DAY, shard_seconds=1e9, max_attempts=3):
                self.run(spec, shard, lambda subject, name=spec.name: self.work(name, subject, labels))

    @staticmethod
    def run(spec: StageSpec, shard: planning.Shard, work: Callable[[Any], Result]) -> list[VideoSubject | ClipSubject]:
        done = []
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, spec, 3)):
                recording.begin_attempt(link, run, item.subject.subject_id)
                with transaction(link):
                    record(link, run, item.subject, work(item.subject))
                done.append(item.subject)
        return done

    @staticmethod
    def work(stage: str, subject: VideoSubject | ClipSubject, labels: tuple[Label, ...]) -> Result:
        if stage == "fetch":
            return kept(records=(VideoFile(subject.subject_id, 1, "mp4", "h264", 20.0, 64, 48, 30.0, False),))
        if stage == "analyse":
            return kept(records=(ClipSpan(0, 0, 300, 0.0, 10.0), ClipSpan(0, 300, 600, 10.0, 20.0)))
        if stage == "caption":
            return kept(
                scores={"hand_frame_share": 0.5}, records=(Annotation("caption", "signals", {"short": "A hand."}),)
            )
        return kept(records=labels, scores={"label_motion_confidence": 0.8})


def ask(statement: str) -> list[tuple[Any, ...]]:
    return sorted(reading.ask(statement)[1], key=repr)


def run_sql(statement: str) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def corpus(home: Any) -> Corpus:
    return Corpus()


# --- what is written


def test_labels_become_visible_with_their_outcome_and_in_their_parts(corpus: Corpus) -> None:
    corpus.crawl("a")
    corpus.go(CHOP, KITCHEN, INHERITED)
    rows = ask("select facet, path, l1, l2, l3, confidence, origin, model_release from v_labels")
    assert rows[::2] == [
        ("motion", "daily_activities/cooking", "daily_activities", "cooking", None, 1.0, "inherited", "signals"),
        ("motion", "daily_activities/cooking/chop", "daily_activities", "cooking", "chop", 0.8, "offline", "minilm@1"),
        ("scene", "home/kitchen", "home", "kitchen", None, 0.6, "offline", "minilm@1"),
    ]
    assert len(rows) == 6
    # what a data set says of itself and what we found stand side by side
    assert ask("select count(distinct clip_id) from v_labels where origin = 'inherited'") == [(2,)]


def test_a_label_that_is_not_in_the_tree_is_refused_by_code_and_by_the_catalog(corpus: Corpus) -> None:
    with pytest.raises(
        tree.TaxonomyError, match=r"below daily_activities/cooking there is .*/chop, .*Use one of these"
    ):
        Label("motion", "daily_activities/cooking/levitate", 0.9, "offline", "minilm@1")
    with pytest.raises(ValueError, match=r"confidence 1\.5 is no probability"):
        Label("motion", "sports", 1.5, "offline", "minilm@1")
    corpus.crawl("a")
    corpus.go(CHOP)
    ((clip_id, version),) = ask("select clip_id, stage_version from labels limit 1")
    for path, origin, wrong in (
        ("daily_activities/cooking/levitate", "offline", psycopg2.errors.ForeignKeyViolation),
        ("sports", "hearsay", psycopg2.errors.CheckViolation),
    ):
        with pytest.raises(wrong):
            run_sql(
                "insert into labels (clip_id, facet, path, origin, confidence, model_release, stage, stage_version) "
                f"values ('{clip_id}', 'motion', '{path}', '{origin}', 0.5, 'm', 'label_activity', '{version}')"
            )


def test_only_labels_of_the_stage_version_that_counts_are_shown_and_no_retired_clip(corpus: Corpus) -> None:
    corpus.crawl("a")
    corpus.go(CHOP)
    newer = Corpus(revision=2)
    assert ask("select * from v_labels") == []
    newer.go(KITCHEN, stages=("label_activity",))
    assert ask("select distinct path from v_labels") == [("home/kitchen",)]
    assert ask("select distinct path from labels") == [("daily_activities/cooking/chop",), ("home/kitchen",)]
    run_sql("update clips set retired_at = now() where start_frame = 0")
    assert ask("select count(*) from v_labels") == [(1,)]


def test_what_is_taken_down_has_no_labels_left(corpus: Corpus) -> None:
    corpus.crawl("stays", "goes")
    corpus.go(CHOP, KITCHEN)
    ((gone,),) = ask("select video_id from videos where title = 'goes'")
    takedowns.take_down("video", gone, reason="asked for", requested_by="ann")
    assert ask("select count(*) from v_labels") == [(4,)]
    assert ask("select count(*) from labels") == [(8,)]
    with connect() as link:
        assert takedowns.clear(link, 10) == [gone]
    assert ask("select count(*) from labels") == [(4,)]
    assert ask("select distinct title from labels join clips using (clip_id) join videos using (video_id)") == [
        ("stays",)
    ]


def test_each_role_does_its_part_and_no_more(
    corpus: Corpus, as_role: Callable[[str], AbstractContextManager[None]]
) -> None:
    corpus.crawl("a")
    corpus.go(CHOP, stages=("fetch", "analyse", "caption"))
    with as_role("crawler"):
        migrations.register(corpus.specs, corpus.versions)
        label = corpus.specs[-1]
        (shard,) = planning.plan_shards(label, corpus.versions, DAY, shard_seconds=1e9, max_attempts=3)
    with as_role("worker"):
        corpus.run(label, shard, lambda subject: corpus.work("label_activity", subject, (CHOP,)))
        for statement in ("delete from labels", "insert into taxonomy_nodes values ('f', 'p', 1, 'n', 'd', 'v')"):
            with pytest.raises(CatalogError):
                run_sql(statement)
    with as_role("reader"):
        assert len(ask("select * from v_labels")) == 2
    with as_role("crawler"), pytest.raises(CatalogError):
        run_sql("update labels set confidence = 1")


# --- the tree in the catalog


def test_the_tree_is_registered_once_and_a_node_that_is_gone_is_retired(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tree.taxonomy()
    assert ask("select count(*) from taxonomy_nodes") == [(len(list(whole.nodes())),)]
    ((before,),) = ask("select max(xmin::text::bigint) from taxonomy_nodes")
    migrations.register(corpus.specs, corpus.versions)
    assert ask("select max(xmin::text::bigint) from taxonomy_nodes") == [(before,)]
    smaller = tree.parse(
        "revision: 7\nfacets: {motion: {is: W., levels: 1, nodes: {sports: {is: games, name: Games}, knitting: new}}}"
    )
    monkeypatch.setattr(migrations, "taxonomy", lambda: smaller)
    migrations.register(corpus.specs, corpus.versions)
    assert ask("select path, name, version from taxonomy_nodes where retired_at is null") == [
        ("knitting", "Knitting", smaller.version), ("sports", "Games", smaller.version),
    ]  # fmt: skip
    # what was labelled with a retired node keeps its label and its words
    assert ask("select name from taxonomy_nodes where path = 'home/kitchen'") == [("Kitchen",)]
    monkeypatch.undo()
    migrations.register(corpus.specs, corpus.versions)
    assert ask("select path from taxonomy_nodes where retired_at is not null") == [("knitting",)]


# --- what stages are given


def test_a_stage_is_given_what_was_published_measured_and_said_before(corpus: Corpus) -> None:
    corpus.crawl("a")
    corpus.go(stages=("fetch", "analyse", "caption"))
    spec = corpus.specs[-1]
    (shard,) = planning.plan_shards(spec, corpus.versions, DAY, shard_seconds=1e9, max_attempts=3)
    first, second = corpus.run(spec, shard, lambda subject: kept())
    for clip in (first, second):
        assert isinstance(clip, ClipSubject)
        assert clip.video.published == {"description": "about a"}
        assert (clip.video.kind, clip.viewpoint) == ("http_manifest", None)
        assert clip.scores == {"hand_frame_share": 0.5}
        assert clip.annotations == {"caption": {"short": "A hand."}}
