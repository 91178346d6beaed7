"""Embeddings: written with their outcome, asked for what is near, gone with what is taken down."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from endings import record
from typer.testing import CliRunner

from humannet_ops.catalog import migrations, planning, reading, recording, relocation, similarity, takedowns
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.cli import app
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
    ClipSubject,
    Embedding,
    Result,
    VideoFile,
    VideoSubject,
    kept,
)
from humannet_ops.domain.stage import StageSpec, stage_versions

DAY = "2026-01-01"
DIMENSIONS = 1280


def direction(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return np.asarray(vector / np.linalg.norm(vector))


class Corpus:
    """Videos of two clips. ``kitchen 0.1`` looks like a kitchen and, for a tenth, like something else."""

    def __init__(self, revision: int = 1) -> None:
        self.specs = (
            StageSpec("fetch", "video", 1, "crawl"),
            StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
            StageSpec("embed", "clip", revision, "gpu", ("analyse",), ("analyse",)),
        )
        self.versions = stage_versions(self.specs)
        migrations.register(self.specs, self.versions)

    def crawl(self, *titles: str) -> None:
        entries = (Entry(f"https://site.test/{name}", "1", name) for name in titles)
        record_entries(Pass("site", "http_manifest", "u", DAY), entries, lambda _uri: None)

    def go(self, *stages: str, dimensions: int = DIMENSIONS) -> None:
        for spec in self.specs:
            if stages and spec.name not in stages:
                continue
            for shard in planning.plan_shards(spec, self.versions, DAY, shard_seconds=1e9, max_attempts=3):
                self.run(spec, shard, dimensions)

    def run(self, spec: StageSpec, shard: planning.Shard, dimensions: int = DIMENSIONS) -> None:
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, spec, 3)):
                recording.begin_attempt(link, run, item.subject.subject_id)
                with transaction(link):
                    record(link, run, item.subject, self.work(item.subject, spec, dimensions))

    @staticmethod
    def work(subject: VideoSubject | ClipSubject, spec: StageSpec, dimensions: int) -> Result:
        if spec.name == "fetch":
            return kept(records=(VideoFile(subject.subject_id, 1, "mp4", "h264", 20.0, 64, 48, 30.0, False),))
        if isinstance(subject, VideoSubject):
            return kept(records=(ClipSpan(0, 0, 300, 0.0, 10.0), ClipSpan(0, 300, 600, 10.0, 20.0)))
        place, _, other = str(subject.video.title).partition(" ")
        apart = float(other or 0) + subject.start_s / 1000
        vector = (direction(len(place)) + apart * direction(crc32(str(subject.video.title).encode())))[:dimensions]
        vector = vector / np.linalg.norm(vector)
        file = Artifact("frame_embeddings", "s" * 64, f"file:///store/{subject.clip_id}", 1, "application/x")
        return kept(
            records=(
                Annotation("embed", "m@1", {"frames": 8}, file), Embedding("m@1", tuple(vector.tolist())),
            )
        )  # fmt: skip


def ask(statement: str) -> list[tuple[Any, ...]]:
    return sorted(reading.ask(statement)[1], key=repr)


def run_sql(statement: str) -> None:
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(statement)


def clip_of(title: str, start_s: float = 0.0) -> str:
    ((found,),) = ask(
        f"select clip_id from clips join videos using (video_id) where title = '{title}' and start_s = {start_s}"
    )
    return str(found)


def titles(clip_id: str, most: int = 20, **options: Any) -> list[str]:
    return [row["title"] for row in similarity.similar(clip_id, most, **options).clips]


def humannet(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["similar", *arguments], env={"COLUMNS": "200"})
    return told.exit_code, told.output


@pytest.fixture
def corpus(home: Any) -> Corpus:
    made = Corpus()
    made.crawl("kitchen", "kitchen 0.3", "kitchen 0.9", "workshop", "workshop 0.5")
    made.go()
    return made


# --- what is found


def test_the_nearest_come_first_and_unrelated_ones_are_near_0(corpus: Corpus) -> None:
    found = similarity.similar(clip_of("kitchen"), 20)
    assert [row["title"] for row in found.clips[:5]] == [
        "kitchen", "kitchen 0.3", "kitchen 0.3", "kitchen 0.9", "kitchen 0.9",
    ]  # fmt: skip
    assert (len(found.clips), found.looked_at, found.exhausted) == (9, 9, True)
    values = [row["similarity"] for row in found.clips]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1, abs=0.002)
    assert values[1] == pytest.approx(1 / np.hypot(1, 0.3), abs=0.05)
    assert max(abs(value) for value in values[5:]) < 0.15
    assert clip_of("kitchen") not in {row["clip_id"] for row in found.clips}


def test_the_search_is_limited_by_number_video_and_condition(corpus: Corpus) -> None:
    asked = clip_of("kitchen")
    assert titles(asked, 2) == ["kitchen", "kitchen 0.3"]
    assert titles(asked, 2, elsewhere=True) == ["kitchen 0.3", "kitchen 0.3"]
    assert titles(asked, condition="start_s > 5 and duration_s > 9")[:2] == ["kitchen", "kitchen 0.3"]
    assert titles(asked, condition="true -- a remark") == titles(asked)
    assert titles(asked, condition="null") == []
    for wrong in ("", "no_such_column = 1", "true)) or ((true", "true; select 1", "title"):
        with pytest.raises(CatalogError, match="--where cannot be used: "):
            similarity.similar(asked, 2, condition=wrong)


def test_a_rare_condition_makes_it_look_farther(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "CANDIDATES", 1)
    monkeypatch.setattr(similarity, "_A_ROW", 1)
    asked = clip_of("kitchen")
    farthest = similarity.similar(asked, 9).clips[-1]
    found = similarity.similar(asked, 1, condition=f"clip_id = '{farthest['clip_id']}'")
    assert ([row["clip_id"] for row in found.clips], found.looked_at) == ([farthest["clip_id"]], 9)
    monkeypatch.setattr(similarity, "MOST_CANDIDATES", 4)
    found = similarity.similar(asked, 1, condition=f"clip_id = '{farthest['clip_id']}'")
    assert (found.clips, found.looked_at, found.exhausted) == ([], 4, False)


def test_candidates_come_from_the_index_and_are_the_true_nearest(corpus: Corpus) -> None:
    mixed = [direction(seed) + direction(seed + 1) / 2 for seed in range(300)]
    vectors = np.array([vector / np.linalg.norm(vector) for vector in mixed])
    ((version,),) = ask("select distinct stage_version from embeddings")
    with connect() as link, transaction(link), link.cursor() as cursor:
        video = clip_of("kitchen")
        for number, vector in enumerate(vectors):
            cursor.execute(
                "insert into clips select %s, video_id, 1, 600, 601, 20, 21, analyse_version, null from clips "
                "where clip_id = %s", (f"c{number}", video),
            )  # fmt: skip
            cursor.execute(
                "insert into outcomes select stage, stage_version, %s, video_id, outcome, reason, retryable, scores,"
                " detail, policy_version, model_releases, stage_run_id, started_at, seconds from outcomes"
                " where stage = 'embed' and subject_id = %s", (f"c{number}", video),
            )  # fmt: skip
            cursor.execute(
                "insert into embeddings values (%s, 'embed', %s, 'm@1', %s::halfvec)",
                (f"c{number}", version, json.dumps(vector.tolist())),
            )
        cursor.execute("analyze embeddings")
    with connect() as link, link.cursor() as cursor:
        cursor.execute("set enable_seqscan = off; set enable_sort = off")
        cursor.execute(
            "explain select clip_id from embeddings where vector_dims(vector) = 1280 and stage = 'embed' order by "
            "binary_quantize(vector)::bit(1280) <~> (select binary_quantize(vector)::bit(1280) from embeddings where "
            "clip_id = 'c0') limit 5"
        )
        assert "embeddings_signs" in str(cursor.fetchall())
        for number in range(30, 300, 30):
            cursor.execute("select clip_id from similar_clips(%s, 60) where clip_id ~ '^c[0-9]{1,3}$' limit 2",
                           (f"c{number}",))  # fmt: skip
            got = [row["clip_id"] for row in cursor.fetchall()]
            nearest = np.argsort(-(vectors @ vectors[number]))[1:3]
            assert got == [f"c{at}" for at in nearest]


# --- what counts


def test_vectors_of_another_version_or_length_are_not_compared(corpus: Corpus) -> None:
    asked = clip_of("kitchen")
    newer = Corpus(revision=2)
    with pytest.raises(LookupError, match=r"has no embedding yet: `humannet stage run embed --video v\w+` makes it"):
        similarity.similar(asked, 1)
    # a model of the user's makes other vectors; there is no index for their length
    newer.crawl("office")
    newer.go(dimensions=100)
    assert ask("select vector_dims(vector), count(*) from embeddings group by 1") == [(100, 12), (1280, 10)]
    assert titles(asked, 3) == ["kitchen", "kitchen 0.3", "kitchen 0.3"]
    # the same length is no reason to compare what another version made
    Corpus(revision=3).go()
    found = [row["clip_id"] for row in similarity.similar(asked, 20).clips]
    assert (len(found), len(set(found))) == (11, 11)
    # going back to what was before finds what was made then
    Corpus(revision=1)
    assert similarity.similar(asked, 20).looked_at == 9


def test_only_vectors_of_length_1_are_written() -> None:
    with pytest.raises(ValueError, match=r"an embedding by m@1 has the length 5\.0, not 1"):
        Embedding("m@1", (3.0, 4.0))
    with pytest.raises(ValueError, match="the length nan"):
        Embedding("m@1", (float("nan"),))
    with pytest.raises(ValueError, match="5000 dimensions, at most 4000"):
        Embedding("m@1", (1.0, *[0.0] * 4999))


def test_what_is_taken_down_or_retired_is_found_no_more_and_its_vector_is_deleted(corpus: Corpus) -> None:
    asked, gone = clip_of("kitchen"), clip_of("kitchen 0.3")
    run_sql("update clips set retired_at = now() where start_s > 5 and video_id in "
            "(select video_id from videos where title = 'kitchen 0.9')")  # fmt: skip
    ((video,),) = ask("select video_id from videos where title = 'kitchen 0.3'")
    takedowns.take_down("video", video, reason="asked for", requested_by="ann")
    assert titles(asked)[:2] == ["kitchen", "kitchen 0.9"]
    assert "kitchen 0.3" not in titles(asked)
    with pytest.raises(LookupError, match=f"the catalog has no clip {gone}"):
        similarity.similar(gone, 1)
    assert ask("select count(*) from embeddings") == [(10,)]
    with connect() as link:
        assert takedowns.clear(link, 10) == [video]
    assert ask("select count(*) from embeddings") == [(8,)]
    assert ask(f"select * from similar_clips('{gone}')") == []


def test_a_lost_file_takes_the_vector_with_it_until_it_is_made_again(corpus: Corpus) -> None:
    asked = clip_of("kitchen")
    assert relocation.forget_lost([f"file:///store/{asked}"]) == 1
    assert ask("select count(*) from embeddings") == [(9,)]
    corpus.go("embed")
    assert similarity.similar(asked, 20).looked_at == 9


def test_each_role_does_its_part_and_no_more(home: Any, as_role: Callable[[str], AbstractContextManager[None]]) -> None:
    corpus = Corpus()
    corpus.crawl("kitchen", "workshop")
    corpus.go("fetch", "analyse")
    with as_role("crawler"):
        (shard,) = planning.plan_shards(corpus.specs[-1], corpus.versions, DAY, shard_seconds=1e9, max_attempts=3)
    with as_role("worker"):
        corpus.run(corpus.specs[-1], shard)
        with pytest.raises(CatalogError):
            run_sql("delete from embeddings")
    with as_role("reader"):
        assert len(titles(clip_of("kitchen"))) == 3
        assert len(titles(clip_of("kitchen"), condition="true")) == 3
    with as_role("crawler"), pytest.raises(CatalogError):
        run_sql("update embeddings set vector = '[1]'")


# --- the command


def test_the_command_lists_what_is_similar_and_says_why_there_is_no_more(corpus: Corpus) -> None:
    asked = clip_of("kitchen")
    status, said = humannet(asked, "--most", "3")
    assert status == 0
    assert [line.split("│")[3].strip() for line in said.splitlines()[2:]] == ["kitchen", "kitchen 0.3", "kitchen 0.3"]
    status, said = humannet(asked, "--most", "2", "--elsewhere", "--format", "json")
    assert [row["title"] for row in json.loads(said)] == ["kitchen 0.3", "kitchen 0.3"]
    status, said = humannet(asked, "--where", "duration_s > 100")
    assert (status, said) == (0, "(0 clips of the 9 others that have an embedding)\n")
    status, said = humannet("c1")
    assert (status, said) == (
        1, "humannet: the catalog has no clip c1: the view v_clips lists what there is\n",
    )  # fmt: skip
    status, said = humannet(asked, "--where", "no_such = 1")
    assert status == 1
    assert "no_such" in said
