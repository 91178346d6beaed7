"""Fingerprints find edited copies and keep apart what only looks alike."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from humannet_ops.domain.records import Fingerprint
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.fingerprints import (
    NO_MATCH,
    SAMPLE_FPS,
    SEARCH_RADIUS_BITS,
    Fingerprints,
    confirm,
    find_bars,
)

Video = list[tuple[float, np.ndarray]]
Edit = Callable[[np.ndarray], np.ndarray]


def scene(seed: int, *, seconds: float = 8.0, fps: float = 25.0, shape: tuple[int, int] = (144, 256)) -> Video:
    """A room of boxes with three things that move about in it, the same for the same seed."""
    made = np.random.default_rng(seed)
    height, width = shape
    room = cv2.GaussianBlur(made.uniform(0, 255, (9, 16)).astype(np.float32), (0, 0), 0.6)
    room = cv2.resize(room, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(12):
        x, y = int(made.integers(width)), int(made.integers(height))
        size = int(made.integers(8, 40)), int(made.integers(8, 40))
        cv2.rectangle(room, (x, y), (x + size[0], y + size[1]), float(made.uniform(0, 255)), -1)
    phases, speeds, levels = made.uniform(0, 6, (3, 2)), made.uniform(0.5, 2, (3, 2)), made.uniform(0, 255, 3)
    video = []
    for t_s in np.arange(round(seconds * fps)) / fps:
        frame = room.copy()
        for phase, speed, level in zip(phases, speeds, levels, strict=True):
            x, y = 0.5 + 0.4 * np.sin(phase + speed * t_s)
            cv2.ellipse(
                frame, (int(x * width), int(y * height)), (width // 12, height // 5), 0, 0, 360, float(level), -1
            )
        video.append((float(t_s), np.clip(frame, 0, 255).astype(np.uint8)))
    return video


def prints(video: Video, edit: Edit = lambda frame: frame) -> list[Fingerprint]:
    maker = Fingerprints()
    for t_s, frame in video:
        maker.feed(t_s, edit(frame))
    return maker.result()


def trimmed(video: Video, start: float, end: float) -> Video:
    """The part of a video between two fractions of it, its clock starting at 0 again."""
    part = video[round(start * len(video)) : round(end * len(video))]
    return [(t_s - part[0][0], frame) for t_s, frame in part]


def logo(frame: np.ndarray) -> np.ndarray:
    marked = frame.copy()
    height, width = frame.shape
    marked[height // 20 : height // 6, -width // 5 : -width // 20] = 250
    return marked


EDITS: dict[str, Edit] = {
    "same": lambda frame: frame,
    "jpeg": lambda frame: cv2.imdecode(cv2.imencode(".jpg", frame, [1, 15])[1], 0),
    "smaller": lambda frame: cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "letterbox": lambda frame: np.pad(frame, ((24, 24), (0, 0)), constant_values=16),
    "pillarbox": lambda frame: np.pad(frame, ((0, 0), (40, 40)), constant_values=16),
    "white bars": lambda frame: np.pad(frame, ((24, 24), (40, 40)), constant_values=250),
    "mirror": lambda frame: np.ascontiguousarray(frame[:, ::-1]),
    "logo": logo,
    "crop": lambda frame: frame[7:-7, 13:-13],
    "brighter": lambda frame: cv2.add(frame, 35),
    "darker": lambda frame: cv2.subtract(frame, 35),
    "letterbox and mirror": lambda frame: np.pad(frame[:, ::-1], ((24, 24), (0, 0)), constant_values=16),
}


@pytest.fixture(scope="module")
def room() -> Video:
    return scene(1)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found(room: Video, edit: str):
    original, copy = prints(room), prints(room, EDITS[edit])
    match = confirm(copy, original)
    assert match.is_copy, match
    assert match.mirrored == ("mirror" in edit)
    assert match.overlap_s == pytest.approx(8.0, abs=0.5)
    assert abs(match.offset_s) <= 0.25
    # and some frame leads the search to it
    probes = np.array([bits for entry in copy for bits in (entry.bits, entry.mirrored_bits)], np.uint64)
    indexed = np.array([entry.bits for entry in original], np.uint64)
    assert np.bitwise_count(probes[:, None] ^ indexed).min() <= SEARCH_RADIUS_BITS


@pytest.mark.parametrize(("start", "end"), [(0.2, 1.0), (0.0, 0.8), (0.25, 0.75)])
def test_a_trimmed_copy_is_found_where_it_lies(room: Video, start: float, end: float):
    match = confirm(prints(trimmed(room, start, end)), prints(room))
    assert match.is_copy, match
    assert match.offset_s == pytest.approx(8 * start, abs=0.26)
    assert match.overlap_s == pytest.approx(8 * (end - start), abs=0.5)
    back = confirm(prints(room), prints(trimmed(room, start, end)))
    assert back.is_copy
    assert back.offset_s == pytest.approx(-8 * start, abs=0.26)


def test_another_frame_rate_changes_nothing(room: Video):
    every_second_frame = room[::2]
    ten_a_second = [room[round(t * 2.5)] for t in range(80)]
    three_a_second = [room[round(t * 25 / 3)] for t in range(24)]
    for other in (every_second_frame, ten_a_second, three_a_second):
        assert confirm(prints(other), prints(room)).is_copy


def test_other_places_are_no_copies():
    places = [prints(scene(seed, seconds=4)) for seed in range(10, 18)]
    assert [(i, j) for i in range(8) for j in range(8) if confirm(places[i], places[j]).is_copy != (i == j)] == []


def test_another_take_in_the_same_room_is_no_copy(room: Video):
    first, second = prints(trimmed(room, 0, 0.5)), prints(trimmed(room, 0.5, 1))
    assert not confirm(first, second).is_copy


def test_a_shot_of_a_compilation_is_no_copy():
    shots = [scene(seed, seconds=4) for seed in (30, 31, 32)]
    joined = [(t_s + 4 * number, frame) for number, shot in enumerate(shots) for t_s, frame in shot]
    for shot in shots:
        assert not confirm(prints(shot), prints(joined)).is_copy
    two = [(t_s, frame) for t_s, frame in joined if t_s < 6.4]
    assert not confirm(prints(shots[0]), prints(two)).is_copy  # 62 % of it, up to a cut
    assert confirm(prints(trimmed(two, 0, 0.48)), prints(two)).is_copy  # a trim, not at a cut


def test_pictures_without_structure_have_no_fingerprint_and_match_nothing(room: Video):
    made = np.random.default_rng(0)
    black = [(i / 25, made.integers(0, 4, (144, 256)).astype(np.uint8)) for i in range(100)]
    fade = [(i / 25, np.full((144, 256), 2 * i, np.uint8)) for i in range(100)]
    assert prints(black) == prints(fade) == []
    assert confirm(prints(black), prints(fade)) == NO_MATCH
    assert confirm(prints(room), []) == NO_MATCH
    assert Fingerprints().result() == []
    half_black = prints([*room, *((8 + t_s, frame) for t_s, frame in black)])
    assert len(half_black) == len(prints(room))


def test_the_mirrored_hash_is_the_hash_of_the_mirror_image(room: Video):
    pairs = zip(prints(room), prints(room, EDITS["mirror"]), strict=True)
    for entry, mirror in pairs:
        assert entry.bits < 2**64
        # a frequency that is all but absent may fall on either side
        assert (entry.mirrored_bits ^ mirror.bits).bit_count() <= 1
        assert entry.mirrored_bits != entry.bits


def test_frames_are_sampled_by_time(room: Video):
    times = [entry.t_s for entry in prints(room)]
    assert len(times) == 8 * SAMPLE_FPS
    assert times == pytest.approx(np.arange(32) / SAMPLE_FPS, abs=0.04)


def test_bars_are_found_and_a_plain_backdrop_is_none(room: Video):
    frames = np.stack([frame for _, frame in room[::20]])
    assert find_bars(frames) == (0, 144, 0, 256)
    assert find_bars(np.pad(frames, ((0, 0), (20, 30), (0, 0)), constant_values=16)) == (20, 164, 0, 256)
    assert find_bars(np.pad(frames, ((0, 0), (0, 0), (31, 30)), constant_values=235)) == (0, 144, 31, 287)
    maker = Fingerprints()
    maker.feed(0, np.pad(room[0][1], ((24, 24), (0, 0))))
    assert maker.bars == pytest.approx((0.125, 0.125, 0, 0))
    # a dancer before a lit blue screen
    y, x = np.mgrid[0:144, 0:256]
    screen = 90 + 20 * np.exp(-((x - 128) ** 2 + (y - 72) ** 2) / 9000)
    dancers = []
    for step in range(20):
        picture = screen.astype(np.uint8)
        cv2.ellipse(picture, (100 + 3 * step, 80), (12, 45), 0, 0, 360, 200, -1)
        dancers.append(picture)
    assert find_bars(np.stack(dancers)) == (0, 144, 0, 256)


def test_two_long_videos_are_compared_in_bounded_time():
    made = np.random.default_rng(5)
    hours = made.integers(0, 2**63, 3 * 3600 * int(SAMPLE_FPS), dtype=np.int64)
    long = [Fingerprint(i / SAMPLE_FPS, int(bits), int(bits) ^ 1) for i, bits in enumerate(hours)]
    part = [Fingerprint(i / SAMPLE_FPS, e.bits, e.mirrored_bits) for i, e in enumerate(long[9000:36000])]
    started = time.process_time()
    match = confirm(part, long)
    assert match.is_copy
    assert match.offset_s == 9000 / SAMPLE_FPS
    assert time.process_time() - started < 20  # about 2 s; all pairs would be 1.2e9 distances


@cache
def real(path: Path) -> tuple[Fingerprint, ...]:
    maker = Fingerprints()
    for frame in decode(path, Pass(), sample_fps=0.01):
        maker.feed(frame.t_s, cv2.cvtColor(frame.bgr, cv2.COLOR_BGR2GRAY))
    return tuple(maker.result())


def test_real_clips_stay_apart(corpus: Path):
    names = (
        "exo/exo_balance_cam01_portrait_60fps.mp4",
        "exo/exo_balance_cam03_portrait_60fps.mp4",
        "exo/exo_talking_head_640.mp4",
        "exo/exo_asl_again.mkv",
        "ego/ego_cooking_pan_384x288.mp4",
        "ego/ego_cooking_stove_224.mp4",
        "nonhuman/non_cartoon_title_sky.mp4",
        # the talking head and the title in one file
        "multishot/ms_face_then_cartoon_hevc.mov",
        "nonhuman/non_anime_cartoon.mkv",
    )
    made = [real(corpus / name) for name in names]
    found = [
        (names[i], names[j]) for i, one in enumerate(made) for j, two in enumerate(made) if confirm(one, two).is_copy
    ]
    assert found == [(name, name) for name in names]


@pytest.mark.parametrize(
    "name", ["exo/exo_balance_cam01_portrait_60fps.mp4", "ego/ego_cooking_stove_224.mp4", "exo/exo_asl_again.mkv"]
)
def test_a_real_clip_is_found_after_ffmpeg_edited_it(corpus: Path, tmp_path: Path, name: str):
    copy = tmp_path / "copy.mp4"
    filters = "hflip,eq=brightness=0.1,scale=-2:240,pad=iw:trunc(ih*1.3/2)*2:0:(oh-ih)/2"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(corpus / name), "-an"]
    subprocess.run([*ffmpeg, "-vf", filters, "-preset", "ultrafast", "-crf", "32", str(copy)], check=True)
    match = confirm(real(copy), real(corpus / name))
    assert match.is_copy, match
    assert match.mirrored
