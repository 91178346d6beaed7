"""Measure what curating video costs, against the tools that people use for it, as ratios in alternating runs.

    make bench
    .venv/bin/python tests/benchmarks/peers.py --seconds 10 --clips 4 --repeat 1 --only shots split     # to try it

Needs the peers' virtual environments (``make benchmark-peers``); Data-Juicer also asks ffprobe, which no package of the
index carries (``apt install ffmpeg``). The clips are cut from real videos: those of
../shared/corpus where that is, else those that ship inside packages. Every side is a child process, so all pay for
their imports, works on two cores, and encodes with libx264 veryfast crf 22. Each repetition runs every side once, in
turn: what else the machine does falls on all of them.

The clips that each side writes are decoded and counted: every frame of the source must be in exactly one of ours.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
from imageio_ffmpeg import get_ffmpeg_exe, get_ffmpeg_version
from report import Report

from humannet_ops.settings import REPOSITORY, settings

HERE = Path(__file__).with_name("peers")
CORPUS = REPOSITORY.parent / "shared" / "corpus"
SAMPLES = settings().home / "packages" / "samples"
PEERS = settings().home / "benchmarks" / "venvs"
PACKAGES = {"scenedetect": "scenedetect", "video2dataset": "video2dataset", "datajuicer": "py-data-juicer"}
FPS, SIZE = 30, "1280x720"
ENCODER = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "22")
NEARLY_LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10")
# Longer than any run took on a busy two-core machine.
TIMEOUT_S = 3600

# Of Linux' prctl: processes whose parent ended become this one's children.
PR_SET_CHILD_SUBREAPER = 36

Commands = Callable[[list[Path], Path], Iterator[list[str]]]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a side took: wall seconds, and CPU seconds of the processes that it started and waited for."""

    wall_s: float
    cpu_s: float


def ours(step: str) -> Commands:
    """Return the command of one of our steps."""

    def commands(clips: list[Path], output: Path) -> Iterator[list[str]]:
        yield [sys.executable, str(HERE / "ours.py"), step, str(output), *map(str, clips)]

    return commands


def peer(name: str, script: str, *arguments: str) -> Commands:
    """Return the command of a peer that takes all files at once."""

    def commands(clips: list[Path], output: Path) -> Iterator[list[str]]:
        yield [str(PEERS / name / "bin" / "python"), str(HERE / script), *arguments, str(output), *map(str, clips)]

    return commands


def scenedetect(*split: str) -> Commands:
    """Return PySceneDetect's command line, which takes one file at a time."""

    def commands(clips: list[Path], output: Path) -> Iterator[list[str]]:
        program = str(PEERS / "scenedetect" / "bin" / "scenedetect")
        for clip in clips:
            yield [program, "-q", "-i", str(clip), "-o", str(output), "detect-content", *split]

    return commands


def bare_decode(clips: list[Path], output: Path) -> Iterator[list[str]]:
    """Decode and throw away: no analysis can cost less."""
    for clip in clips:
        yield ["ffmpeg", "-loglevel", "error", "-threads", "2", "-i", str(clip), "-an", "-f", "null", "-"]


def bare_encode(clips: list[Path], output: Path) -> Iterator[list[str]]:
    """Decode and encode every file whole: nothing that encodes everything can cost less."""
    for clip in clips:
        yield ["ffmpeg", "-loglevel", "error", "-i", str(clip), "-an", *ENCODER, str(output / clip.name)]


