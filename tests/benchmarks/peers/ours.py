"""Our side of tests/benchmarks/peers.py: one step over some files, in a process of its own, as a peer has one.

python ours.py shots|analyse|separate|split|split-all|curate|curate-all OUTPUT FILE...

Two files are worked on at a time, as two tasks of a worker would; ``-all`` encodes clips that cut would copy, too.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2

from humannet_ops.media import analysis, encode
from humannet_ops.media.decode import Frame, Pass, decode
from humannet_ops.media.fingerprints import Fingerprints
from humannet_ops.media.motion import MotionMeter
from humannet_ops.media.picture import PictureMeter
from humannet_ops.media.sampled_frames import Writer
from humannet_ops.media.shots import Shot, open_shot_detector, shots

FILES, TIMEOUT_S = 2, 3600.0


def find_shots(path: Path, folder: Path) -> list[Shot]:
    """Find shots, in a decode pass that does nothing else."""
    report, detector, times = Pass(), open_shot_detector("pyscenedetect"), array("d")
    for frame in decode(path, report, sample_fps=1e-9, threads=1, timeout_s=TIMEOUT_S):
        times.append(frame.t_s)
        detector.feed(frame)
    return shots(detector.cuts(), times, report.end_s)


def measure_together(path: Path, folder: Path) -> list[Shot]:
    """Do the analysis pass: shots, motion, blur, exposure, fingerprints and the frames that people are sought on."""
    scratch = folder / path.stem
    scratch.mkdir()
    return analysis.analyse(path, scratch, shot_detector="pyscenedetect", threads=1, timeout_s=TIMEOUT_S).shots


def measure_apart(path: Path, folder: Path) -> list[Shot]:
    """Measure the same, each thing in a decode pass of its own: what tools do that are run one after the other."""
    found = find_shots(path, folder)
    motion, picture, prints = MotionMeter(), PictureMeter(), Fingerprints()
    _sampled(path, analysis.SIGNAL_FPS, lambda frame: motion.feed(frame.t_s, frame.grey))
    _sampled(path, analysis.SIGNAL_FPS, lambda frame: picture.feed(frame.grey))
    _sampled(path, analysis.FINGERPRINT_FPS, lambda frame: prints.feed(frame.t_s, frame.grey))
    prints.result()
    with Writer(folder / f"{path.stem}.parquet") as sampled:
        for frame in decode(path, Pass(), sample_fps=analysis.DETECTION_FPS, threads=1, timeout_s=TIMEOUT_S):
            if (sample := frame.sample) is not None:
                sampled.add(frame.t_s, frame.index, sample)
    return found


def _sampled(path: Path, fps: float, look: Callable[[Frame], object]) -> None:
    due = 0.0
    for frame in decode(path, Pass(), sample_fps=1e-9, threads=1, timeout_s=TIMEOUT_S):
        if frame.t_s + 1e-6 >= due:
            look(frame)
            due += 1 / fps


def split(path: Path, folder: Path, may_copy: bool) -> list[Shot]:
    """Find shots and cut each."""
    return _cut(path, folder, find_shots(path, folder), may_copy)


def curate(path: Path, folder: Path, may_copy: bool) -> list[Shot]:
    """Analyse and cut, as the stages of these names do."""
    return _cut(path, folder, measure_together(path, folder), may_copy)


def _cut(path: Path, folder: Path, found: list[Shot], may_copy: bool) -> list[Shot]:
    """Cut each shot, out of one decode pass. libx264 runs in one thread, so that its bytes can be reproduced."""
    footage = encode.Footage(path)
    for number, shot in enumerate(found):
        target = folder / f"{path.stem}-{number:03}.mp4"
        encode.cut(path, target, shot.start_s, shot.end_s, footage=footage, may_copy=may_copy)
    footage.close()
    return found


STEPS = {
    "shots": find_shots,
    "analyse": measure_together,
    "separate": measure_apart,
    "split": partial(split, may_copy=True),
    "split-all": partial(split, may_copy=False),
    "curate": partial(curate, may_copy=True),
    "curate-all": partial(curate, may_copy=False),
}

if __name__ == "__main__":
    step, output, paths = STEPS[sys.argv[1]], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]]
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(FILES) as pool:
        for path, found in zip(paths, pool.map(lambda path: step(path, output), paths), strict=True):
            print(path.name, len(found))
