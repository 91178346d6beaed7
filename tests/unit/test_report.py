"""The corpus page as drawn: complete, well-formed, and safe whatever a title says."""

from __future__ import annotations

import datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humannet_ops.domain.outcome import Outcome, Reason
from humannet_ops.web.page import (
    BAR_WIDTH,
    ClipCard,
    Exit,
    FailedRow,
    FunnelRow,
    Ledger,
    ModelRow,
    Page,
    Picture,
    RejectedCard,
    Score,
    SourceRow,
    draw_funnel,
    plain,
    render,
    spoken_hours,
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "two\nlines\r\nand a\ttab",
    "nul\0, escape\x1b[31m and a lone surrogate \udcff",
    "{{ 7 * 7 }} {% raw %}",
    "عنوان \u202e right to left 日本語 🕺",
    "&lt;b&gt; &amp; </title></style>",
    "]]> <!-- --> <![CDATA[",
    "",
]
VOID = {"meta", "img", "br", "link", "input", "hr"}
KNOWN_TAGS = {
    "html", "head", "meta", "title", "style", "body", "a", "div", "header", "h1", "h2", "h3", "p", "time", "code", "b",
    "bdi", "nav", "dl", "dt", "dd", "span", "main", "section", "svg", "rect", "polygon", "ul", "li", "article", "img",
    "table", "thead", "tbody", "tr", "th", "td", "footer",
}  # fmt: skip


