"""What a manifest offers: the layouts of open data sets, free mappings, and rows that are wrong."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from humannet_ops.catalog.discovery import Entry
from humannet_ops.sources.config import SourceError
from humannet_ops.sources.http_manifest import HttpManifestConfig, HttpManifestSource, canonical_address
from humannet_ops.sources.manifest_layouts import pairs, seconds
from humannet_ops.sources.network import canonical
from humannet_ops.sources.protocol import Crawl, Window

YOUTUBE = "https://www.youtube.com/watch?v="


def read(path: Path, **fields: object) -> tuple[list[Entry], Crawl]:
    config = HttpManifestConfig.model_validate(
        {"source": "mine", "kind": "http_manifest", "description": "d", "manifest": str(path), **fields}
    )
    crawl = Crawl("2026-01-01", Window(None, datetime.date(2026, 1, 1)))
    return list(HttpManifestSource(config).entries(crawl)), crawl


def written(path: Path, header: str, *rows: list[object]) -> Path:
    with path.open("w", newline="") as stream:
        stream.write(header + "\n")
        csv.writer(stream).writerows(rows)
    return path


def test_panda_70m(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "panda.csv",
        "videoID,url,timestamp,caption,matching_score,desirable_filtering",
        [
            "-QtGqsM", YOUTUBE + "-QtGqsM", "[['0:00:41.541', '0:00:44.011'], ['0:01:02.500', '1:00:00.000']]",
            "['A man, with \"tools\".', \"It's a bench.\"]", "[0.456, 0.51]", "['desirable', 'screen_in_screen']",
        ],
    )  # fmt: skip
    (entry,), crawl = read(manifest)
    assert entry.origin_uri == entry.canonical_uri == YOUTUBE + "-QtGqsM"
    assert entry.signature == ""
    assert entry.published == {
        "videoID": "-QtGqsM",
        "segments": [
            {
                "start_s": 41.541, "end_s": 44.011, "caption": 'A man, with "tools".', "matching_score": 0.456,
                "desirable_filtering": "desirable",
            },
            {
                "start_s": 62.5, "end_s": 3600.0, "caption": "It's a bench.", "matching_score": 0.51,
                "desirable_filtering": "screen_in_screen",
            },
        ],
    }  # fmt: skip
    assert crawl.complete
    assert crawl.fault_count == 0


def test_koala_36m(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "koala.csv",
        "videoID,url,timestamp,caption,Clarity score,Motion score",
        ["abc_0_0to9", YOUTUBE + "abc", "['0:00:00.000', '0:00:09.500']", "The video shows, well, a pan.", "0.9", "7"],
        ["abc_1_9to12", YOUTUBE + "abc", "0:00:09.500, 0:00:12", "A spoon.", "0.8", "3"],
    )
    (first, second), _ = read(manifest)
    assert first.origin_uri == second.origin_uri
    assert first.published["segments"] == [
        {
            "videoID": "abc_0_0to9", "start_s": 0.0, "end_s": 9.5, "caption": "The video shows, well, a pan.",
            "Clarity score": 0.9, "Motion score": 7,
        }
    ]  # fmt: skip
    assert second.published["segments"][0]["end_s"] == 12.0


EGO4D = {
    "video_uid": "77cc4654", "duration_sec": 1234.5, "scenarios": ["Cooking", "Cleaning"], "video_source": "uni",
    "s3_path": "s3://ego4d-consortium-sharing/public/v1/full_scale/77cc4654.mp4", "video_metadata": {"fps": 30.0},
}  # fmt: skip


@pytest.mark.parametrize("form", ["document", "list", "lines", "gzip"])
def test_ego4d_json(tmp_path: Path, form: str) -> None:
    document = {"date": "220216", "version": "v1", "videos": [EGO4D], "clips": [{"clip_uid": "x"}]}
    text = {
        "document": json.dumps(document, indent=1), "list": json.dumps([EGO4D]), "lines": json.dumps(EGO4D) + "\n",
        "gzip": json.dumps(document),
    }[form]  # fmt: skip
    path = tmp_path / "ego4d"
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    (entry,), _ = read(path, license="Ego4D", rows="videos" if form == "gzip" else None)
    assert entry.origin_uri == entry.canonical_uri == EGO4D["s3_path"]
    assert (entry.title, entry.duration_s, entry.uploader, entry.license) == ("77cc4654", 1234.5, "uni", "Ego4D")
    assert entry.published == {"scenarios": ["Cooking", "Cleaning"], "video_metadata": {"fps": 30.0}}


def test_ego4d_csv_leaves_out_what_is_no_video(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "manifest.csv",
        "video_uid,type,canonical_s3_location",
        ["a", "mp4", "s3://bucket/a.mp4"],
        ["b", "json", "s3://bucket/b.json"],
    )
    entries, crawl = read(manifest)
    assert [entry.title for entry in entries] == ["a"]
    assert crawl.fault_count == 0


def test_columns_are_mapped_freely(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "kinetics.csv",
        "label,youtube_id,time_start,time_end,when,rights,md5,split",
        ["cooking egg", "abc", 10, "0:20", "2019-03-01T10:00:00", "CC-BY", "d41d", "train"],
        ["skiing", "def", 10, 20, "20190302", "", "", "test"],
        ["cooking soup", "ghi", "", "", "", "", "", "train"],
    )
    entries, _ = read(
        manifest,
        columns={
            "url": YOUTUBE + "{youtube_id}", "start": "time_start", "end": "time_end", "uploaded_on": ["day", "when"],
            "license": "rights", "signature": "md5",
        },
        keep=["split"], keep_in_segments=["lab*"], only={"label": "cooking*"}, license="unknown",
    )  # fmt: skip
    assert [entry.origin_uri for entry in entries] == [YOUTUBE + "abc", YOUTUBE + "ghi"]
    first, last = entries
    assert (first.license, first.signature, first.uploaded_on) == ("CC-BY", "d41d", datetime.date(2019, 3, 1))
    assert first.published == {
        "split": "train", "segments": [{"start_s": 10.0, "end_s": 20.0, "label": "cooking egg"}],
    }  # fmt: skip
    assert (last.license, last.signature, last.published) == ("unknown", "", {"split": "train"})


def test_a_plain_manifest_needs_no_mapping(tmp_path: Path) -> None:
    manifest = tmp_path / "m.tsv"
    manifest.write_text("﻿url\ttitle\tduration\tviews\nhttps://h.test/a\tA, b\t1:05\t3\n")
    (entry,), _ = read(manifest)
    assert (entry.origin_uri, entry.title, entry.duration_s) == ("https://h.test/a", "A, b", 65.0)


def test_nested_values_are_named_with_dots(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"file": {"href": "https://h.test/a"}, "n": null}\n\n{"file": {"href": "https://h.test/b"}}\n')
    entries, _ = read(path, columns={"url": "file.href"})
    assert [entry.origin_uri for entry in entries] == ["https://h.test/a", "https://h.test/b"]


def test_parquet_is_read_in_batches_with_types(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "url": f"https://h.test/{number}", "timestamp": [[0.0, 1.5], [2.0, 3.0]], "caption": ["a", "b"],
            "videoID": str(number), "matching_score": [0.5, None], "when": datetime.datetime(2020, 1, 2, 3, 4),
        }
        for number in range(2500)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet", row_group_size=700)
    entries, crawl = read(tmp_path / "m.parquet", layout="panda_70m", columns={"uploaded_on": "when"})
    assert [entry.origin_uri for entry in entries] == [f"https://h.test/{number}" for number in range(2500)]
    assert entries[0].published["segments"] == [
        {"start_s": 0.0, "end_s": 1.5, "caption": "a", "matching_score": 0.5},
        {"start_s": 2.0, "end_s": 3.0, "caption": "b"},
    ]
    assert entries[0].uploaded_on == datetime.date(2020, 1, 2)
    assert crawl.fault_count == 0


# --- what is wrong is said


def test_every_malformed_row_is_reported_and_costs_no_other(tmp_path: Path) -> None:
    text = (
        "url,title,start,end,uploaded_on\n"  # 1
        "https://h.test/1,ok,0,1,\n"
        "https://h.test/2,too,few\n"
        "https://h.test/3,one,too,many,fields,here\n"
        ",no address,0,1,\n"  # 5
        "ftp://h.test/6,wrong scheme,0,1,\n"
        "not an address,x,0,1,\n"
        'https://h.test/8,"never closed,0,1,\n'
        "https://h.test/9,ok,0,1,\n"
        "https://h.test/10,backwards,5,1,\n"  # 10: taken, without its segment
        "https://h.test/11,odd day,0,1,yesterday\n"  # taken, without its day
        '"https://h.test/12","two\nlines",0,1,\n'  # 12 and 13
        "\n"
        "https://h.test/15,bad \xff byte,0,1,\n"
        "https://h.test/16,ok,0,1,2020-01-01"  # no line end
    )
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode("latin-1"))
    entries, crawl = read(path)
    assert [entry.origin_uri.rsplit("/")[-1] for entry in entries] == ["1", "9", "10", "11", "12", "16"]
    assert crawl.faults == {
        3: "3 fields where the header has 5: the row is left out",
        4: "6 fields where the header has 5: the row is left out",
        5: "url: empty: the row is left out",
        6: "url: 'ftp://h.test/6' is no http, https or s3 address: the row is left out",
        7: "url: 'not an address' is no http, https or s3 address: the row is left out",
        8: "',' expected after '\"': the row is left out",
        10: "segments: a segment ends at 1 s, not after its begin at 5 s: the row is taken without it",
        11: "uploaded_on: 'yesterday' is no day like 2026-01-31: the row is taken without it",
        15: "not utf-8 (byte 23 of the line): the line is left out",
    }
    assert crawl.fault_count == 9
    assert entries[2].published == {}


def test_a_list_of_another_length_costs_the_captions_and_not_the_row(tmp_path: Path) -> None:
    manifest = written(
        tmp_path / "panda.csv", "videoID,url,timestamp,caption,matching_score",
        ["a", YOUTUBE + "a", "[[0, 1], [2, 3]]", "['one']", "0.5"],
    )  # fmt: skip
    (entry,), crawl = read(manifest)
    assert entry.published["segments"] == [{"start_s": 0.0, "end_s": 1.0}, {"start_s": 2.0, "end_s": 3.0}]
    assert crawl.fault_count == 2
    assert crawl.faults == {2: "caption: 1 items for 2 segments: the row is taken without it"}


def test_broken_json_lines_are_reported_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"url": "https://h.test/1"}\n{"url": \n[1]\n{"url": "https://h.test/4"}\n')
    entries, crawl = read(path)
    assert [entry.origin_uri[-1] for entry in entries] == ["1", "4"]
    assert crawl.faults[2].startswith("not JSON (")
    assert crawl.faults[3].startswith("not a JSON object")


@pytest.mark.parametrize(
    ("content", "fields", "says"),
    [
        (b"", {}, "must name the columns, but is empty"),
        (b"a,b,a\n1,2,3\n", {}, "has the column 'a' twice"),
        (
            b"link,name\nhttps://h.test/1,x\n",
            {},
            "no column url with addresses; its columns are link, name. Name yours",
        ),
        (b"url\nnope\nneither\n", {}, "none of its rows can be used; line 2: url: 'nope' is no http"),
        (b'{"videos": [{"url": "https://h.test/1"}, ', {"format": "json"}, "JSON cannot be read to its end"),
        (b"PAR1 this is not parquet", {}, "cannot be read as Parquet"),
        (gzip.compress(b"url\nhttps://h.test/1\n" * 900, mtime=0)[:60], {}, "damaged gzip"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, fields: Any, says: str) -> None:
    path = tmp_path / "m"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"source mine: the manifest .*/m: ") as error:
        read(path, **fields)
    assert says in str(error.value)


def test_a_manifest_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read(tmp_path / "none.csv")


# --- an unchanged manifest


def again(path: Path, memory: dict[str, Any], **fields: object) -> tuple[list[Entry], Crawl]:
    config = HttpManifestConfig.model_validate(
        {"source": "mine", "kind": "http_manifest", "description": "d", "manifest": str(path), **fields}
    )
    crawl = Crawl("2026-01-02", Window(None, datetime.date(2026, 1, 2)), memory=memory)
    return list(HttpManifestSource(config).entries(crawl)), crawl


def test_an_unchanged_manifest_is_not_read_again_unless_it_is_read_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("url,title\nhttps://h.test/1,a\n")
    _, first = read(path)
    entries, second = again(path, first.remember)
    assert (entries, second.unchanged, second.complete) == ([], True, True)
    assert second.remember == first.remember
    entries, third = again(path, first.remember, license="CC0")
    assert (len(entries), third.unchanged) == (1, False)
    path.write_text("url,title\nhttps://h.test/1,b\n")
    entries, fourth = again(path, first.remember)
    assert (len(entries), fourth.unchanged) == (1, False)


# --- values


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12.5", 12.5), ("1:05", 65.0), ("0:01:02.500", 62.5), ("10:00:00", 36000.0), (7, 7.0), ("", None), (None, None)],
)
def test_times(text: Any, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["-1", "1:2:3:4", "soon", float("nan"), float("inf"), True, "1e5"])
def test_what_is_no_time(text: Any) -> None:
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


@hypothesis(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 99999), st.integers(0, 99999)), min_size=1, max_size=5), st.booleans())
def test_pairs_are_read_from_python_and_from_json_text(spans: list[tuple[int, int]], as_json: bool) -> None:
    thousandths = [[start / 1000, end / 1000] for start, end in spans]
    clock = [[str(datetime.timedelta(milliseconds=value)) for value in span] for span in spans]
    for value in (thousandths, clock):
        text = json.dumps(value) if as_json else str(value)
        assert pairs(text) == ([tuple(span) for span in thousandths], True)
        assert pairs(value) == ([tuple(span) for span in thousandths], True)


@pytest.mark.parametrize("text", ["[", "[1]", "[1, 2, 3]", "[[1, 2], [3]]", "[-1, 2]", "__import__('os')", "[[]]", 5])
def test_what_is_no_pair(text: Any) -> None:
    with pytest.raises(ValueError, match="is neither"):
        pairs(text)


@hypothesis(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["http://", "https://"]),
    st.from_regex(r"[a-z0-9.-]{1,12}\.(com|test)", fullmatch=True),
    st.text("abc/.~-_%Q:@", max_size=12),
    st.sampled_from(["", "?v=a-B_9", "?id=1", "?b=1&a=2", "?utm_source=x", "#f", "?v=", "?"]),
)
def test_the_short_way_to_a_canonical_address_is_right(scheme: str, host: str, path: str, query: str) -> None:
    url = f"{scheme}{host}/{path}{query}"
    try:
        expected = canonical(url)
    except ValueError:
        return
    assert canonical_address(url) == expected


@hypothesis(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=6), min_size=2, max_size=2)))
def test_whatever_csv_can_hold_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(["url", "title"])
    writer.writerows([f"https://h.test/{number}", "".join(row)] for number, row in enumerate(rows))
    path = tmp_path_factory.mktemp("csv") / "m.csv"
    path.write_bytes(stream.getvalue().encode())
    entries, crawl = read(path)
    assert [entry.title or "" for entry in entries] == ["".join(row) for row in rows]
    assert crawl.fault_count == 0
