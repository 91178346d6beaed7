"""Work is found, not remembered: what is due follows from outcomes, versions and attempts alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from endings import record

from humannet_ops.catalog import migrations, planning, reading, recording
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.catalog.discovery import Discovery, Entry, Pass, record_entries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
    ClipSubject,
    Fingerprint,
    Result,
    VideoFile,
    VideoSubject,
    failed,
    kept,
    rejected,
)
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.stages import execution
from humannet_ops.stages.execution import Turn

DAY = "2026-01-01"


def pipeline(analyse_revision: int = 1) -> dict[str, StageSpec]:
    """Four stages that have every kind of edge: a gate, a data edge, video to clip, and a gate without data."""
    return {
        spec.name: spec
        for spec in (
            StageSpec("fetch", "video", 1, "crawl"),
            StageSpec("analyse", "video", analyse_revision, "cpu", ("fetch",), ("fetch",)),
            StageSpec("decide", "clip", 1, "cpu", ("analyse",), ("analyse",)),
            StageSpec("cut", "clip", 1, "cpu", ("decide",), ("fetch",)),
        )
    }


class Platform:
    """The catalog's planning and recording, driven as the executor drives them."""

    def __init__(self, specs: dict[str, StageSpec]) -> None:
        self.specs, self.versions = specs, stage_versions(tuple(specs.values()))
        migrations.register(tuple(specs.values()), self.versions)

    def plan(self, stage: str, key: str = DAY, seconds: float = 1e9) -> list[planning.Shard]:
        return planning.plan_shards(self.specs[stage], self.versions, key, shard_seconds=seconds, max_attempts=3)

    def run(self, stage: str, work: Callable[[VideoSubject | ClipSubject], Result], key: str = DAY) -> list[str]:
        """Run all that is due and return the subjects' titles or spans."""
        done = []
        for shard in self.plan(stage, key):
            done += [self._label(subject) for subject in self.execute(shard, work)]
        return sorted(done)

    def execute(
        self, shard: planning.Shard, work: Callable[[VideoSubject | ClipSubject], Result]
    ) -> Iterator[VideoSubject | ClipSubject]:
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, self.specs[shard.stage], 3)):
                recording.begin_attempt(link, run, item.subject.subject_id)
                with transaction(link):
                    record(link, run, item.subject, work(item.subject), seconds=0.5)
                yield item.subject
            recording.end_run(link, run)

    @staticmethod
    def _label(subject: VideoSubject | ClipSubject) -> str:
        if isinstance(subject, VideoSubject):
            return subject.title or ""
        return f"{subject.video.title}:{subject.start_frame}-{subject.end_frame}"


def discover(
    *names: str, signature: str = "1", key: str = DAY, sha256: str | None = None, source: str = "videos"
) -> Discovery:
    entries = [Entry(f"file:///{name}", signature, name) for name in names]
    return record_entries(Pass(source, "folder", f"/{source}", key), iter(entries), lambda _uri: sha256)


def fetched(subject: VideoSubject | ClipSubject) -> Result:
    assert isinstance(subject, VideoSubject)
    file = VideoFile(f"sha-{subject.title}", 1, "mp4", "h264", 20.0, 640, 480, 30.0, False)
    stored = Artifact("video", file.sha256, f"file:///store/{subject.title}", 1, "video/mp4")
    return kept(records=(file,), artifacts=(stored,))


def analysed(*spans: tuple[int, int]) -> Callable[[VideoSubject | ClipSubject], Result]:
    clips = tuple(ClipSpan(0, start, end, start / 30, end / 30) for start, end in spans)
    return lambda _subject: kept(records=(*clips, Fingerprint(0.0, 2**64 - 1, 1)))


def keep(_subject: VideoSubject | ClipSubject) -> Result:
    return kept()


@pytest.fixture
def platform(home) -> Platform:
    return Platform(pipeline())


def test_each_stage_gets_what_the_one_before_kept_and_nothing_twice(platform: Platform) -> None:
    discover("a", "b", "c")
    assert platform.run("analyse", keep) == []
    assert platform.run("fetch", fetched) == ["a", "b", "c"]
    assert platform.run("fetch", fetched) == []
    assert platform.run("analyse", analysed((0, 300), (300, 600))) == ["a", "b", "c"]
    assert platform.run("decide", lambda s: kept() if s.start_frame == 0 else rejected(Reason.NO_MOTION)) != []
    assert platform.run("cut", keep) == ["a:0-300", "b:0-300", "c:0-300"]
    assert platform.run("cut", keep) == []
    statuses = set(reading.ask("select title, status, reason from v_videos")[1])
    assert statuses == {("a", "kept", None), ("b", "kept", None), ("c", "kept", None)}
    assert set(reading.ask("select start_s, status, reason from v_clips")[1]) == {
        (0.0, "kept", None),
        (10.0, "rejected", "no_motion"),
    }


