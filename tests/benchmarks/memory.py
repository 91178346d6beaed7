"""Peak memory of analysing a 1080p video of 3, 30 and 180 minutes: it must not grow with the length.

    .venv/bin/python tests/benchmarks/memory.py               # some 20 minutes on two cores
    .venv/bin/python tests/benchmarks/memory.py --minutes 3 30  # some 3 minutes

Each video is a short clip over and over, packets copied, and is analysed in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
from report import Report

# Ten frames a second: memory depends on how many frames there are, and this many take minutes instead of an hour.
CLIP = ("-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=10:duration=12", "-c:v", "libx264", "-preset", "ultrafast")
CHILD = """
import resource, sys
from pathlib import Path
from humannet_ops.media.analysis import analyse
analyse(Path(sys.argv[1]), Path(sys.argv[2]), shot_detector="pyscenedetect", threads=2, timeout_s=1e9)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
# of the longest against the shortest: times, fingerprints and signals are kept until the end, 2 MB an hour
GOAL = 1.2


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def peak_mib(video: Path, scratch: Path) -> float:
    """Analyse a video in a process of its own and return what memory that had at most."""
    done = subprocess.run([sys.executable, "-c", CHILD, video, scratch], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[3, 30, 180])
    parser.add_argument("--clip", type=Path, help="any clip in place of the generated one")
    asked = parser.parse_args()
    report = Report("memory", packages=("av", "opencv-python-headless"))
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        clip = asked.clip or scratch / "clip.mp4"
        if not asked.clip:
            ffmpeg(*CLIP, clip)
        for minutes in asked.minutes:
            video = scratch / "video.mkv"
            ffmpeg("-stream_loop", "-1", "-i", clip, "-map", "0:v:0", "-c", "copy", "-t", str(60 * minutes), video)
            peaks.append(peak_mib(video, scratch))
            report.add("peak memory of analyse", [peaks[-1]], "MiB", at={"minutes": minutes})
    report.add("peak memory, longest to shortest", [peaks[-1] / peaks[0]], "ratio", goal=GOAL)
    return report.end(axis="minutes")


if __name__ == "__main__":
    sys.exit(main())
