"""Cut clips are checked against their sources' own frames, picture by picture."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from broken_videos import ffmpeg, moving_video

from humannet_ops.domain.outcome import Reason, SubjectError
from humannet_ops.media.container import open_video, packets_to_frames
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.encode import Footage, cut

# a picture for comparing; small enough for speed, large enough to tell one frame from the next
WIDTH, HEIGHT = 96, 72
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", 18, "-threads", 2, "-g", 60)


@dataclass
class Film:
    """What a player would show: times from the first frame, and small grey pictures, uint8 (n, HEIGHT, WIDTH)."""

    times: np.ndarray
    pictures: np.ndarray
    size: tuple[int, int]


def film(path: Path) -> Film:
    """Decode a whole file from its start, without a seek, on the clock that the analysis has."""
    times = np.array([frame.t_s for frame in decode(path, Pass(), threads=1)])
    pictures, size = [], (0, 0)
    with open_video(path) as (container, stream):
        for frame in packets_to_frames(container, stream, []):
            size = frame.width, frame.height
            picture = frame.reformat(WIDTH, HEIGHT, format="gray", interpolation="AREA").to_ndarray()
            turned = np.rot90(picture, round(frame.rotation / 90))
            pictures.append(cv2.resize(turned, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
    assert len(times) == len(pictures)
    return Film(times, np.array(pictures), size)


def shown_at(source: Film, t_s: float) -> int:
    return int(np.searchsorted(source.times, t_s + 1e-3, side="right")) - 1


def assert_looks_like(source: Film, index: int, picture: np.ndarray) -> None:
    """No frame around is more like the picture, but for a tenth of a grey level where nothing moves."""
    first = max(0, index - 6)
    differences = np.abs(source.pictures[first : index + 7].astype(np.float32) - picture).mean((1, 2))
    assert differences[index - first] <= differences.min() + 0.1, f"frame {first + differences.argmin()}, not {index}"


def assert_same_frames(source: Film, clip: Path, start_s: float, fps: int = 30) -> None:
    found = film(clip)
    assert np.allclose(np.diff(found.times), 1 / fps, atol=1e-6)
    for tick, picture in enumerate(found.pictures):
        assert_looks_like(source, shown_at(source, start_s + tick / fps), picture)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


KINDS: dict[str, tuple[str, tuple[object, ...]]] = {
    "h264 with B-frames": ("a.mp4", X264),
    "open GOPs": ("a.mkv", (*X264, "-x264-params", "open-gop=1:keyint=25:min-keyint=25:scenecut=0")),
    "clock that starts at 1.4 s": ("a.ts", X264),
    "edit list": ("a.mov", (*X264, "-output_ts_offset", 0.7)),
    "H.264 in AVI": ("a.avi", X264),
    "MPEG-4": ("b.avi", ("-c:v", "mpeg4", "-q:v", 3)),
    "VP8": ("a.webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "2M", "-c:a", "libvorbis")),
    "VP9": ("b.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "2M", "-c:a", "libopus")),
    "HEVC in 10 bits": (
        "b.mov",
        (
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p10le",
            "-x265-params",
            "log-level=error:pools=2",
        ),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_frames_of_that_span_and_no_others(kind: str, tmp_path: Path, clip: Path) -> None:
    name, encoder = KINDS[kind]
    source = moving_video(tmp_path, 7, size=(192, 144), fps=25, name=name, encoder=encoder)
    report = cut(source, clip, 5.28, 6.32)
    assert (report.frames, report.held_frames, report.has_audio) == (31, 0, True)
    assert_same_frames(film(source), clip, 5.28)


@pytest.mark.parametrize(
    ("fps", "start_s", "end_s"), [(10, 0.0, 1.5), (10, 5.1, 6.0), (60, 4.6, 5.4), (24000 / 1001, 5.0, 6.3)]
)
def test_any_rate_becomes_30_a_second(tmp_path: Path, clip: Path, fps: float, start_s: float, end_s: float) -> None:
    source = moving_video(tmp_path, 7, size=(192, 144), fps=fps, encoder=X264)
    assert cut(source, clip, start_s, end_s).frames == round((end_s - start_s) * 30)
    assert_same_frames(film(source), clip, start_s)


def test_every_start_around_a_keyframe(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 7, size=(192, 144), encoder=(*X264[:-2], "-g", 30, "-bf", 3))
    whole = film(source)
    for frame in range(146, 154):
        cut(source, clip, frame / 30, (frame + 3) / 30)
        assert_same_frames(whole, clip, frame / 30)


def test_variable_rate(tmp_path: Path, clip: Path) -> None:
    # a frame that stands for a second, then every third frame
    skips = "select='lt(n,150)+gte(n,180)*not(mod(n,3))'"
    source = moving_video(
        tmp_path, 9, size=(192, 144), encoder=("-vf", skips, "-fps_mode", "vfr", *X264), name="variable.mp4"
    )
    assert cut(source, clip, 4.5, 7.5).frames == 90
    assert_same_frames(film(source), clip, 4.5)


@pytest.mark.parametrize(
    ("name", "start_s"),
    [
        ("exo/exo_dancer_bluescreen.avi", 51.3),
        ("exo/exo_face_closeup_640.mp4", 12.7),
        ("multishot/ms_face_then_cartoon_hevc.mov", 4.71),
        ("multishot/ms_film_rotated.mp4", 8.02),
    ],
)
def test_real_clips_far_in(corpus: Path, clip: Path, name: str, start_s: float) -> None:
    assert cut(corpus / name, clip, start_s, start_s + 1).frames == 30
    assert_same_frames(film(corpus / name), clip, start_s)


@pytest.mark.parametrize(
    ("size", "sar", "expected"),
    [
        ((1920, 1080), "1", (1280, 720)),
        ((1080, 1920), "1", (720, 1280)),
        ((320, 240), "1", (320, 240)),
        ((1000, 722), "1", (998, 720)),
        ((175, 145), "1", (174, 144)),
        ((240, 240), "4/3", (320, 240)),
        ((240, 240), "3/4", (240, 320)),
        ((1440, 1080), "4/3", (1280, 720)),
    ],
)
def test_size(tmp_path: Path, clip: Path, size: tuple[int, int], sar: str, expected: tuple[int, int]) -> None:
    even = "" if size[0] % 2 == 0 else ",format=yuv444p"
    source = moving_video(
        tmp_path, 0.3, size=size, audio=False, encoder=("-vf", f"setsar={sar}{even}", *X264), name="odd.mp4"
    )
    report = cut(source, clip, 0.0, 0.3)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (report.width, report.height) == expected
        assert (stream.codec_context.pix_fmt, str(stream.sample_aspect_ratio or 1)) == ("yuv420p", "1")
        assert (stream.average_rate, stream.frames, container.streams.audio) == (30, 9, ())


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, clip: Path, degrees: int) -> None:
    plain = moving_video(tmp_path, 1, size=(192, 144), audio=False)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", degrees, "-i", plain, "-c", "copy", turned)
    # ffmpeg turns by itself where it encodes
    upright = tmp_path / "upright.mkv"
    ffmpeg("-i", turned, "-c:v", "ffv1", upright)
    report = cut(turned, clip, 0.2, 0.8)
    expected = film(upright)
    assert (report.width, report.height) == expected.size
    with av.open(str(clip)) as container:
        assert next(container.decode(video=0)).rotation == 0
    assert_same_frames(expected, clip, 0.2)
    difference = film(clip).pictures[0].astype(float) - expected.pictures[6]
    assert np.abs(difference).mean() < 3


def test_full_range_is_not_washed_out(tmp_path: Path, clip: Path) -> None:
    source = moving_video(
        tmp_path, 0.5, audio=False, encoder=("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", 2), name="phone.avi"
    )
    cut(source, clip, 0.0, 0.5)
    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range != ColorRange.JPEG
        found = frame.to_ndarray(format="rgb24").astype(float)
    with av.open(str(source)) as container:
        expected = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(float)
    assert np.abs(found - expected).mean() < 4


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "unknown"])
def test_colours_keep_their_meaning(tmp_path: Path, clip: Path, matrix: str) -> None:
    tags = f"setparams=colorspace={matrix}:color_primaries={matrix}:color_trc={matrix}:range=limited"
    source = moving_video(tmp_path, 0.3, audio=False, encoder=("-vf", tags, *X264))
    cut(source, clip, 0.0, 0.3)
    found = []
    for path in (source, clip):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            tagged = frame.colorspace, frame.color_primaries, frame.color_trc
            found.append((tagged, frame.to_ndarray().astype(float)))
    assert found[0][0] == found[1][0]
    assert np.abs(found[0][1] - found[1][1]).mean() < 2


def test_rgb(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 0.3, audio=False, encoder=("-c:v", "ffv1", "-pix_fmt", "gbrp"), name="rgb.mkv")
    cut(source, clip, 0.0, 0.3)
    with av.open(str(source)) as container, av.open(str(clip)) as made:
        expected, found = (next(file.decode(video=0)).to_ndarray(format="rgb24") for file in (container, made))
    assert np.abs(found.astype(float) - expected).mean() < 5


def samples(path: Path) -> tuple[np.ndarray, int]:
    """Return the sound as one channel, placed on the video's clock, and its rate."""
    pieces, rate, start = [], 0, 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            if not pieces:
                rate, start = frame.sample_rate, float(frame.time)
            pieces.append(frame.to_ndarray()[0])
    sound = np.concatenate(pieces)
    return np.concatenate([np.zeros(max(0, round(start * rate))), sound]), rate


