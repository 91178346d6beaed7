"""Split a video at its cuts and encode all of it: ours against `scenedetect detect-content split-video`.

    .venv/bin/python -m tests.benchmarks.split_and_encode            # three alternating runs, some ten minutes
    .venv/bin/python -m tests.benchmarks.split_and_encode --height 360 --runs 1

Both use libx264 veryfast at crf 22. Ours is the analysis pass, then every shot in pieces of ten seconds, as the stages
cut them; clips and frames are counted in the files that came out.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg

from humannet_ops.domain.outcome import Outcome
from humannet_ops.domain.records import Artifact, ClipSpan, ClipSubject, VideoSubject
from humannet_ops.media.container import open_video
from humannet_ops.settings import settings
from humannet_ops.stages.analyse import Analyse
from humannet_ops.stages.cut import FPS, Cut
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore
from tests.benchmarks.analysis_pass import SIZES, joined
from tests.benchmarks.report import Report


def ours(video: Path, folder: Path) -> None:
    """Analyse and cut, by the stages' own classes; in a process of its own, as the other is."""
    subprocess.run([sys.executable, "-m", "tests.benchmarks.split_and_encode", "--ours", video, folder], check=True)


def run_stages(video: Path, folder: Path) -> None:
    scratch = folder / "work" / "scratch"
    scratch.mkdir(parents=True)
    context = Context(settings(), FolderStore(folder / "store"), None, scratch)
    stored = context.store.put(video, kind="video", suffix=".mp4", media_type="video/mp4")
    subject = VideoSubject("video", "benchmark", video.as_uri(), inputs={"video": stored})
    spans = [span for span in Analyse(context).process(subject).records if isinstance(span, ClipSpan)]
    clips = [
        ClipSubject(f"{s.start_frame}", subject, s.shot, s.start_frame, s.end_frame, s.start_s, s.end_s) for s in spans
    ]
    stage, frames = Cut(context), 0
    with stage.ahead(clips):
        for clip in clips:
            result = stage.process(clip)
            assert result.outcome is Outcome.KEPT
            made = next(artifact for artifact in result.artifacts if isinstance(artifact, Artifact))
            with context.store.local(made.uri) as path:
                frames += count_frames(path)
    expected = sum(round((clip.end_s - clip.start_s) * FPS) for clip in clips)
    assert frames == expected, f"{frames} frames in {len(clips)} clips, {expected} were asked for"


def count_frames(path: Path) -> int:
    with open_video(path) as (container, stream):
        return sum(1 for packet in container.demux(stream) if packet.size)


def scenedetect(video: Path, folder: Path) -> None:
    arguments = ["detect-content", "split-video", "--preset", "veryfast", "--rate-factor", "22"]
    program = Path(sys.executable).with_name("scenedetect")
    binaries = folder / "bin"
    binaries.mkdir()
    (binaries / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    found = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([program, "-q", "-i", video, "-o", folder, *arguments], check=True, env=found, capture_output=True)
    assert list(folder.glob("*.mp4")), "scenedetect wrote no clip"


def spent(work: Callable[[Path, Path], None], video: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of a program."""
    with tempfile.TemporaryDirectory() as folder:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        work(video, Path(folder))
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--height", type=int, choices=SIZES, default=720)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ours", type=Path, nargs=2, metavar=("VIDEO", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ours:
        run_stages(*asked.ours)
        return 0
    report = Report("split_and_encode", packages=("av", "scenedetect", "imageio-ffmpeg"))
    with tempfile.TemporaryDirectory() as folder:
        video = joined(Path(folder), asked.height)
        runs = [(spent(ours, video), spent(scenedetect, video)) for _ in range(asked.runs)]
    at = {"height": asked.height}
    for place, what in enumerate(("wall", "CPU")):
        mine, theirs = [run[0][place] for run in runs], [run[1][place] for run in runs]
        report.add(f"HumanNet Ops, {what}", mine, "s", at=at)
        report.add(f"scenedetect, {what}", theirs, "s", at=at)
        shares = [one / other for one, other in zip(mine, theirs, strict=True)]
        report.add(f"{what}, ours / scenedetect", shares, "ratio", at=at, goal=0.5)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
