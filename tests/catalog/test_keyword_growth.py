"""The loop: seeds, a crawl, what it keeps, new keywords, the next crawl; and the commands that steer it."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Sequence

import pytest
from keyword_world import Site, shelf_entry
from typer.testing import CliRunner

from humannet_ops.catalog import keywords, reading, takedowns
from humannet_ops.catalog.discovery import Entry
from humannet_ops.cli import app
from humannet_ops.sources.expansion.growth import grow

ONIONS, DOUGH = "chopping onions", "kneading dough"
FIELDS = "seeds: [chopping onions, kneading dough]\nitems_per_crawl: 40\n"


def shelf(phrase: str, items: int) -> Sequence[Entry]:
    """Find two videos by any phrase; those about onions have something to tell."""
    tags = ["knife skills", "slicing carrots", "julienne vegetables"] if phrase == ONIONS else ["nice"]
    return [shelf_entry(f"{phrase} {n}", channel="shelf:c", tags=tags, description="Slicing carrots.") for n in (1, 2)]


def kept_onions(title: str) -> tuple[float, float]:
    return 0.5, 0.4 if title.startswith(ONIONS) else 0.0


def grown() -> dict[str, tuple[str | None, str]]:
    """Return phrase -> (parent, who proposed it) of what is no seed."""
    return {
        phrase: (parent, by)
        for phrase, parent, by in reading.ask(
            "select keyword, parent, proposed_by from v_keywords where proposed_by <> 'seed'"
        )[1]
    }


def humannet(*arguments: str, status: int = 0) -> str:
    """Run the command line and return what it printed."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == status, result.output
    return result.output if status == 0 else result.stderr


def test_a_crawl_day_proposes_from_what_was_kept_and_says_from_what_and_who(site: Site) -> None:
    site.write(FIELDS + "expansion: {strategies: [nearest, taxonomy], new_per_crawl: 3}\n")
    site.crawl("2026-01-01", shelf)
    # nothing is known of any video yet, so only the taxonomy proposes
    assert {by for _, by in grown().values()} == {"taxonomy"}
    first = set(grown())
    assert len(first) == 3
    site.decide(kept_onions)
    site.crawl("2026-01-02", shelf)
    new = {phrase: told for phrase, told in grown().items() if phrase not in first}
    assert len(new) == 3
    near = {phrase for phrase, (_, by) in new.items() if by == "nearest (all-minilm-l6-v2@0.1.2)"}
    assert near
    assert near <= {"knife skills", "slicing carrots", "julienne vegetables"}
    # dough kept nothing: nothing is proposed from it any more
    assert {parent for parent, _ in new.values()} == {ONIONS}
    # a new keyword is searched for on the day that it appears, or soon after
    asked = {phrase for day in ("2026-01-02", "2026-01-03", "2026-01-04") for phrase in site.asked(day)}
    for day in ("2026-01-03", "2026-01-04"):
        site.crawl(day, shelf)
        asked |= set(site.asked(day))
    assert asked & set(new)


def test_a_repeated_day_grows_nothing_and_a_backfilled_day_has_its_own_shares(site: Site) -> None:
    site.write(FIELDS + "expansion: {strategies: [taxonomy], new_per_crawl: 2}\n")
    site.crawl("2026-01-05", shelf)
    before, asked = grown(), site.asked("2026-01-05")
    site.crawl("2026-01-05", shelf)
    assert (grown(), site.asked("2026-01-05")) == (before, asked)
    site.crawl("2026-01-02", shelf)
    assert sum(site.asked("2026-01-02").values()) == 40
    assert list(reading.ask("select partition_key, sum(items)::int from keyword_budgets group by 1 order by 1")[1]) == [
        ("2026-01-02", 40), ("2026-01-05", 40),
    ]  # fmt: skip


def test_no_more_keywords_than_the_file_allows(site: Site) -> None:
    site.write(FIELDS + "max_keywords: 4\nexpansion: {strategies: [taxonomy], new_per_crawl: 5}\n")
    for day in ("2026-01-01", "2026-01-02"):
        site.crawl(day, shelf)
        assert keywords.count_active("cooking") == 4


def test_a_strategy_that_cannot_help_says_so_and_the_crawl_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, forget_settings, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HUMANNET_LLM_URL", "http://127.0.0.1:9/v1")
    forget_settings()
    site.write(FIELDS + "expansion: {strategies: [llm, taxonomy], new_per_crawl: 2}\n")
    caplog.set_level(logging.WARNING)
    assert site.crawl("2026-01-01", shelf).new == 4 + 2 * 2
    assert "cooking: llm proposed nothing: http://127.0.0.1:9/v1 does not help" in caplog.text
    # its share is the next one's
    assert len(grown()) == 2


