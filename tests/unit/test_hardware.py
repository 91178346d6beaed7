"""A GPU decodes and encodes where it is wanted and there; where it is not there, only a line in the log is new."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from broken_videos import moving_video

from humannet_ops.media import hardware
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.encode import cut
from humannet_ops.settings import Settings
from humannet_ops.stages import analyse
from humannet_ops.stages import cut as cut_stage

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", 22, "-pix_fmt", "yuv420p")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """Each test finds out what this machine has."""
    yield
    hardware._decodes.cache_clear()
    hardware._encodes.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return moving_video(tmp_path, 3, size=(320, 240), fps=30, name="a.mkv", encoder=X264)


def has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


@pytest.mark.skipif(has_gpu(), reason="this machine has a GPU")
def test_without_a_gpu_the_same_bytes_are_written_and_the_log_says_so_once(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="humannet_ops.media.hardware")
    reports = [
        cut(source, tmp_path / f"{codecs}{n}.mp4", 0.5, 2, codecs=codecs)
        for n, codecs in enumerate(("software", "hardware", "hardware"))
    ]
    assert reports[0] == reports[1] == reports[2]
    assert reports[0].encoder == "libx264"
    assert len({path.read_bytes() for path in tmp_path.glob("*.mp4")}) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert any("no h264_nvenc here" in line for line in said)
    assert any("no GPU that decodes here" in line for line in said)


@pytest.mark.parametrize("codecs", ["software", "hardware"])
def test_every_frame_is_met_at_its_time(source: Path, codecs: hardware.Codecs) -> None:
    report = Pass()
    times = [frame.t_s for frame in decode(source, report, codecs=codecs)]
    assert times == pytest.approx([n / 30 for n in range(90)], abs=2e-3)
    assert report.faults == []


def test_another_encoder_writes_as_many_frames_and_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for NVENC: what FFmpeg has beside x264 on any machine, found and opened in the same way."""
    monkeypatch.setattr(hardware, "ENCODER", "mpeg4")
    monkeypatch.setattr(hardware, "OPTIONS", {"b": "1000000"})
    report = cut(source, tmp_path / "a.mp4", 0.5, 2, codecs="hardware")
    assert (report.encoder, report.frames, report.is_copied) == ("mpeg4", 45, False)
    with av.open(tmp_path / "a.mp4") as written:
        assert written.streams.video[0].codec_context.name == "mpeg4"
        assert len(list(written.decode(video=0))) == 45


def test_what_may_differ_is_another_version() -> None:
    for stage in (analyse, cut_stage):
        told = {stage.configuration(Settings(codecs=codecs), None).get("codecs") for codecs in ("software", "hardware")}
        assert told == {None, "hardware"}
