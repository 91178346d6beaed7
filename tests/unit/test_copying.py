"""Clips that need no encoding are taken over packet by packet, and only those."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from broken_videos import ffmpeg, moving_video

from humannet_ops.media.encode import CutReport, cut

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", 22, "-pix_fmt", "yuv420p")
# a key frame each second and nowhere else, with B-frames
EACH_SECOND = (*X264, "-g", 30, "-keyint_min", 30, "-sc_threshold", 0, "-bf", 3)


def pictures(path: Path, start: int = 0, number: int = 10_000) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    return frames[start : start + number]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize("name", ["moving.mp4", "moving.mov"])
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 2.0), (1.0, 3.0), (3.0, 4.0), (0.0, 4.0)])
def test_whole_groups_are_taken_over(tmp_path: Path, clip: Path, name: str, start_s: float, end_s: float) -> None:
    source = moving_video(tmp_path, 4, name=name, encoder=EACH_SECOND)
    report = cut(source, clip, start_s, end_s)
    frames = round((end_s - start_s) * 30)
    assert report == CutReport(frames, 320, 240, 30.0, end_s - start_s, has_audio=True)
    assert packets(clip) == packets(source)[round(start_s * 30) : round(end_s * 30)]
    assert np.array_equal(pictures(clip), pictures(source, round(start_s * 30), frames))
    with av.open(str(clip)) as container:
        assert [round(float(frame.time) * 30) for frame in container.decode(video=0)] == list(range(frames))
    with av.open(str(clip)) as container:
        heard = sum(frame.samples for frame in container.decode(audio=0)) / 48_000
    assert heard == pytest.approx(end_s - start_s, abs=0.05)


def test_same_bytes_every_time(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 3, encoder=EACH_SECOND)
    cut(source, clip, 1, 2)
    first = clip.read_bytes()
    cut(source, clip, 1, 2)
    assert clip.read_bytes() == first


NOT_COPIED: dict[str, dict[str, object]] = {
    "25 frames a second": {"fps": 25},
    "29.97 frames a second": {"fps": 29.97},
    "more lines than wanted": {"size": (1280, 768)},
    "an odd width": {"size": (321, 240), "encoder": (*EACH_SECOND[:-6], "-g", 30, "-pix_fmt", "yuv444p")},
    "full range": {"encoder": (*EACH_SECOND, "-vf", "scale=out_range=full", "-color_range", "pc")},
    "wide pixels": {"encoder": (*EACH_SECOND, "-vf", "setsar=4/3")},
    "4:2:2": {"encoder": (*EACH_SECOND, "-pix_fmt", "yuv422p")},
    "MPEG-4": {"encoder": ("-c:v", "mpeg4", "-g", 30)},
    "interlaced": {"encoder": (*EACH_SECOND, "-flags", "+ilme+ildct", "-x264-params", "tff=1")},
    "many bits": {"encoder": (*EACH_SECOND[:4], "-qp", 1, *EACH_SECOND[6:])},
    "open groups": {"encoder": (*X264, "-x264-params", "open-gop=1:keyint=30:min-keyint=30:scenecut=0:bframes=3")},
    "AVI": {"name": "moving.avi"},
    "Matroska": {"name": "moving.mkv"},
}


@pytest.mark.parametrize("kind", NOT_COPIED)
def test_what_differs_is_encoded(tmp_path: Path, clip: Path, kind: str) -> None:
    source = moving_video(tmp_path, 3, **{"encoder": EACH_SECOND, **NOT_COPIED[kind]})  # type: ignore[arg-type]
    report = cut(source, clip, 1.0, 2.0)
    assert not report.is_copied
    assert len(pictures(clip)) == report.frames == 30


@pytest.mark.parametrize(("start_s", "end_s"), [(0.5, 1.5), (1.0, 1.5), (0.5, 2.0), (1 + 1 / 30, 2.0)])
def test_between_key_frames_is_encoded(tmp_path: Path, clip: Path, start_s: float, end_s: float) -> None:
    source = moving_video(tmp_path, 3, encoder=EACH_SECOND)
    assert not cut(source, clip, start_s, end_s).is_copied


def test_a_turned_video_is_encoded(tmp_path: Path, clip: Path) -> None:
    source, turned = moving_video(tmp_path, 2, encoder=EACH_SECOND), tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", 90, "-i", source, "-c", "copy", turned)
    report = cut(turned, clip, 0, 1)
    assert (report.is_copied, report.width, report.height) == (False, 240, 320)


def test_damage_is_not_taken_over(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 3, encoder=EACH_SECOND, audio=False)
    with av.open(str(source)) as container:
        place = [packet.pos for packet in container.demux(video=0)][40]
    content = bytearray(source.read_bytes())
    content[place + 5 : place + 200] = bytes(195)
    source.write_bytes(content)
    report = cut(source, clip, 1, 2)
    assert not report.is_copied
    assert cut(source, clip, 2, 3).is_copied


def test_frames_of_uneven_length_are_encoded(tmp_path: Path, clip: Path) -> None:
    source, uneven = moving_video(tmp_path, 2, encoder=EACH_SECOND), tmp_path / "uneven.mkv"
    late = "setts=ts='if(eq(N,10),TS+0.01/TB,TS)'"
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", late, uneven)
    assert not cut(uneven, clip, 0, 1).is_copied


def test_copying_can_be_forbidden(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 2, encoder=EACH_SECOND)
    assert cut(source, clip, 0, 1).is_copied
    assert not cut(source, clip, 0, 1, may_copy=False).is_copied