def test_what_a_strategy_proposes_is_checked_like_anything_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from humannet_ops.domain.keyword import Proposal
    from humannet_ops.sources.expansion import growth
    from humannet_ops.sources.expansion.protocol import Proposed

    class Careless:
        def propose(self, parents, known, most) -> Proposed:
            phrases = ["Chopping ONIONS", "", "x" * 99, "http://a.b/", "new\nthing", "New thing!", "another", "a third"]
            return Proposed([Proposal(phrase, "careless", parents[0].keyword_id) for phrase in phrases])

    monkeypatch.setitem(growth.STRATEGIES, "careless", Careless)
    site.crawl("2026-01-01", shelf)
    assert [known.phrase for known in grow("cooking", ["careless"], 2).added] == ["new thing", "another"]


def test_what_was_taken_down_is_not_read_for_new_keywords(site: Site) -> None:
    site.crawl("2026-01-01", shelf)
    site.decide(kept_onions)
    (onions,) = keywords.expandable("cooking", 1)
    assert len(keywords.texts([onions.keyword_id], 9)[onions.keyword_id]) == 2
    ((video_id,),) = reading.ask(f"select video_id from v_videos where title = '{ONIONS} 1'")[1]
    takedowns.take_down("video", video_id, reason="asked to", requested_by="somebody")
    (left,) = keywords.texts([onions.keyword_id], 9)[onions.keyword_id]
    assert (left.title, left.kept) == (f"{ONIONS} 2", True)
    assert list(reading.ask(f"select fetched from v_keywords where keyword = '{ONIONS}'")[1]) == [(1,)]


def test_keyword_commands(site: Site) -> None:
    assert "whittling a spoon" in humannet("keyword", "add", "whittling  a spoon", "--source", "cooking")
    site.crawl("2026-01-01", shelf)
    site.decide(kept_onions)
    listed = json.loads(humannet("keyword", "list", "--source", "cooking", "--format", "json"))
    assert listed[0]["keyword"] == ONIONS
    assert listed[0]["yield"] == pytest.approx(0.8)
    told = humannet("keyword", "expand", ONIONS, "--source", "cooking", "--strategy", "nearest", "--most", "1")
    assert told.splitlines()[-1] == "1 keywords added to cooking."
    (added,) = (line[2:] for line in told.splitlines() if line.startswith("+ "))
    assert grown()[added][0] == ONIONS
    humannet("keyword", "pause", DOUGH, "--source", "cooking", "--reason", "enough of it")
    rows = csv.DictReader(io.StringIO(humannet("keyword", "list", "--status", "paused", "--format", "csv")))
    assert [(row["keyword"], row["reason"]) for row in rows] == [(DOUGH, "enough of it")]
    assert "has 'kneading dough' already; it is active" in humannet("keyword", "add", DOUGH, "--source", "cooking")
    assert json.loads(humannet("keyword", "list", "--status", "paused", "--format", "json")) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("keyword", "add", "x", "--source", "nowhere"), "no source 'nowhere'"),
        (("keyword", "add", "?!", "--source", "cooking"), "has no word in it"),
        (("keyword", "pause", "juggling", "--source", "cooking"), "cooking has no keyword 'juggling'"),
        (("keyword", "expand", "juggling", "--source", "cooking"), "cooking has no active keyword 'juggling'"),
        (
            ("keyword", "expand", "--source", "plain"),
            "plain has no keywords: sources of the kind folder are not searched",
        ),
        (("channel", "pin", "shelf:typo"), "no channel 'shelf:typo' in the catalog"),
    ],
)
def test_a_mistake_is_one_line(site: Site, arguments: tuple[str, ...], says: str) -> None:
    (site.file.parent / "plain.yaml").write_text(
        f"source: plain\nkind: folder\ndescription: d\npath: {site.file.parent}\n"
    )
    error = humannet(*arguments, status=1)
    assert error.startswith("humannet: ")
    assert says in error
    assert error.count("\n") == 1


def test_channel_commands(site: Site) -> None:
    site.crawl("2026-01-01", shelf)
    assert "is banned" in humannet("channel", "ban", "shelf:c", "--note", "copies")
    (row,) = json.loads(humannet("channel", "list", "--status", "banned", "--format", "json"))
    assert (row["channel_id"], row["videos"], row["reason"]) == ("shelf:c", 4, "copies")
    assert row["decided_by"]
    assert "is pinned; 0 of its candidates" in humannet("channel", "pin", "shelf:c")
    assert "is active; 0 of its candidates" in humannet("channel", "release", "shelf:c")
    assert "shelf:c" in humannet("channel", "list", "--source", "cooking")
    assert "Examples:" in humannet("channel", "list", "--help")