SIDES: dict[str, Commands] = {
    "our shots": ours("shots"),
    "our analysis": ours("analyse"),
    "our steps apart": ours("separate"),
    "our split": ours("split"),
    "our split, all encoded": ours("split-all"),
    "our curation": ours("curate"),
    "our curation, all encoded": ours("curate-all"),
    "ffmpeg encode": bare_encode,
    "ffmpeg decode": bare_decode,
    "PySceneDetect shots": scenedetect(),
    "PySceneDetect split": scenedetect("split-video", "-a", " ".join(ENCODER)),
    "video2dataset": peer("video2dataset", "video2dataset_clips.py"),
    "Data-Juicer": peer("datajuicer", "data_juicer_chain.py", "default"),
    "Data-Juicer, small motion": peer("datajuicer", "data_juicer_chain.py", "small"),
}
# what --only takes: our side, the other side, and the goal of our share in its cost (issue 6); None: for comparison
COMPARED: dict[str, list[tuple[str, str, float | None]]] = {
    "shots": [
        ("our shots", "PySceneDetect shots", 0.5),
        ("ffmpeg decode", "PySceneDetect shots", None),
    ],
    "split": [
        ("our split", "PySceneDetect split", 0.5),
        ("our split, all encoded", "PySceneDetect split", 0.5),
        ("ffmpeg encode", "PySceneDetect split", None),
    ],
    "video2dataset": [
        ("our split", "video2dataset", 0.25),
        ("our split, all encoded", "video2dataset", 0.25),
        ("ffmpeg encode", "video2dataset", None),
    ],
    "curate": [
        ("our curation", "Data-Juicer", 0.1),
        ("our curation, all encoded", "Data-Juicer", 0.1),
        ("our curation", "Data-Juicer, small motion", None),
        ("ffmpeg encode", "Data-Juicer", None),
    ],
    "apart": [("our analysis", "our steps apart", 0.35)],
    "limit": [("our analysis", "ffmpeg decode", 1.5)],
}
# whose clips are counted
CHECKED = (
    "our split",
    "our split, all encoded",
    "our curation",
    "our curation, all encoded",
    "PySceneDetect split",
    "video2dataset",
    "Data-Juicer",
    "Data-Juicer, small motion",
)


def origins() -> list[Path]:
    """Return the real videos that clips are cut from, those that have people and cuts first."""
    if (CORPUS / "MANIFEST.tsv").exists():
        with (CORPUS / "MANIFEST.tsv").open(newline="") as lines:
            names = [row["file"] for row in csv.DictReader(lines, delimiter="\t")]
        kinds = ("multishot/", "exo/", "ego/")
        by_kind = [[CORPUS / name for name in names if name.startswith(kind)] for kind in kinds]
        return [path for row in itertools.zip_longest(*by_kind) for path in row if path is not None]
    found = sorted(path for path in SAMPLES.rglob("*") if path.suffix in (".mp4", ".mov", ".avi"))
    if not found:
        sys.exit(f"{SAMPLES} has no videos: run `make samples`")
    return found


def make_clips(number: int, seconds: int, folder: Path) -> list[Path]:
    """Encode clips of one length, size and rate; where a video is too short, the next one goes on after a cut."""
    paths = itertools.cycle(origins())
    # one kind of picture: where it changes on the way, the filters begin to count anew and frames get lost
    scale = f"scale={SIZE.replace('x', ':')}:out_range=tv,setsar=1,fps={FPS},format=yuv420p"
    clips = []
    for place in range(number):
        clips.append(folder / f"clip{place}.mp4")
        parts: list[Path] = []
        missing = seconds * FPS
        while missing > 0:
            parts.append(folder / f"part{len(parts)}.mp4")
            ffmpeg(
                "-i", str(next(paths)), "-t", str(seconds / 2), "-vf", scale, "-an", *NEARLY_LOSSLESS, str(parts[-1])
            )
            missing -= _frames(parts[-1])
        inputs = [argument for part in parts for argument in ("-i", str(part))]
        joined = ("-filter_complex", f"concat=n={len(parts)},setpts=N/{FPS}/TB[v]", "-map", "[v]", "-r", str(FPS))
        ffmpeg(*inputs, *joined, "-frames:v", str(seconds * FPS), *ENCODER, str(clips[-1]))
        if (made := _frames(clips[-1])) != seconds * FPS:
            sys.exit(f"{clips[-1].name} has {made} frames, not {seconds * FPS}")
    return clips


@contextmanager
def one_ffmpeg() -> Iterator[None]:
    """Let every program that calls ffmpeg call the same one."""
    path = os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="humannet-ffmpeg-") as folder:
        (Path(folder) / "ffmpeg").symlink_to(get_ffmpeg_exe())
        os.environ["PATH"] = f"{folder}:{path}"
        yield
    os.environ["PATH"] = path


def ffmpeg(*arguments: str) -> None:
    """Call ffmpeg to write a file."""
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", *arguments], check=True)


def require(names: list[str]) -> None:
    """End with the cure where a peer could not work: Data-Juicer drops what it cannot probe and ends well."""
    if "curate" in names and shutil.which("ffprobe") is None:
        sys.exit("Data-Juicer asks ffprobe, which is not here: `apt install ffmpeg`, or leave it out with --only.")


