"""CPU of the analysis pass against bare decoding, and against our own steps as passes of their own.

    .venv/bin/python tests/benchmarks/analysis_pass.py           # five alternating runs, some five minutes
    .venv/bin/python tests/benchmarks/analysis_pass.py --runs 1

Bare decoding is `ffmpeg -f null`, user and system seconds of that process; ours are those of this one. The videos are
clips of ../shared/corpus joined to 37 s at 30 frames a second in three sizes (H.264, veryfast, crf 20).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import imageio_ffmpeg
from report import Report

from humannet_ops.media import analysis, sampled_frames
from humannet_ops.media.decode import Frame, Pass, decode
from humannet_ops.media.fingerprints import Fingerprints
from humannet_ops.media.motion import MotionMeter
from humannet_ops.media.picture import PictureMeter
from humannet_ops.media.shots import open_shot_detector
from humannet_ops.settings import REPOSITORY

CORPUS = REPOSITORY.parent / "shared" / "corpus"
CLIPS = (
    "exo/exo_sports2d_jump_walk_vp9.mp4",
    "exo/exo_ntu_single_1080p.avi",
    "ego/ego_hot3d_aria_mosaic_1280x610.mp4",
    "multishot/ms_film_rotated.mp4",
    "exo/exo_balance_cam01_portrait_60fps.mp4",
)
SIZES = {360: 640, 720: 1280, 1080: 1920}
THREADS = 2
FFMPEG = (imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y")


def joined(folder: Path, height: int) -> Path:
    """Write the clips one after the other, fitted into 16:9 of that height."""
    size = f"{SIZES[height]}:{height}"
    fit = f"fps=30,scale={size}:force_original_aspect_ratio=decrease,pad={size}:(ow-iw)/2:(oh-ih)/2,setsar=1"
    parts = [f"[{place}:v]{fit},format=yuv420p[{place}]" for place in range(len(CLIPS))]
    inputs = [argument for clip in CLIPS for argument in ("-i", str(CORPUS / clip))]
    join = "".join(f"[{place}]" for place in range(len(CLIPS))) + f"concat=n={len(CLIPS)}[v]"
    encode = ("-map", "[v]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20")
    target = folder / f"{height}.mp4"
    subprocess.run([*FFMPEG, *inputs, "-filter_complex", ";".join([*parts, join]), *encode, target], check=True)
    return target


def bare(video: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    decode_only = ["-threads", str(THREADS), "-i", str(video), "-map", "0:v:0", "-f", "null", "-"]
    subprocess.run([*FFMPEG, *decode_only], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu(work: Callable[[Path], object], video: Path) -> float:
    started = time.process_time()
    work(video)
    return time.process_time() - started


def one_pass(video: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        analysis.analyse(video, Path(scratch), shot_detector="pyscenedetect", threads=THREADS, timeout_s=1e9)


def frames(video: Path, fps: float = 0.0) -> Iterator[Frame]:
    """Decode, and yield ``fps`` frames a second; all without."""
    step = 1 / fps if fps else 0.0
    due = 0.0
    for frame in decode(video, Pass(), sample_fps=analysis.DETECTION_FPS, threads=THREADS):
        if frame.t_s + 1e-6 >= due:
            due += step
            yield frame


def cuts(video: Path) -> None:
    detector = open_shot_detector("pyscenedetect")
    for frame in frames(video):
        detector.feed(frame)
    detector.cuts()


def motion(video: Path) -> None:
    meter = MotionMeter()
    for frame in frames(video, analysis.SIGNAL_FPS):
        meter.feed(frame.t_s, frame.grey)


def blur(video: Path) -> None:
    meter = PictureMeter()
    for frame in frames(video, analysis.SIGNAL_FPS):
        meter.feed(frame.grey)


def prints(video: Path) -> None:
    maker = Fingerprints()
    for frame in frames(video, analysis.FINGERPRINT_FPS):
        maker.feed(frame.t_s, frame.grey)
    maker.result()


def samples(video: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, sampled_frames.Writer(Path(scratch) / "samples") as writer:
        for frame in frames(video):
            if (sample := frame.sample) is not None:
                writer.add(frame.t_s, frame.index, sample)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    if not CORPUS.exists():
        sys.exit("../shared/corpus is absent: this script measures nothing without it")
    report = Report("analysis_pass", packages=("av", "opencv-python-headless", "scenedetect", "imageio-ffmpeg"))
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        for height in SIZES:
            video = joined(Path(folder), height)
            one_pass(video)  # imports
            decoded, together, apart = [], [], []
            for _ in range(asked.runs):
                decoded.append(bare(video))
                together.append(cpu(one_pass, video))
                apart.append(sum(cpu(step, video) for step in (cuts, motion, blur, prints, samples)))
            at = {"height": height}
            report.add("bare decode", decoded, "s of CPU", at=at)
            report.add("analysis pass", together, "s of CPU", at=at)
            report.add("steps as separate passes", apart, "s of CPU", at=at)
            report.add("pass / bare decode", _ratios(together, decoded), "ratio", at=at, goal=1.5)
            report.add("pass / separate passes", _ratios(together, apart), "ratio", at=at, goal=0.35)
    return report.end()


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
