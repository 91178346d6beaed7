"""Questions about all clips read outcomes once; a question about one finds it by index, and says the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_planning import Platform, analysed, discover, fetched, pipeline

from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import connect, queries
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import kept, rejected

FILLED = Path(__file__).with_name("many_outcomes.sql").read_text()
ALL = (
    "select viewpoint, count(*) from v_clips where status = 'kept' group by viewpoint",
    "select status, reason, count(*) from v_videos group by status, reason",
    "select * from v_clips",
    "select * from v_lineage",
    "select * from v_provenance",
)


@pytest.fixture
def filled(home: Path) -> None:
    """A few videos with every kind of ending, and many for the planner to choose by."""
    platform = Platform(pipeline())
    discover("a", "b", "c")
    platform.run("fetch", fetched)
    platform.run("analyse", analysed((0, 300), (300, 600)))
    platform.run("decide", lambda s: kept() if s.start_frame == 0 else rejected(Reason.NO_MOTION))
    with connect() as link, link, link.cursor() as cursor:
        cursor.execute(FILLED)


def plan(question: str) -> list[dict[str, Any]]:
    with connect() as link, link.cursor() as cursor:
        cursor.execute(f"explain (format json) {question}")
        (found,) = cursor.fetchall()
    text = found["QUERY PLAN"]
    return list(nodes(text[0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def of_outcomes(node: dict[str, Any]) -> bool:
    return any(x.get("Relation Name", "").startswith("outcomes") for x in nodes(node))


@pytest.mark.parametrize("question", ALL)
def test_questions_about_all_clips_do_not_ask_once_a_clip(filled: None, question: str) -> None:
    for node in plan(question):
        assert not (node.get("Parent Relationship") == "SubPlan" and of_outcomes(node)), node
        if node["Node Type"] == "Nested Loop" and node["Plans"][0]["Plan Rows"] > 500:
            assert not of_outcomes(node["Plans"][1]), node


@pytest.mark.parametrize("question", ["v_clips where clip_id", "v_lineage where clip_id", "v_videos where video_id"])
def test_one_is_found_by_index(filled: None, question: str) -> None:
    read = {
        node["Relation Name"]
        for node in plan(f"select * from {question} = 'c0000000000000007'")
        if node["Node Type"] == "Seq Scan"
    }
    # the others are empty here
    assert not read & {"outcomes_fetch", "outcomes_analyse", "outcomes_decide", "clips", "videos"}


def test_one_clip_says_what_all_say(filled: None) -> None:
    columns, found = reading.ask("select * from v_clips order by clip_id")
    clips = [dict(zip(columns, row, strict=True)) for row in found]
    assert len(clips) > 5000
    with connect() as link, link.cursor() as cursor:
        for clip in [*clips[:3], *clips[-20:], *(c for c in clips if c["status"] != "pending")]:
            cursor.execute("select * from v_clips where clip_id = %s", (clip["clip_id"],))
            assert [dict(row) for row in cursor] == [clip]


def test_the_lineage_of_one_clip_is_the_views(filled: None) -> None:
    columns, found = reading.ask("select * from v_lineage order by clip_id, seq")
    steps = [dict(zip(columns, row, strict=True)) for row in found]
    for clip in {step["clip_id"] for step in [*steps[:20], *steps[-20:]]}:
        expected = [step for step in steps if step["clip_id"] == clip]
        assert [dict(row) for row in reading.rows("lineage", clip_id=clip)] == expected


def test_a_days_due_stages_are_found_a_video_at_a_time(filled: None) -> None:
    asked = {"stages": ["analyse", "cut"], "versions": ["1", "1"], "subjects": ["video", "clip"]}
    with connect() as link, link.cursor() as cursor:
        question = cursor.mogrify(queries().due_stages.sql, {**asked, "partition_key": "2026-01-01", "max_attempts": 3})
    # joined as a set, a day's clips met the rejected ones of all days: hours at a hundred thousand clips
    read = {node["Relation Name"] for node in plan(question.decode()) if node["Node Type"] == "Seq Scan"}
    assert not read & {"outcomes_fetch", "outcomes_analyse", "outcomes_decide", "clips"}