def test_a_clip_waits_for_its_videos_stages_too(home) -> None:
    specs = pipeline()
    specs["detect"] = StageSpec("detect", "video", 1, "gpu", ("analyse",), ("analyse",))
    specs["cut"] = StageSpec("cut", "clip", 1, "cpu", ("decide", "detect"), ("fetch",))
    platform = Platform({name: specs[name] for name in ("fetch", "analyse", "detect", "decide", "cut")})
    discover("a", "b")
    platform.run("fetch", fetched)
    platform.run("analyse", analysed((0, 300), (300, 600), (600, 900)))
    platform.run("decide", lambda s: kept() if s.start_frame else rejected(Reason.NO_MOTION))
    assert platform.run("cut", keep) == []
    platform.run("detect", lambda s: kept() if s.title == "a" else rejected(Reason.NO_PERSON))
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("update clips set retired_at = now() where start_frame = 600")
    assert platform.run("cut", keep) == ["a:300-600"]
    assert platform.run("cut", keep) == []


def test_a_new_version_is_due_with_all_that_reads_it_and_nothing_else(platform: Platform) -> None:
    discover("a")
    platform.run("fetch", fetched)
    platform.run("analyse", analysed((0, 300), (300, 600)))
    platform.run("decide", keep)
    platform.run("cut", keep)
    newer = Platform(pipeline(analyse_revision=2))
    assert newer.run("fetch", fetched) == []
    assert newer.run("analyse", analysed((0, 300), (300, 500))) == ["a"]
    assert newer.run("decide", keep) == ["a:0-300", "a:300-500"]
    # the clip with the same frames is the same clip: it is not encoded again
    assert newer.run("cut", keep) == ["a:300-500"]
    assert sorted(reading.ask("select start_s::int, round(end_s::numeric, 2)::float from v_clips")[1]) == [
        (0, 10.0),
        (10, 16.67),
    ]


def test_a_failure_is_tried_again_up_to_its_limit_and_then_shown(platform: Platform) -> None:
    discover("a", "b")

    def work(subject: VideoSubject | ClipSubject) -> Result:
        return failed(Reason.TIMED_OUT, "too slow") if subject.title == "a" else failed(Reason.UNREADABLE, "no video")

    assert platform.run("fetch", work) == ["a", "b"]
    assert platform.run("fetch", work) == ["a"]
    assert platform.run("fetch", work) == ["a"]
    assert platform.run("fetch", work) == []
    assert [(row["title"], row["attempts"], row["error"]) for row in reading.rows("failures", source=None)] == [
        ("a", 3, "too slow"),
        ("b", 1, "no video"),
    ]
    assert reading.forget_failures(stage=None, video_id=None, reason="timed_out") == 1
    assert platform.run("fetch", fetched) == ["a"]


def test_the_first_of_two_runs_of_one_shard_wins(platform: Platform) -> None:
    discover("a")
    (shard,) = platform.plan("fetch")
    first, second = (
        platform.execute(shard, fetched),
        platform.execute(
            planning.Shard(shard.shard_id, shard.stage, shard.stage_version, shard.partition_key, shard.label),
            lambda _s: rejected(Reason.NO_VIDEO),
        ),
    )
    assert len(list(first)) == 1
    assert len(list(second)) == 0
    assert list(reading.ask("select outcome from outcomes")[1]) == [("kept",)]


def test_a_late_result_of_a_slower_run_changes_nothing(platform: Platform) -> None:
    discover("a")
    (shard,) = platform.plan("fetch")
    with connect() as link:
        run = recording.StageRun("slow", shard)
        recording.start_run(link, run, recording.TaskIdentity("slow"), "revision")
        (item,) = planning.open_work(link, shard, platform.specs["fetch"], 3)
        list(platform.execute(shard, fetched))
        with transaction(link):
            written = record(link, run, item.subject, rejected(Reason.NO_VIDEO))
    assert written is False
    assert list(reading.ask("select outcome, stage_run_id <> 'slow' from outcomes")[1]) == [("kept", True)]