def _frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def run(side: str, clips: list[Path], output: Path) -> Cost:
    """Run a side over all clips.

    Raises:
        SystemExit: it failed; a benchmark of a run that did nothing would be wrong.
    """
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    log = output / "log.txt"
    for command in SIDES[side](clips, output):
        with log.open("ab") as file:
            ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, check=False)
        if ended.returncode:
            sys.exit(f"{side} ended with status {ended.returncode}: {' '.join(command)}\n{log.read_text()[-3000:]}")
    wall_s = time.perf_counter() - start
    # Data-Juicer's fork server outlives it: such orphans become ours, and count when they were waited for
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def check(report: Report, side: str, output: Path, promised: int) -> bool:
    """Count the clips that a side wrote and their frames; say whether every frame of the source is in one."""
    written = list(output.rglob("*.mp4"))
    frames = sum(_frames(path) for path in written)
    report.add("clips written", [len(written)], "clips", at={"by": side})
    report.add("frames written", [frames], f"of {promised}", at={"by": side})
    if frames < promised and not side.startswith("our"):
        print(f"  {side} lost {promised - frames} frames; if it worked less for it, our ratio is the worse", flush=True)
    if side.startswith("Data-Juicer") and not written:
        sys.exit(
            f"{side} wrote nothing, so there is nothing to compare with:\n{(output / 'log.txt').read_text()[-3000:]}"
        )
    return bool(written) and frames == promised


def measure(names: list[str], clips: list[Path], repeat: int) -> int:
    """Run and compare; return the exit status."""
    versions = {"ffmpeg": get_ffmpeg_version(), **dict(_peer_versions())}
    report = Report("peers", ["av", "opencv-python-headless", "scenedetect"], versions)
    sides = list(dict.fromkeys(side for name in names for ours, theirs, _ in COMPARED[name] for side in (ours, theirs)))
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    exact = True
    for number in range(repeat):
        for side in sides:
            with tempfile.TemporaryDirectory(prefix="humannet-peers-") as folder:
                cost = run(side, clips, Path(folder))
                costs[side].append(cost)
                print(f"  {number + 1}/{repeat} {side}: {cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s", flush=True)
                if side in CHECKED and not number:
                    whole = check(report, side, Path(folder), sum(_frames(clip) for clip in clips))
                    exact &= whole or not side.startswith("our")
    for side, runs in costs.items():
        report.add("wall", [cost.wall_s for cost in runs], "s", at={"by": side})
        report.add("CPU", [cost.cpu_s for cost in runs], "s", at={"by": side})
    for mine, theirs, goal in (pair for name in names for pair in COMPARED[name]):
        pairs = list(zip(costs[mine], costs[theirs], strict=True))
        name = f"{mine} / {theirs}"
        # against a decode by all cores only CPU seconds say anything
        if theirs != "ffmpeg decode":
            report.add(f"{name}, wall", [a.wall_s / b.wall_s for a, b in pairs], "ratio", goal=goal)
        report.add(f"{name}, CPU", [a.cpu_s / b.cpu_s for a, b in pairs], "ratio", goal=goal)
    status = report.end()
    if not exact:
        print("MISSED: a frame of the source is in none of our clips, or in two")
    return status or int(not exact)


def _peer_versions() -> Iterator[tuple[str, str]]:
    for name, package in (
        ("scenedetect", "scenedetect"),
        ("video2dataset", "video2dataset"),
        ("datajuicer", "py-data-juicer"),
    ):
        python = PEERS / name / "bin" / "python"
        if python.exists():
            ask = f"from importlib.metadata import version; print(version({package!r}))"
            yield f"peer {package}", subprocess.check_output([python, "-c", ask], text=True).strip()


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=30, help="of each clip")
    parser.add_argument("--repeat", type=int, default=5, help="runs of every side")
    parser.add_argument("--only", nargs="+", choices=COMPARED, default=list(COMPARED), help="what is compared")
    given = parser.parse_args()
    require(given.only)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("prctl failed: CPU seconds cannot be counted whole on this system")
    with tempfile.TemporaryDirectory(prefix="humannet-clips-") as folder, one_ffmpeg():
        clips = make_clips(given.clips, given.seconds, Path(folder))
        print(
            f"{given.clips} clips of {given.seconds} s, {SIZE}, {FPS} fps; {given.repeat} runs of every side",
            flush=True,
        )
        sys.exit(measure(given.only, clips, given.repeat))


if __name__ == "__main__":
    main()