@pytest.mark.parametrize("name", ["beep.mp4", "beep.ts", "beep.mkv"])
def test_sound_stays_with_the_picture(tmp_path: Path, clip: Path, name: str) -> None:
    # white picture and tone begin together, 6 s in
    source = tmp_path / name
    tone = "sine=frequency=880:sample_rate=44100:duration=9,volume='gte(t,6)':eval=frame"
    flash = "color=black:size=64x64:rate=30:duration=9,drawbox=color=white:t=fill:enable='gte(t,6)'"
    ffmpeg("-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", tone, *X264, "-c:a", "aac", source)
    report = cut(source, clip, 5.5, 7.5)
    bright = film(clip)
    assert bright.times[np.argmax(bright.pictures.mean((1, 2)) > 128)] == pytest.approx(0.5, abs=0.02)
    sound, rate = samples(clip)
    assert np.argmax(np.abs(sound) > 0.02) / rate == pytest.approx(0.5, abs=0.03)
    assert len(sound) / rate == pytest.approx(report.duration_s, abs=0.05)
    with av.open(str(clip)) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
    assert lengths == pytest.approx([2.0, 2.0], abs=0.05)


def test_a_tone_has_no_clicks(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 8, size=(64, 64))
    cut(source, clip, 5.0, 7.0)
    sound, rate = samples(clip)
    body = sound[rate // 4 : -rate // 4]
    # a sine never moves further between two samples than this
    steepest = np.abs(body).max() * 2 * np.pi * 440 / rate
    assert np.abs(np.diff(body)).max() < 1.3 * steepest


def test_sound_that_ends_early_is_followed_by_silence(tmp_path: Path, clip: Path) -> None:
    source = tmp_path / "short_sound.mp4"
    tone = "sine=frequency=880:duration=1"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64:duration=3", "-f", "lavfi", "-i", tone, *X264, source)
    cut(source, clip, 0.5, 2.5)
    sound, rate = samples(clip)
    assert len(sound) / rate == pytest.approx(2.0, abs=0.05)
    assert np.abs(sound[: rate // 4]).max() > 0.05
    assert np.abs(sound[rate:]).max() < 0.01


def test_same_bytes_every_time(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 2, size=(480, 360), encoder=X264)
    made = set()
    for _ in range(4):
        cut(source, clip, 0.5, 1.5)
        made.add(clip.read_bytes())
    assert len(made) == 1


def test_index_lies_before_the_pictures(tmp_path: Path, clip: Path) -> None:
    cut(moving_video(tmp_path, 1), clip, 0.0, 1.0)
    content = clip.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def truncated(folder: Path) -> Path:
    source = moving_video(folder, 4, encoder=(*X264, "-movflags", "+faststart"))
    half = folder / "half.mp4"
    content = source.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    return half


def test_what_a_broken_source_lacks_is_held_and_counted(tmp_path: Path, clip: Path) -> None:
    source = truncated(tmp_path)
    whole = film(source)
    there = len(whole.times)
    report = cut(source, clip, 0.5, 4.0)
    assert report.frames == 105 == len(film(clip).times)
    assert 0 < report.held_frames == 120 - there
    assert_same_frames(whole, clip, 0.5)


def test_nothing_is_made_up_after_the_end(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(SubjectError, match=r"between 3\.500 s and 4\.000 s") as raised:
        cut(truncated(tmp_path), clip, 3.5, 4.0)
    assert raised.value.reason is Reason.UNREADABLE
    assert not clip.exists()


def test_time_limit(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 2)
    with pytest.raises(SubjectError, match="took longer than 0 s") as raised:
        cut(source, clip, 0.0, 2.0, timeout_s=0.0)
    assert raised.value.reason is Reason.TIMED_OUT
    assert not clip.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full stands for a full disk")
def test_full_disk(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 1)
    clip.symlink_to("/dev/full")
    with pytest.raises(OSError, match="free some space") as raised:
        cut(source, clip, 0.0, 1.0)
    assert raised.value.errno == errno.ENOSPC
    assert Path("/dev/full").exists()


def alone_and_together(source: Path, folder: Path, spans: list[tuple[float, float]]) -> tuple[list[bytes], list[bytes]]:
    """Cut each span by itself, then all from one decode pass."""
    made = []
    for footage in (None, Footage(source)):
        clips = []
        for start_s, end_s in spans:
            cut(source, folder / "one.mp4", start_s, end_s, footage=footage)
            clips.append((folder / "one.mp4").read_bytes())
        made.append(clips)
    return made[0], made[1]


@pytest.mark.parametrize(
    ("name", "fps"), [("a.mp4", 30), ("a.mkv", 24000 / 1001), ("a.mov", 10), ("a.ts", 60), ("a.avi", 25)]
)
def test_bytes_do_not_depend_on_the_clips_cut_before(tmp_path: Path, name: str, fps: float) -> None:
    source = moving_video(tmp_path, 14, size=(192, 144), fps=fps, name=name, encoder=X264)
    # next to each other, off the frames' clock, after a gap to read over, after one to seek over, back, to the end
    spans = [(0.0, 1.0), (1.0, 2.517), (2.517, 3.0), (4.0, 4.6), (9.5, 10.5), (8.0, 9.0), (13.0, 14.0)]
    alone, together = alone_and_together(source, tmp_path, spans)
    assert alone == together
    assert len(set(alone)) == len(spans)


def test_a_clip_that_fails_does_not_harm_the_next_one(tmp_path: Path, clip: Path) -> None:
    source = moving_video(tmp_path, 3, size=(192, 144), encoder=X264)
    footage = Footage(source)
    cut(source, clip, 2.0, 2.5)
    expected = clip.read_bytes()
    cut(source, clip, 0.0, 1.0, footage=footage)
    with pytest.raises(SubjectError, match="took longer"):
        cut(source, clip, 1.0, 2.0, timeout_s=0.0, footage=footage)
    with pytest.raises(SubjectError, match="no frame between"):
        cut(source, clip, 7.0, 8.0, footage=footage)
    cut(source, clip, 2.0, 2.5, footage=footage)
    assert clip.read_bytes() == expected
    # and one decode pass it is: the decoder that stands at 2.5 s need not go back for what follows
    cut(source, clip, 2.5, 3.0, footage=footage)
    with pytest.raises(SubjectError, match="no frame between"):
        cut(source, clip, 3.0, 3.5, footage=footage)


def test_damage_on_the_way_changes_no_bytes(tmp_path: Path) -> None:
    source = moving_video(tmp_path, 8, size=(192, 144), encoder=(*X264[:-2], "-g", 30, "-movflags", "+faststart"))
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = b"\x00" * 3000
    source.write_bytes(content)
    alone, together = alone_and_together(source, tmp_path, [(start, start + 1.0) for start in range(7)])
    assert alone == together
