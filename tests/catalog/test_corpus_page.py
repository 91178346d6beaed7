"""The corpus page from a real catalog and real files: as one file, and on a server."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from endings import record
from fastapi import HTTPException
from fastapi.testclient import TestClient

from humannet_ops.catalog import migrations, planning, recording
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.catalog.discovery import Entry, Pass, record_entries
from humannet_ops.domain.identifiers import new_run_id
from humannet_ops.domain.outcome import Reason
from humannet_ops.domain.records import (
    Annotation,
    Artifact,
    ClipSpan,
    ClipSubject,
    Result,
    VideoFile,
    VideoSubject,
    failed,
    kept,
    rejected,
)
from humannet_ops.domain.skeleton import Body
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.media import body_tracks
from humannet_ops.media.sampled_frames import Writer
from humannet_ops.storage import open_store
from humannet_ops.web import report
from humannet_ops.web.app import create_app

DAY = "2026-01-01"
STAGES = (
    StageSpec("fetch", "video", 1, "crawl"),
    StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
    StageSpec("deduplicate_near", "video", 1, "cpu", ("analyse",), ("analyse",)),
    StageSpec("decide", "clip", 1, "cpu", ("deduplicate_near",), ("analyse",)),
    StageSpec("cut", "clip", 1, "cpu", ("decide",), ("fetch",)),
    StageSpec("pose_body", "clip", 1, "gpu", ("cut",), ("cut",)),
)
TITLE = 'walk <b>"one"</b>\nday.mp4'
RED, GREEN = (220, 30, 30), (30, 200, 60)


@pytest.fixture
def seen(home: Path, tmp_path: Path) -> dict[str, str]:
    """Four videos on their way: one kept in part, one copy of it, one with restricted content, one that failed.

    Returns each clip's and video's id by what became of it.
    """
    versions = stage_versions(STAGES)
    migrations.register(STAGES, versions)
    with connect() as link, transaction(link):
        recording.record_model_release(
            link, role="body_pose", release="pose@1", sha256="ab" * 32, license="Apache-2.0", origin="PyPI pose 1"
        )
    titles = (TITLE, "copy.mp4", "beach.mp4", "half.mp4")
    entries = [Entry(f"file:///{number}", "1", title, "CC BY 4.0") for number, title in enumerate(titles)]
    record_entries(Pass("videos", "folder", "/videos", DAY), iter(entries))
    ids: dict[str, str] = {}
    clip, frames, pose = _stored_clip(tmp_path), _stored_frames(tmp_path), _stored_pose(tmp_path)

    def fetch(subject: VideoSubject) -> Result:
        ids[subject.title or ""] = subject.video_id
        if subject.title == "half.mp4":
            return failed(Reason.TRUNCATED, "moov atom not found\nin half.mp4")
        return kept(records=(VideoFile("a" * 64, 9, "mp4", "h264", 20.0, 320, 240, 30.0, False),))

    def analyse(subject: VideoSubject) -> Result:
        return kept(artifacts=(frames,), records=(ClipSpan(0, 0, 300, 0.0, 10.0), ClipSpan(1, 300, 600, 10.0, 20.0)))

    def deduplicate(subject: VideoSubject) -> Result:
        if subject.title == "copy.mp4":
            return rejected(Reason.NEAR_DUPLICATE, detail={"survivor": ids[TITLE]})
        return kept()

    def decide(subject: ClipSubject) -> Result:
        if subject.video.title == "beach.mp4":
            return rejected(Reason.RESTRICTED if subject.start_frame else Reason.BLURRED)
        if subject.start_frame:
            checks = [
                {"name": "person_frames", "value": 0.9, "threshold": 0.2, "passed": True},
                {"name": "motion", "value": 0.00123, "threshold": 0.02, "passed": False, "is_minimum": True},
            ]
            return rejected(Reason.NO_MOTION, detail={"checks": checks})
        ids["kept"] = subject.clip_id
        return kept(detail={"viewpoint": "ego"}, scores={"person_frames": 0.9})

    def pose_body(subject: ClipSubject) -> Result:
        described = Annotation(
            "caption", "signals", {"short": "A person.", "long": "A person <i>walks</i>.", "source": "signals"}
        )
        scores = {"body_pose_score": 0.875, "motion_score": 1.25}
        return kept(scores=scores, artifacts=(pose,), records=(described,), model_releases=("pose@1",))

    _run("fetch", fetch)
    _run("analyse", analyse)
    _run("deduplicate_near", deduplicate)
    _run("decide", decide)
    _run("cut", lambda _subject: kept(artifacts=(clip,)))
    _run("pose_body", pose_body)
    return ids


def _run(stage: str, work: Callable[..., Result]) -> None:
    spec, versions = next(spec for spec in STAGES if spec.name == stage), stage_versions(STAGES)
    for shard in planning.plan_shards(spec, versions, DAY, shard_seconds=1e9, max_attempts=3):
        with connect() as link:
            run = recording.StageRun(new_run_id(), shard)
            recording.start_run(link, run, recording.TaskIdentity("test"), "revision")
            for item in list(planning.open_work(link, shard, spec, 3)):
                subject = item.subject
                recording.begin_attempt(link, run, subject.subject_id)
                with transaction(link):
                    record(link, run, subject, work(subject))
            recording.end_run(link, run)


def _stored_clip(folder: Path) -> Artifact:
    """Thirty frames that turn from red to green in the middle."""
    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(30):
            picture = np.full((240, 320, 3), RED if number < 10 else GREEN, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return open_store().put(path, kind="clip", suffix=".mp4", media_type="video/mp4")


def _stored_pose(folder: Path) -> Artifact:
    """A body in the upper right corner, best seen in frame 20: by then the picture is green."""
    path = folder / "pose.parquet"
    px = np.stack([np.linspace(160, 300, 33), np.linspace(20, 100, 33)], axis=1)
    bodies = [Body(px, np.full(33, 1.0 if number == 20 else 0.6), np.zeros((33, 3))) for number in range(30)]
    seen = [(number, 0, body) for number, body in enumerate(bodies)]
    body_tracks.write(path, body_tracks.collect(seen, frames=30, fps=30, width=320, height=240))
    return open_store().put(path, kind="body_tracks", suffix=".parquet", media_type="application/x-parquet")


def _stored_frames(folder: Path) -> Artifact:
    """Sampled frames: red for five seconds, green from then on."""
    path = folder / "frames.parquet"
    with Writer(path) as writer:
        for second in range(20):
            blue_first = (RED if second < 5 else GREEN)[::-1]
            writer.add(float(second), second * 30, np.full((240, 320, 3), blue_first, np.uint8))
    return open_store().put(path, kind="sampled_frames", suffix=".parquet", media_type="application/x-parquet")


def _is_green(jpeg: bytes) -> bool:
    """Say so of the corner where no pose is drawn."""
    blue, green, red = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[-10, 10]
    return bool(green > 150 > 100 > max(blue, red))


def _contrast(jpeg: bytes) -> int:
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    return int(grey.max()) - int(grey.min())


def test_one_file_says_it_all(seen: dict[str, str], home: Path) -> None:
    html = report.write(home / "report.html").read_text()
    words = " ".join(re.sub(r"<[^>]+>", " ", html.split("</style>")[1]).split())
    for said in (
        "videos in 4", "kept 1", "rejected 2", "failed 1", "The ledger closes", "1 clip kept of 6",
        "A person &lt;i&gt;walks&lt;/i&gt;.", "body 0.88", "motion 1.25 m/s", seen["kept"], "near_duplicate",
        f"The survivor is walk &lt;b&gt;&#34;one&#34;&lt;/b&gt; day.mp4 ({seen[TITLE]}).",
        "motion is 0.00123; at least 0.02 is asked", "not shown: restricted content", "moov atom not found in half.mp4",
        "pose@1", "1 first person (ego)",
    ):  # fmt: skip
        assert said in words
    assert re.search(r'href="store/clip/[0-9a-f]{2}/[0-9a-f]{64}\.mp4"', html)
    # kept, the copy, what does not move; nothing of a video in which restricted content was found
    assert html.count('src="data:image/jpeg;base64,') == 3
    assert not list(home.glob(".report*"))

    short = report.write(home / "report.html", most=1).read_text()
    assert short.count('<article class="card') == 2
    assert "And 3 more: <code>humannet sql" in short


def test_a_damaged_or_lost_file_costs_its_picture_only(seen: dict[str, str], home: Path) -> None:
    store = open_store()
    for uri in list(store.objects()):
        with store.local(uri) as path:
            path.write_bytes(b"no longer what it was")
    html = report.write(home / "report.html").read_text()
    assert "data:image" not in html
    for uri in list(store.objects()):
        store.delete(uri)
    html = report.write(home / "report.html").read_text()
    assert "its file could not be read" in html
    assert "data:image" not in html


def test_the_server_shows_the_same_with_its_pictures_and_nothing_to_strangers(seen: dict[str, str]) -> None:
    with TestClient(create_app(lambda: None)) as browser:
        page = browser.get("/")
        assert page.status_code == 200
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert f"pictures/clip/{seen['kept']}.jpg" in page.text
        pictures = re.findall(r'src="(pictures/[^"]+)"', page.text)
        assert len(pictures) == 3
        shown = [browser.get(f"/{address.replace('&amp;', '&')}") for address in pictures]
        assert [picture.headers["content-type"] for picture in shown] == ["image/jpeg"] * 3
        assert all(_is_green(picture.content) for picture in shown)
        # a pose is drawn on the kept clip, and on nothing else
        assert [_contrast(picture.content) > 60 for picture in shown] == [True, False, False]

        clip = browser.get(f"/clips/{seen['kept']}.mp4", headers={"Range": "bytes=4-7"})
        assert (clip.status_code, clip.content) == (206, b"ftyp")

        assert browser.get("/clips/c0.mp4").status_code == 404
        assert browser.get(f"/pictures/video/{seen['half.mp4']}.jpg").status_code == 404
        restricted = browser.get(f"/pictures/video/{seen['beach.mp4']}.jpg?at=1")
        assert (restricted.status_code, restricted.json()["detail"]) == (404, "not shown: restricted content")

    def refuse() -> None:
        raise HTTPException(401, "Not authenticated")

    with TestClient(create_app(refuse)) as browser:
        paths = ["/", f"/pictures/clip/{seen['kept']}.jpg", f"/pictures/video/{seen[TITLE]}.jpg"]
        for path in [*paths, f"/clips/{seen['kept']}.mp4", "/openapi.json", "/docs"]:
            answer = browser.get(path)
            assert answer.status_code in (401, 404), path
            assert seen["kept"] not in answer.text


def test_a_silent_catalog_is_said_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, forget_settings: Callable[[], None]
) -> None:
    monkeypatch.setenv("HUMANNET_CATALOG_URL", "postgresql://nobody@/none?host=/nowhere")
    forget_settings()
    with TestClient(create_app(lambda: None), raise_server_exceptions=False) as browser:
        answer = browser.get("/")
    assert answer.status_code == 503
    assert "start it with `make up`" in answer.text
