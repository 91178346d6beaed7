"""Every broken video gets its reason, every rare one is read, measured alike and cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from broken_videos import SECONDS, make_all, moving_video

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.encode import cut
from humannet_ops.media.probe import probe

MAX_PIXELS = 8192 * 8192

REASONS = {
    "zero_bytes": Reason.UNREADABLE,
    "truncated_half": Reason.TRUNCATED,
    "text": Reason.UNREADABLE,
    "audio_only": Reason.NO_VIDEO,
    "image_jpg": Reason.NO_VIDEO,
    "image_named_mp4": Reason.NO_VIDEO,
    "one_frame": Reason.NO_VIDEO,
    "loop_link": Reason.MISSING,
}

# name: codec, displayed size, frames; the good one has 240 x 180 pixels and 30 frames a second
READABLE = {
    "good": ("h264", (240, 180), 75),
    "ten_bit": ("h264", (240, 180), 75),
    "variable_frame_rate": ("h264", (240, 180), 45),
    "rotated": ("h264", (180, 240), 75),
    "anamorphic": ("h264", (320, 180), 75),
    "hevc": ("hevc", (240, 180), 75),
    "vp8": ("vp8", (240, 180), 75),
    "vp9": ("vp9", (240, 180), 75),
    "mpeg4": ("mpeg4", (240, 180), 75),
    "too_short": ("h264", (240, 180), 15),
    "uhd_8k": ("h264", (7680, 4320), 5),
    "unicode_name": ("h264", (240, 180), 75),
    "newline_name": ("h264", (240, 180), 75),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("broken")
    return make_all(folder / "made", moving_video(folder, 1, size=(320, 240), audio=False))


def test_the_set_is_complete(videos: dict[str, Path]) -> None:
    others = {"truncated_half_faststart", "corrupt_tail", "unreadable_permission", "loop_folder"}
    assert set(videos) == REASONS.keys() | READABLE.keys() | others


@pytest.mark.parametrize("name", REASONS)
def test_reason(videos: dict[str, Path], name: str) -> None:
    with pytest.raises(SubjectError) as raised:
        probe(videos[name], max_pixels=MAX_PIXELS)
    assert raised.value.reason is REASONS[name]
    assert videos[name].name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_permission(videos: dict[str, Path]) -> None:
    with pytest.raises(SubjectError) as raised:
        probe(videos["unreadable_permission"], max_pixels=MAX_PIXELS)
    assert raised.value.reason is Reason.PERMISSION_DENIED


def test_too_large(videos: dict[str, Path]) -> None:
    with pytest.raises(SubjectError, match="33 megapixels") as raised:
        probe(videos["uhd_8k"], max_pixels=4096 * 4096)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("name", READABLE)
def test_readable(videos: dict[str, Path], tmp_path: Path, name: str) -> None:
    codec, size, frames = READABLE[name]
    found = probe(videos[name], max_pixels=MAX_PIXELS)
    assert (found.codec, (found.width, found.height)) == (codec, size)
    assert found.has_audio == (name != "uhd_8k")
    report = Pass()
    times = [frame.t_s for frame in decode(videos[name], report)]
    assert (len(times), report.frames, report.faults) == (frames, frames, [])
    assert times[0] == 0.0
    assert times == sorted(times)
    seconds = {"too_short": 0.5, "uhd_8k": 5 / 30}.get(name, SECONDS)
    assert report.end_s == pytest.approx(seconds, abs=0.04)
    clip = cut(videos[name], tmp_path / "clip.mp4", 0.0, seconds)
    assert (clip.frames, clip.held_frames) == (round(seconds * 30), 0)


def test_damage_further_in_costs_only_what_is_damaged(videos: dict[str, Path], tmp_path: Path) -> None:
    for name in ("truncated_half_faststart", "corrupt_tail"):
        assert probe(videos[name], max_pixels=MAX_PIXELS).codec == "h264"
        report = Pass()
        assert 25 <= sum(1 for _ in decode(videos[name], report)) <= 75
        assert report.faults
        assert cut(videos[name], tmp_path / "clip.mp4", 0.0, 0.8).frames == 24
