"""Makes the videos that nobody should be sent, and the rarer kinds that everybody must be able to read.

Everything is made from one real video with the ffmpeg binary of imageio-ffmpeg; ``moving_video`` needs no input at all.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import imageio_ffmpeg

SEED = 2605
SECONDS = 2.5
# small, so that the whole set takes seconds to make and milliseconds to read
_SHORT_SIDE = 180
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "28", "-pix_fmt", "yuv420p", "-threads", "2")
_AAC = ("-c:a", "aac", "-b:a", "64k")


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg; its complaint becomes the error."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ffmpeg {' '.join(map(str, arguments))}: {done.stderr}")


def moving_video(
    folder: Path,
    seconds: float,
    *,
    size: tuple[int, int] = (320, 240),
    fps: float = 30,
    audio: bool = True,
    name: str = "moving.mp4",
    encoder: tuple[object, ...] = (*_H264, "-g", 30),
) -> Path:
    """Make a video in which everything moves and every frame differs (FFmpeg's testsrc2), with a tone."""
    target = folder / name
    width, height = size
    sources = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={fps}:duration={seconds}"]
    if audio:
        sources += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}", *_AAC]
    ffmpeg(*sources, *encoder, target)
    return target


def make_all(folder: Path, real_video: Path) -> dict[str, Path]:
    """Make every broken and every rare video.

    Args:
        folder: Where they go; made if it is missing.
        real_video: Any readable video, of any length and size.

    Returns:
        The path of each by its name. ``loop_folder`` is a folder with a link to its parent in it;
        ``unreadable_permission`` has mode 000, which root reads all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = _short(folder, real_video)
    made = {"good": base}
    made |= _damaged(folder, base)
    made |= _no_videos(folder, base)
    made |= _rare(folder, base)
    made |= _named(folder, base)
    return made


def _short(folder: Path, real_video: Path) -> Path:
    """Give a few seconds of the real video, small, with sound, its index at the front."""
    target = folder / "good.mp4"
    scale = rf"scale=w='if(gt(iw,ih),-2,{_SHORT_SIDE})':h='if(gt(iw,ih),{_SHORT_SIDE},-2)',setsar=1,fps=30"
    ffmpeg(
        "-stream_loop", -1, "-i", real_video, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
        "-map", "0:v:0", "-map", "1:a:0", "-t", SECONDS, "-vf", scale, *_H264, "-g", 30, *_AAC,
        "-movflags", "+faststart", target,
    )  # fmt: skip
    return target


def _damaged(folder: Path, base: Path) -> dict[str, Path]:
    made = {name: folder / f"{name}.mp4" for name in ("zero_bytes", "truncated_half", "truncated_half_faststart")}
    made["zero_bytes"].write_bytes(b"")
    whole = folder / "index_at_the_end.mp4"
    ffmpeg("-i", base, "-c", "copy", whole)
    content = whole.read_bytes()
    made["truncated_half"].write_bytes(content[: len(content) // 2])
    whole.unlink()
    content = base.read_bytes()
    made["truncated_half_faststart"].write_bytes(content[: len(content) // 2])
    made["corrupt_tail"] = folder / "corrupt_tail.mp4"
    good = len(content) * 7 // 10
    noise = random.Random(SEED).randbytes(len(content) - good)
    made["corrupt_tail"].write_bytes(content[:good] + noise)
    return made


def _no_videos(folder: Path, base: Path) -> dict[str, Path]:
    made = {
        "text": folder / "text.mp4",
        "audio_only": folder / "audio_only.mp4",
        "image_jpg": folder / "image.jpg",
        "image_named_mp4": folder / "image.mp4",
        "one_frame": folder / "one_frame.mp4",
    }
    made["text"].write_text("This is no video, whatever its name says.\n" * 100)
    ffmpeg("-i", base, "-vn", "-c:a", "copy", made["audio_only"])
    ffmpeg("-i", base, "-frames:v", 1, "-update", 1, made["image_jpg"])
    shutil.copyfile(made["image_jpg"], made["image_named_mp4"])
    ffmpeg("-i", base, "-an", "-frames:v", 1, *_H264, made["one_frame"])
    return made


def _rare(folder: Path, base: Path) -> dict[str, Path]:
    # name: suffix, output options
    recipes: dict[str, tuple[str, tuple[object, ...]]] = {
        "uhd_8k": (".mp4", ("-an", "-frames:v", 5, "-vf", "scale=7680:4320,setsar=1", *_H264)),
        "ten_bit": (".mp4", (*_H264, "-pix_fmt", "yuv420p10le")),
        # frames 30 to 44 are left out, and after them every second
        "variable_frame_rate": (
            ".mp4",
            ("-vf", "select='lt(n,30)+gte(n,45)*not(mod(n,2))'", "-fps_mode", "vfr", *_H264),
        ),
        "anamorphic": (".mp4", ("-vf", "setsar=4/3", *_H264)),
        "hevc": (".mov", ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=2")),
        "vp8": (".webm", ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "300k")),
        "vp9": (".webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8, "-b:v", "300k")),
        "mpeg4": (".avi", ("-c:v", "mpeg4", "-q:v", 6, "-c:a", "libmp3lame")),
        "too_short": (".mp4", ("-t", 0.5, *_H264)),
    }
    made = {}
    for name, (suffix, options) in recipes.items():
        made[name] = folder / f"{name}{suffix}"
        ffmpeg("-i", base, *options, made[name])
    made["rotated"] = folder / "rotated.mp4"
    ffmpeg("-display_rotation", 90, "-i", base, "-c", "copy", made["rotated"])
    return made


def _named(folder: Path, base: Path) -> dict[str, Path]:
    made = {
        "unicode_name": folder / "Küche 台所 🍳.mp4",
        "newline_name": folder / "two\nlines.mp4",
        "unreadable_permission": folder / "unreadable_permission.mp4",
    }
    for path in made.values():
        path.unlink(missing_ok=True)
        shutil.copyfile(base, path)
    made["unreadable_permission"].chmod(0)
    made["loop_link"] = folder / "loop_link.mp4"
    made["loop_link"].unlink(missing_ok=True)
    made["loop_link"].symlink_to(made["loop_link"].name)
    made["loop_folder"] = folder / "loop_folder"
    made["loop_folder"].mkdir(exist_ok=True)
    (made["loop_folder"] / "up").unlink(missing_ok=True)
    (made["loop_folder"] / "up").symlink_to(folder, target_is_directory=True)
    return made
