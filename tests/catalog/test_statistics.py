"""The corpus is counted right: against numpy, over any subset, of nothing, and whatever a condition tries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from counted_corpus import STAGES, Counted, seed
from typer.testing import CliRunner

from humannet_ops.catalog import reading, recording, statistics
from humannet_ops.catalog.connection import CatalogError, connect, transaction
from humannet_ops.cli import app
from humannet_ops.domain import statistics as values
from humannet_ops.domain.balance import balances
from humannet_ops.domain.statistics import BINS, Statistics
from humannet_ops.domain.taxonomy import taxonomy

AsRole = Callable[[str], AbstractContextManager[None]]
SCORES = {"pose_score": "pose_score", "motion_score": "motion_score", "motion_frames": "motion_frames",
          "retarget_error_mm": "retarget_error_mm_mean"}  # fmt: skip


@pytest.fixture(scope="module")
def counted(shared_home: Path) -> Counted:
    """Four hundred kept clips, and some that were rejected or wait. No test changes them."""
    return seed(400)


@pytest.fixture(scope="module")
def whole(counted: Counted) -> Statistics:
    return statistics.count()


def ask(statement: str) -> list[tuple[Any, ...]]:
    return list(reading.ask(statement)[1])


def said(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["stats", *arguments])
    assert result.exit_code == status, result.output
    return str(result.stdout if status == 0 else result.stderr)


# --- what there is


def test_kept_clips_alone_are_counted_with_their_objects_and_tasks(counted: Counted, whole: Statistics) -> None:
    clips = counted.clips
    totals = whole.totals
    assert ask("select count(*) from clips")[0][0] > len(clips)
    assert (totals.clips, totals.videos) == (len(clips), len({clip["video_id"] for clip in clips}))
    assert totals.hours == pytest.approx(sum(clip["seconds"] for clip in clips) / 3600)
    assert totals.persons == sum(clip["persons"] for clip in clips)
    assert totals.things == sum(sum(clip["things"].values()) for clip in clips)
    assert totals.objects == totals.persons + totals.things == sum(entry.tracks for entry in whole.objects)
    assert totals.task_instances == _task_instances(clips)
    assert totals.screened == len(clips)
    assert totals.waiting == sum(clip["scores"]["needs_review"] for clip in clips)
    knives = next(entry for entry in whole.objects if entry.label == "knife")
    assert knives.tracks == sum(clip["things"].get("knife", 0) for clip in clips)
    assert knives.clips == sum("knife" in clip["things"] for clip in clips)


def _task_instances(clips: list[dict[str, Any]]) -> int:
    labelled = sorted((c for c in clips if c["motion"]), key=lambda c: (c["video_id"], c["start_s"]))
    runs = sum(
        a["video_id"] != b["video_id"] or a["motion"] != b["motion"] or b["start_s"] - (a["start_s"] + a["seconds"]) > 1
        for a, b in pairwise(labelled)
    )
    return runs + bool(labelled)


def test_scores_are_summed_up_as_numpy_does(counted: Counted, whole: Statistics) -> None:
    for measure, score in SCORES.items():
        for by, value in (
            (None, None),
            ("viewpoint", "ego"),
            ("l1", "sports"),
            ("l1", "daily_activities"),
            ("l1", None),
        ):
            here = counted.column(score, **({} if by is None else {by: value}))
            found = whole.summary(measure, by, value)
            assert found is not None
            assert found.count == len(here) > 3
            # the population's: divided by n
            assert found.variance == pytest.approx(np.var(here))
            assert found.std == pytest.approx(np.std(here))
            assert found.mean == pytest.approx(here.mean())
            assert (found.p50, found.p99) == pytest.approx(tuple(np.percentile(here, (50, 99))))
            assert (found.minimum, found.maximum) == (here.min(), here.max())


def test_histograms_end_at_p99_and_say_what_lies_beyond(counted: Counted, whole: Statistics) -> None:
    for measure in ("pose_score", "motion_score", "retarget_error_mm"):
        here = counted.column(SCORES[measure])
        cut = np.percentile(here, 99)
        expected, _ = np.histogram(here[here <= cut], BINS, (0, cut))
        bars = whole.histogram(measure)
        assert np.sum(list(bars.values()), axis=0).tolist() == expected.tolist()
        assert whole.beyond(measure) == np.count_nonzero(here > cut) > 0
        assert sum(bars["ego"]) + sum(
            e.clips for e in whole.bins if (e.measure, e.viewpoint, e.bin) == (measure, "ego", BINS + 1)
        ) == len(counted.column(SCORES[measure], viewpoint="ego"))
    # whole numbers, of which many are the largest: nothing is lost at the edge
    frames = whole.histogram("motion_frames")
    assert sum(map(sum, frames.values())) + whole.beyond("motion_frames") == len(counted.clips)


def test_classes_are_counted_with_those_below_them_and_empty_ones_are_there(
    counted: Counted, whole: Statistics
) -> None:
    nodes = {(node.facet, node.path): node for node in whole.classes}
    assert len(nodes) == len(list(taxonomy().nodes()))
    for node in whole.classes:
        here = [
            clip
            for clip in counted.clips
            if (node.facet in ("motion", "scene") and f"{clip[node.facet]}/".startswith(f"{node.path}/"))
            or (node.facet == "interaction" and node.path in clip["interactions"])
        ]
        if node.facet in ("motion", "scene", "interaction"):
            assert (node.clips, node.videos) == (len(here), len({clip["video_id"] for clip in here})), node
            assert node.hours == pytest.approx(sum(clip["seconds"] for clip in here) / 3600)
    assert nodes["scene", "medical_and_service"].clips == 0
    assert whole.at("motion", 1)[0].name == "Daily activities"


def test_what_a_data_set_says_goes_before_what_words_were_compared_to(counted: Counted) -> None:
    found = dict(
        ask("select clip_id, motion_origin from v_corpus where source = 'first_person_set' and status = 'kept'")
    )
    assert set(found.values()) == {"inherited"}
    inherited = "select clip_id from v_labels where facet = 'motion' and origin = 'inherited'"
    compared = (
        f"select count(*) from v_labels where origin = 'offline' and facet = 'motion' and clip_id in ({inherited})"
    )
    assert ask(compared)[0][0] > 0


def test_shares_yields_and_labels_add_up(counted: Counted, whole: Statistics) -> None:
    clips = counted.clips
    for dimension in ("viewpoint", "source", "license", "language", "resolution", "crawl_day", "kind"):
        assert sum(share.clips for share in whole.shares if share.dimension == dimension) == len(clips)
    language = {share.value: share.clips for share in whole.shares if share.dimension == "language"}
    assert set(language) == {"en", "de", "es", None}
    # nobody's channel is named
    assert not [share for share in whole.shares if share.dimension in ("channel", "video")]
    assert whole.dimension("channel").classes > 3
    sizes = np.unique([clip["video_id"] for clip in clips], return_counts=True)[1] / len(clips)
    assert whole.dimension("video").effective == pytest.approx(np.exp(-np.sum(sizes * np.log(sizes))))
    robot, ego = whole.robot(), whole.robot("viewpoint", "ego")
    assert robot is not None
    assert ego is not None
    assert robot.judged == len(counted.column("robot_ready"))
    assert robot.ready == counted.column("robot_ready").sum()
    assert ego.ready == counted.column("robot_ready", viewpoint="ego").sum()
    motion = next(entry for entry in whole.facets if entry.facet == "motion")
    sure = counted.column("label_motion_confidence")
    abstained = counted.column("label_motion_abstained").astype(bool)
    assert (motion.judged, motion.abstained) == (len(sure), abstained.sum())
    assert motion.mean_confidence == pytest.approx(sure[~abstained].mean())
    assert motion.p50_confidence == pytest.approx(np.median(sure[~abstained]))
    done = {(c.stage, c.outcome, c.reason): c.clips for c in whole.coverage}
    assert done["pose_body", "kept", None] + done["pose_body", "skipped", "no_body"] == len(clips)
    assert {c.stage for c in whole.coverage} == {spec.name for spec in STAGES[4:]}


def test_the_view_says_of_a_clip_what_v_clips_says(counted: Counted) -> None:
    columns = ", ".join(reading.ask("select * from v_clips limit 0")[0])
    difference = f"(select {columns} from v_clips except all select {columns} from v_corpus)"
    assert ask(difference) == []
    assert ask("select count(*) from v_clips") == ask("select count(*) from v_corpus")


# --- of a part of it


@pytest.mark.parametrize(
    ("condition", "is_chosen"),
    [
        ("viewpoint = 'ego'", lambda clip: clip["viewpoint"] == "ego"),
        ("l1 = 'sports' and duration_s > 5 -- the long ones", lambda c: c["l1"] == "sports" and c["seconds"] > 5),
        ("(scores ->> 'pose_score')::float8 >= 0.8", lambda clip: clip["scores"]["pose_score"] >= 0.8),
        ("'tool_use' = any(interactions)", lambda clip: "tool_use" in clip["interactions"]),
        ("source like '%\\_set' or\nscene_l1 = 'home'",
         lambda c: c["source"].endswith("_set") or (c["scene"] or "").split("/")[0] == "home"),
        ("clip_id in (select clip_id from v_labels where origin = 'inherited')",
         lambda clip: clip["source"] == "first_person_set"),
        ("true) or (false", lambda _clip: True),
        ("false", lambda _clip: False),
    ],
)  # fmt: skip
def test_a_condition_chooses_among_the_kept_clips(counted: Counted, condition: str, is_chosen: Any) -> None:
    chosen = [clip for clip in counted.clips if is_chosen(clip)]
    found = statistics.count(condition)
    assert found.condition == condition
    assert found.totals.clips == len(chosen)
    assert found.totals.hours == pytest.approx(sum(clip["seconds"] for clip in chosen) / 3600)
    assert found.totals.task_instances == _task_instances(chosen)
    summary = found.summary("pose_score")
    if chosen:
        assert summary is not None
        assert summary.p99 == pytest.approx(np.percentile([clip["scores"]["pose_score"] for clip in chosen], 99))
    else:
        assert summary is None


HOSTILE = (
    "true); delete from videos; --",
    "true)); delete from videos; --",
    "true)) or ((true",
    "true) union select (true",
    "true) then 1 when (true",
    "true)) union all select 'totals', '{}' from v_corpus where ((true",
    "true /*",
    "exists (delete from videos returning 1)",
    "(with gone as (delete from videos returning 1) select count(*) from gone) > 0",
    "lo_create(0) > 0",
    "nextval('task_failures_failure_id_seq') > 0",
    "set_config('transaction_read_only', 'off', false) = 'off' and lo_create(0) > 0",
    "query_to_xml('delete from videos', true, true, '') is null",
    "pg_read_file('/etc/passwd') <> ''",
    "count(*) > 0",
    "1",
    "",
    " \n",
    "nope = 1",
    "%(condition)s",
    "viewpoint = 'ego",
)


@pytest.mark.parametrize("role", ["catalog", "reader"])
def test_whatever_a_condition_tries_nothing_is_changed(counted: Counted, as_role: AsRole, role: str) -> None:
    before = ask("select count(*) from videos")
    with as_role(role):
        for condition in HOSTILE:
            if (role, condition.split("(")[0]) == ("catalog", "pg_read_file"):
                continue
            with pytest.raises(CatalogError, match=r"--where cannot be used: "):
                statistics.count(condition)
    assert ask("select count(*) from videos") == before
    assert ask("select count(*) from pg_largeobject_metadata") == [(0,)]


def test_a_wrong_condition_is_told_in_postgres_own_words_with_the_cure(counted: Counted) -> None:
    lines = said("--where", "nope = 'x'", status=1).splitlines()
    assert lines[0] == 'humannet: --where cannot be used: column "nope" does not exist'
    assert lines[1] == "LINE 2: nope = 'x'"
    assert lines[-1].startswith("It is a condition over the columns of v_corpus (sql/README.md), such as ")
    assert "division by zero" in said("--where", "1 / (duration_s::int - duration_s::int) = 1", status=1)


# --- of nothing, and of little


def test_an_empty_catalog_counts_nothing(home: Path) -> None:
    found = statistics.count()
    assert (found.totals.clips, found.totals.hours, found.totals.objects, found.totals.task_instances) == (0, 0, 0, 0)
    assert found.summaries == found.shares == found.bins == ()
    assert all(not balance.weights for balance in balances(found))
    assert said() == "0 s, 0 clips, 0 videos, 0 annotated objects, 0 task instances\nNo clip is kept yet.\n"
    assert "not inferred" in said("--bias")


def test_without_labels_everything_else_is_counted(home: Path) -> None:
    made = seed(25, labels=False)
    found = statistics.count()
    assert found.totals.clips == len(made.clips)
    assert (found.totals.task_instances, found.facets, found.origins) == (0, (), ())
    assert found.summary("pose_score", "l1", None) is not None
    assert all(node.clips == 0 for node in found.classes)
    assert "pose score" in said().lower()


def test_one_clip_has_no_spread_and_a_histogram_of_one_bar(counted: Counted) -> None:
    one = counted.clips[0]
    found = statistics.count(f"clip_id = '{one['clip_id']}'")
    summary = found.summary("pose_score")
    assert summary is not None
    assert (summary.count, summary.variance, summary.std) == (1, 0, 0)
    assert summary.p50 == summary.p99 == one["scores"]["pose_score"]
    assert sum(map(sum, found.histogram("pose_score").values())) == 1
    nothing = next(c for c in counted.clips if c["scores"]["motion_frames"] == 0)
    still = statistics.count(f"clip_id = '{nothing['clip_id']}'")
    assert still.histogram("motion_frames") == {nothing["viewpoint"]: [1] + [0] * (BINS - 1)}


# --- kept, and told


def test_a_worker_counts_and_keeps_the_numbers_and_no_more(home: Path, as_role: AsRole) -> None:
    seed(25)
    who = recording.TaskIdentity("test", dag_id="compile_statistics", run_id="r")
    with as_role("worker"):
        assert statistics.latest() is None
        assert not statistics.counts_already("2026-03-01")
        found = statistics.count()
        statistics.save(found, who, "revision", "2026-03-01")
        assert statistics.counts_already("2026-03-01")
        assert statistics.latest() == (found, "revision")
        with pytest.raises(CatalogError), connect() as link, transaction(link), link.cursor() as cursor:
            cursor.execute("delete from statistics")
    with as_role("reader"):
        assert statistics.latest() == (found, "revision")
    # a day of which nothing was done yet, and one that was worked on since
    assert not statistics.counts_already("2026-03-02")
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("update stage_runs set ended_at = now() where stage = 'retarget'")
    assert not statistics.counts_already("2026-03-01")


def test_numbers_of_another_form_are_not_read(whole: Statistics) -> None:
    numbers = json.loads(json.dumps(values.to_numbers(whole)))
    assert values.from_numbers(numbers) == whole
    with pytest.raises(LookupError, match="compile_statistics"):
        values.from_numbers({**numbers, "version": 0})


def test_the_command_prints_tables_csv_json_and_the_bias_sheet(
    counted: Counted, whole: Statistics, tmp_path: Path
) -> None:
    table = said()
    assert f"{whole.totals.clips} clips" in table
    assert "Daily activities" in table
    rows = list(csv.DictReader(io.StringIO(said("--format", "csv"))))
    found = {(row["section"], row["about"], row["name"]): row["number"] for row in rows}
    assert len(found) == len(rows)
    assert found["totals", "", "clips"] == str(whole.totals.clips)
    summary = whole.summary("motion_score", "l1", "sports")
    assert summary is not None
    assert float(found["summaries", "motion_score/l1/sports", "p99"]) == summary.p99
    assert found["balance", "motion_l1/Game-character actions", "clips"] == "0"
    document = json.loads(said("--format", "json", "--where", "viewpoint = 'ego'"))
    assert {row["number"] for row in document if row["about"] == "viewpoint/exo"} == set()
    reference = tmp_path / "wanted.yaml"
    reference.write_text("viewpoint: {ego: 0.3, exo: 0.7}\n")
    sheet = said("--bias", "--reference", str(reference))
    assert "Viewpoint (as stated" in sheet
    assert "70 %" in sheet
    reference.write_text("viewpoint: {ego: 0.3, exo: 0.3}\n")
    assert "add up to 0.6" in said("--bias", "--reference", str(reference), status=1)
    assert "cannot be read" in said("--bias", "--reference", str(tmp_path / "none.yaml"), status=1)