def test_shards_carry_minutes_and_keep_a_videos_clips_together(platform: Platform) -> None:
    discover(*(f"v{number:02}" for number in range(10)))
    platform.run("fetch", fetched)
    assert len(platform.plan("analyse", seconds=60)) == 4  # 200 s of video
    platform.run("analyse", analysed((0, 300), (300, 600)))
    videos_of = []
    for shard in platform.plan("decide", seconds=45):
        with connect() as link:
            videos_of.append(
                {w.subject.video.video_id for w in planning.open_work(link, shard, platform.specs["decide"], 3)}
            )
    assert sum(len(videos) for videos in videos_of) == 10  # no video in two shards


def test_partitions_are_separate_and_due_ones_are_found(platform: Platform) -> None:
    discover("a", key="2026-01-01")
    discover("b", key="2026-01-02")
    assert platform.run("fetch", fetched, "2026-01-02") == ["b"]
    assert planning.due_partitions(3) == ["2026-01-01", "2026-01-02"]
    assert platform.run("fetch", lambda _s: failed(Reason.UNREADABLE, "no"), "2026-01-01") == ["a"]
    assert planning.due_partitions(3) == ["2026-01-02"]


def test_discovery_knows_unchanged_touched_and_changed(platform: Platform) -> None:
    assert discover("a", "b") == Discovery(new=2, changed=0, known=0)
    assert discover("a", "b") == Discovery(new=0, changed=0, known=2)
    platform.run("fetch", fetched)
    # touched: another signature, the same bytes
    assert discover("a", signature="2", sha256="sha-a") == Discovery(new=0, changed=0, known=1)
    assert platform.run("fetch", fetched) == []
    # changed: a new version of the video, the old one stays
    assert discover("a", signature="3", sha256="other", key="2026-01-02") == Discovery(new=0, changed=1, known=0)
    assert platform.run("fetch", fetched, "2026-01-02") == ["a"]
    assert sorted(reading.ask("select title, version from videos")[1]) == [("a", 1), ("a", 2), ("b", 1)]


def test_odd_text_is_stored(platform: Platform) -> None:
    title = 'line one\nline "two", ünïcödé; \\N'
    record_entries(Pass("videos", "folder", "/v", DAY), iter([Entry("file:///odd", "1", title)]))
    platform.run("fetch", lambda _s: failed(Reason.ERROR, "nul \0 and lone \udcff"))
    assert [row["title"] for row in reading.rows("failures", source=None)] == [title]
    assert reading.rows("failures", source=None)[0]["error"] == "nul  and lone \\udcff"


def test_lineage_tells_every_step_with_its_artifact(platform: Platform) -> None:
    discover("a")
    platform.run("fetch", fetched)
    platform.run("analyse", analysed((0, 300)))
    platform.run("decide", lambda _s: kept(scores={"person_share": 0.5}, policy_version="1"))
    pose = Artifact("pose", "abc", "file:///store/pose", 3, "application/octet-stream")
    platform.run("cut", lambda _s: kept(records=(Annotation("pose_body", "pose@1", {"share": 1.0}, pose),)))
    ((clip_id,),) = reading.ask("select clip_id from v_clips")[1]
    told = [
        (row["seq"], row["stage"], row["outcome"], row["artifact_sha256"])
        for row in reading.rows("lineage", clip_id=clip_id)
    ]
    assert told == [
        (1, "fetch", "kept", "sha-a"),
        (2, "analyse", "kept", None),
        (3, "decide", "kept", None),
        (4, "cut", "kept", "abc"),
    ]
    assert list(reading.ask("select kind, model_release, value, artifact_uri from v_annotations")[1]) == [
        ("pose_body", "pose@1", {"share": 1.0}, "file:///store/pose")
    ]


def test_many_planners_at_once_lose_nothing(platform: Platform) -> None:
    discover(*(f"v{number}" for number in range(50)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _n: platform.run("fetch", fetched), range(8)))
    assert list(reading.ask("select count(*), count(distinct subject_id) from outcomes")[1]) == [(50, 50)]


def turns(over: set[str], day: str = DAY) -> Callable[[str], execution.Turn]:
    """What a run of a leg is told, while those runs are over."""
    return lambda run: execution.take_turn("curate_clips", day, run, over.__contains__)


