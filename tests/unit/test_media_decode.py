"""The decode pass: nothing is lost in silence, pictures are upright, samples follow time and not frames."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from broken_videos import ffmpeg, moving_video

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.decode import Pass, decode

SECONDS = 4.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with its index at the front, so that a part of it plays."""
    folder = tmp_path_factory.mktemp("decode")
    target = folder / "whole.mp4"
    ffmpeg("-i", moving_video(folder, SECONDS, audio=False), "-c", "copy", "-movflags", "+faststart", target)
    return target


def packet_ends(path: Path) -> list[int]:
    """Where in the file each video packet ends, in bytes."""
    with av.open(str(path)) as container:
        return [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.8])
def test_a_file_cut_off_between_two_packets_is_no_whole_one(whole: Path, tmp_path: Path, kept: float) -> None:
    ends = packet_ends(whole)
    part = tmp_path / "part.mp4"
    part.write_bytes(whole.read_bytes()[: ends[int(len(ends) * kept)]])
    report = Pass()
    frames = sum(1 for _ in decode(part, report))
    assert frames == pytest.approx(len(ends) * kept, abs=4)
    assert any("the header promises 4.00 s" in fault for fault in report.faults)


def test_a_whole_file_has_no_fault(whole: Path) -> None:
    report = Pass()
    assert sum(1 for _ in decode(whole, report)) == SECONDS * 30
    assert (report.faults, report.end_s) == ([], pytest.approx(SECONDS))


def test_whole_corpus_files_have_no_lost_end(corpus: Path) -> None:
    # one of each container and codec; the .avi is the one whose clock begins late
    for name in (
        "exo/exo_asl_again.mkv",
        "exo/exo_ntu_single_1080p.avi",
        "exo/exo_talking_head_640.mp4",
        "multishot/ms_face_then_cartoon_hevc.mov",
    ):
        report = Pass()
        assert sum(1 for _ in decode(corpus / name, report)) > 50
        assert report.faults == [], name


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_are_turned_the_way_players_turn_them(whole: Path, tmp_path: Path, degrees: int) -> None:
    turned, upright = tmp_path / "turned.mp4", tmp_path / "upright.mkv"
    ffmpeg("-display_rotation", degrees, "-i", whole, "-c", "copy", turned)
    ffmpeg("-i", turned, "-frames:v", 2, "-c:v", "ffv1", upright)  # the ffmpeg program turns by itself
    # brightness: colour is stored at half the resolution, whose samples lie elsewhere after a turn
    ours, theirs = (next(decode(path, Pass())).bgr.astype(float) @ [0.114, 0.587, 0.299] for path in (turned, upright))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 1
    assert np.abs(ours[::-1, ::-1] - theirs).mean() > 20


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_samples_follow_time(tmp_path: Path, fps: int) -> None:
    path = moving_video(tmp_path, 3, fps=fps, audio=False)
    times = [frame.t_s for frame in decode(path, Pass(), sample_fps=2) if frame.sample is not None]
    assert times == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5], abs=0.5 / fps + 1e-6)


def test_samples_follow_time_where_the_rate_changes(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "variable.mp4"
    # a second at 30 frames, then only every tenth frame
    ffmpeg("-i", whole, "-vf", "select='lt(n,30)+not(mod(n,10))'", "-fps_mode", "vfr", path)
    frames = list(decode(path, Pass(), sample_fps=2))
    times = [frame.t_s for frame in frames if frame.sample is not None]
    assert len(frames) == 39
    assert times == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5], abs=0.34)
    assert np.diff(times).min() > 0.3


def test_time_limit(whole: Path) -> None:
    with pytest.raises(SubjectError, match="HUMANNET_SUBJECT_TIMEOUT_S") as raised:
        list(decode(whole, Pass(), timeout_s=0))
    assert raised.value.reason is Reason.TIMED_OUT