class Document(HTMLParser):
    """Reads the page as a strict browser would: every element closed in order, every id once."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())

    def values(self, tag: str, attribute: str) -> list[str]:
        return [value for name, attrs in self.tags if name == tag and (value := attrs.get(attribute)) is not None]


def clip(number: int, title: str = "a.mp4", **fields: object) -> ClipCard:
    values = {
        "clip_id": f"c{number:020x}", "title": title, "source": "videos", "viewpoint": "exo", "start_s": 1.0,
        "end_s": 4.25, "license": "CC BY 4.0", "description": "One person walks.",
        "picture": Picture("data:image/jpeg;base64,AAAA"), "media": "store/clip/aa/b.mp4",
        "scores": (Score("body", 0.91), Score("motion", 1.5, "m/s")),
    }  # fmt: skip
    return ClipCard(**{**values, **fields})  # type: ignore[arg-type]


def refusal(number: int, reason: Reason, title: str = "b.mp4") -> RejectedCard:
    return RejectedCard(
        f"c{number:020x}", title, "videos", None, "decide", reason.value, reason.description, 12.5, 3,
        Picture(None, "no frame"), "person_frames is 0.02 against 0.2",
    )  # fmt: skip


def fault(number: int, reason: Reason, title: str = "c.mp4", error: str = "moov atom not found") -> FailedRow:
    return FailedRow(
        f"v{number:020x}", title, "videos", "fetch", reason.value, reason.description, error, 2, not reason.permanent
    )


def page(**fields: object) -> Page:
    values: dict[str, object] = {
        "made_at": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC), "code_revision": "0123abc",
        "videos": Ledger(3, 2, 1, 0), "clips": Ledger(5, 4, 0, 0), "hours_in": 0.5, "hours_kept": 0.25,
    }  # fmt: skip
    return Page(**{**values, **fields})  # type: ignore[arg-type]


def test_shows_everything_it_is_given() -> None:
    rejecting = [reason for reason in Reason if reason.outcome is Outcome.REJECTED]
    failing = [reason for reason in Reason if reason.outcome is Outcome.FAILED]
    shown = page(
        sources=(SourceRow("videos", 6, 3, 0.5),),
        viewpoints={"ego": 2, "exo": 3},
        funnel=(FunnelRow("fetch", "video", 5, 0.5, (Exit("failed", "unreadable", 1, 0.0),)),),
        kept=tuple(clip(number, f"kept {number}.mp4") for number in range(5)),
        rejected=tuple(refusal(number, reason, f"{reason}.mp4") for number, reason in enumerate(rejecting)),
        failed=tuple(fault(number, reason) for number, reason in enumerate(failing)),
        models=(ModelRow("pose@1", "body_pose", "Apache-2.0", "PyPI some 1", "ab" * 32, ("annotate",)),),
        more_kept=7,
        more_rejected=8,
        more_failed=9,
    )
    document = Document(render(shown))
    for card in shown.kept:
        assert card.title in document.words
        assert card.clip_id in document.words
    assert document.values("a", "href").count("store/clip/aa/b.mp4") == 5
    for reason in [*rejecting, *failing]:
        assert f"{reason.value} " in document.words
        assert reason.description in document.words
    for words in (
        "videos in 6", "kept 3", "rejected 2", "failed 1", "The ledger closes", "2 first person (ego)",
        "code 0123abc", "2 January 2026, 03:04 UTC", "unreadable 1 video", "moov atom not found", "tried 2 times",
        "body 0.91", "motion 1.50 m/s",
        "person_frames is 0.02 against 0.2", "3 clips, 12 s", "pose@1 body_pose annotate Apache-2.0",
        "And 7 clips more", "And 8 more", "And 9 more", f"humannet explain {shown.kept[0].clip_id}",
    ):  # fmt: skip
        assert words in document.words


@pytest.mark.parametrize("text", HOSTILE)
def test_outside_text_stays_text(text: str) -> None:
    html = render(
        page(
            sources=(SourceRow(text, 1, 1, 0.1),),
            viewpoints={text: 1},
            kept=(clip(1, text, license=text, source=text, description=text or None),),
            rejected=(refusal(2, Reason.NO_PERSON, text),),
            failed=(fault(3, Reason.ERROR, text, error=text),),
            models=(ModelRow(text, text, text, text, text, (text,)),),
        )
    )
    document = Document(html)
    assert {tag for tag, _ in document.tags} <= KNOWN_TAGS
    assert not [name for _, attrs in document.tags for name in attrs if name.startswith("on")]
    assert document.words.count(" ".join(plain(text).split())) >= 3
    # it can be written as it is, and no byte of it steers a terminal
    assert not any(ord(sign) < 32 and sign != "\n" for sign in html.encode("utf-8").decode("utf-8"))


@given(st.text(max_size=60))
def test_any_title_is_one_line_that_utf8_holds(text: str) -> None:
    line = plain(text)
    assert line.strip()
    assert len(line.splitlines()) == 1
    line.encode("utf-8")


def test_needs_nothing_from_outside() -> None:
    document = Document(render(page(kept=(clip(1),))))
    assert not [tag for tag, _ in document.tags if tag in ("script", "link", "iframe", "object", "video")]
    assert all(address.startswith("data:") for address in document.values("img", "src"))
    policy = document.values("meta", "content")
    assert any(content.startswith("default-src 'none'") for content in policy)


def test_can_be_read_without_seeing_it() -> None:
    document = Document(render(page(kept=(clip(1, "walk.mp4"),), rejected=(refusal(2, Reason.BLURRED),))))
    images = [attrs for tag, attrs in document.tags if tag == "img"]
    assert images
    assert all(attrs["alt"] for attrs in images)
    identifiers = [attrs["id"] for _, attrs in document.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    for name in [*document.values("section", "aria-labelledby"), *document.values("div", "aria-labelledby")]:
        assert name in identifiers
    anchors = [address[1:] for address in document.values("a", "href") if address.startswith("#")]
    assert set(anchors) <= set(identifiers)
    assert dict(document.tags[0][1]) == {"lang": "en"}


def test_an_empty_catalog_says_what_to_do() -> None:
    words = Document(render(page(videos=Ledger(0, 0, 0, 0), clips=Ledger(0, 0, 0, 0)))).words
    assert "Nothing was crawled yet: make run" in words
    assert "The ledger closes" not in words


def test_an_open_ledger_is_said_to_be_open() -> None:
    words = Document(render(page(videos=Ledger(1, 1, 0, 2)))).words
    assert "The ledger is open: 2 videos still on the way." in words
    assert "The ledger closes" not in words


counts = st.integers(0, 10_000)
exits = st.builds(
    Exit, st.sampled_from(["skipped", "rejected", "failed"]), st.sampled_from(list(Reason)), counts, st.floats(0, 1e5)
)
stages = st.builds(
    FunnelRow, st.just("decide"), st.just("clip"), counts, st.floats(0, 1e5), st.lists(exits, max_size=12).map(tuple)
)


@given(st.lists(stages, max_size=9).map(tuple))
def test_funnel_shows_whatever_is_there_inside_its_box(rows: tuple[FunnelRow, ...]) -> None:
    bars = draw_funnel(rows)
    assert [bar.row for bar in bars] == list(rows)
    for bar in bars:
        there = (bar.row.kept > 0) + sum(gone.count > 0 for gone in bar.row.exits)
        assert len(bar.segments) == there
        assert all(segment.width > 0 for segment in bar.segments)
        assert sum(segment.width for segment in bar.segments) <= BAR_WIDTH * (1 + 1e-9)


def test_funnel_widths_follow_the_time_of_video() -> None:
    first, second = draw_funnel(
        (
            FunnelRow("analyse", "video", 10, 6.0, (Exit("rejected", "near_duplicate", 4, 2.0),)),
            FunnelRow("decide", "clip", 30, 3.0, (Exit("rejected", "no_person", 9, 3.0),)),
        )
    )
    assert [segment.width for segment in first.segments] == [750.0, 250.0]
    assert [segment.x for segment in first.segments] == [0.0, 750.0]
    assert (first.flow_from, first.flow_to) == (750.0, 750.0)
    assert [segment.width for segment in second.segments] == [375.0, 375.0]
    assert second.flow_to == 0.0


def test_what_a_stage_skips_flows_on_and_has_a_colour_of_its_own() -> None:
    row = FunnelRow("pose_hands", "clip", 5, 1.0, (Exit("skipped", "no_hands", 10, 2.0), Exit("rejected", "x", 5, 1.0)))
    (bar,) = draw_funnel((row,))
    assert (bar.flow_from, [segment.kind for segment in bar.segments]) == (750.0, ["kept", "skipped", "rejected"])
    style = render(page())
    for outcome in Outcome:
        assert f".flow .{outcome} {{ fill:" in style


@pytest.mark.parametrize(
    ("hours", "words"),
    [(0, "0 s"), (2.5 / 3600, "2.5 s"), (65 / 3600, "65 s"), (0.2, "12.0 min"), (2, "2.0 h"), (12345.6, "12,345.6 h")],
)
def test_lengths_in_words(hours: float, words: str) -> None:
    assert spoken_hours(hours) == words