def test_a_crawl_day_is_planned_by_one_run_and_one_waits_for_it(platform: Platform) -> None:
    over: set[str] = set()
    ask = turns(over)
    assert ask("first") is Turn.ITS_OWN
    assert ask("second") is Turn.LATER
    assert ask("third") is Turn.NOT_NEEDED
    # each asks again: a task is tried again, and looks again
    assert ask("first") is Turn.ITS_OWN
    assert ask("second") is Turn.LATER
    # another day and another DAG are nobody's business
    assert turns(over, "2026-01-02")("third") is Turn.ITS_OWN
    assert execution.take_turn("annotate_clips", DAY, "third", over.__contains__) is Turn.ITS_OWN
    over.add("first")
    assert ask("second") is Turn.ITS_OWN
    # nobody waits now, so the next one does
    assert ask("fourth") is Turn.LATER
    # one that waited and was killed holds its place for nobody
    over.add("fourth")
    assert ask("fifth") is Turn.LATER
    # who comes as the day gets free does not push out who waits
    over.add("second")
    assert ask("sixth") is Turn.ITS_OWN
    assert ask("fifth") is Turn.LATER
    assert ask("seventh") is Turn.NOT_NEEDED


def test_of_many_runs_at_once_one_plans_and_one_waits(platform: Platform) -> None:
    for over in (set(), {"run 0", "run 1", "run 2", "run 3", "run 4", "run 5", "run 6", "run 7"}):
        ask = turns(over)
        names = [f"run {number + len(over)}" for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            told = dict(zip(names, pool.map(ask, names), strict=True))
        assert list(told.values()).count(Turn.ITS_OWN) == 1
        # of those that lost a race for a place some ask again
        again = {run: ask(run) for run, turn in told.items() if turn is Turn.LATER}
        again |= {run: ask(run) for run, turn in again.items() if turn is Turn.LATER}
        assert list(again.values()).count(Turn.LATER) == 1
        assert set(again.values()) <= {Turn.LATER, Turn.NOT_NEEDED}


def titles(shards: list[planning.Shard], spec: StageSpec) -> list[str]:
    """The subjects of shards in the order in which they are worked on."""
    with connect() as link:
        return [Platform._label(item.subject) for shard in shards for item in planning.open_work(link, shard, spec, 3)]


def test_sources_take_turns_in_the_shards_of_a_day(platform: Platform) -> None:
    discover(*(f"large{number}" for number in range(20)), source="large")
    discover("small0", "small1", source="small")
    planned = titles(platform.plan("fetch", seconds=40), platform.specs["fetch"])
    assert len(planned) == 22
    assert {title.rstrip("0123456789") for title in planned[:2]} == {"large", "small"}
    assert {title for title in planned[:4] if title.startswith("small")} == {"small0", "small1"}


@pytest.mark.parametrize("stage", ["analyse", "decide"])
def test_what_was_tried_before_is_planned_first(platform: Platform, stage: str) -> None:
    names = [f"video{number}" for number in range(6)]
    discover(*names)
    platform.run("fetch", fetched)
    if stage == "decide":
        platform.run("analyse", analysed((0, 300)))
    before = titles(platform.plan(stage, seconds=1), platform.specs[stage])
    last = before[-1]
    platform.run(stage, lambda s: failed(Reason.ERROR, "x") if Platform._label(s) == last else _later(stage))
    for name in names:
        discover(f"{name} new")
    platform.run("fetch", fetched)
    if stage == "decide":
        platform.run("analyse", lambda s: analysed((0, 300))(s))
    after = titles(platform.plan(stage, seconds=1), platform.specs[stage])
    assert len(after) == 7
    assert after[0] == last


def _later(stage: str) -> Result:
    return analysed((0, 300))(None) if stage == "analyse" else kept()


def test_only_stages_with_subjects_on_their_way_are_worth_planning(platform: Platform) -> None:
    def due(of: Platform, key: str = DAY) -> list[str]:
        return planning.due_stages(list(of.specs.values()), of.versions, key, max_attempts=3)

    assert due(platform) == []
    discover("a", "b")
    # no clip is known yet: what is done with clips is a later leg's
    assert due(platform) == ["fetch", "analyse"]
    platform.run("fetch", fetched)
    assert due(platform) == ["analyse"]
    platform.run("analyse", analysed((0, 300)))
    assert due(platform) == ["decide", "cut"]
    platform.run("decide", lambda subject: keep(subject) if subject.video.title == "a" else rejected(Reason.NO_PERSON))
    assert due(platform) == ["cut"]
    # what may be tried again is on its way, what may not is not
    platform.run("cut", lambda _subject: failed(Reason.ERROR, "once"))
    assert due(platform) == ["cut"]
    platform.run("cut", keep)
    assert due(platform) == []
    # another version of a stage: it, and what follows; also of what was rejected by what it reads
    assert due(Platform(pipeline(analyse_revision=2))) == ["analyse", "decide", "cut"]
    assert due(platform, "2026-01-02") == []
