"""Runs the real stages, without catalog and Airflow, over ../shared/corpus and compares with its MANIFEST.tsv.

    .venv/bin/python -m tests.benchmarks.corpus_truth [--videos] [NAME ...]

Prints what the project promises of its decisions, with counts; ``--videos`` also what became of every clip. The folder
says what a video is: people (``ego``, ``exo``) or not (``nonhuman``); ``multishot`` is for cuts alone. Near-duplicates
have their own script. It is no test: it takes minutes, and the corpus is not part of the repository.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from humannet_ops.detectors.lock import load_lock
from humannet_ops.domain.identifiers import clip_id, video_id
from humannet_ops.domain.outcome import Outcome, SubjectError
from humannet_ops.domain.records import ClipSpan, ClipSubject, Result, VideoFile, VideoSubject, kept
from humannet_ops.media.probe import probe
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages.analyse import Analyse
from humannet_ops.stages.decide import Decide
from humannet_ops.stages.detect import Detect
from humannet_ops.stages.protocol import Context
from humannet_ops.storage import FolderStore

CORPUS = REPOSITORY.parent / "shared" / "corpus"
CUT_TOLERANCE = 2  # frames


@dataclass
class Video:
    """One video and what the stages made of it."""

    name: str
    kind: str
    cuts: list[int] | None
    clips: list[tuple[ClipSpan, Result]] = field(default_factory=list)
    error: str = ""
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> list[Result]:
        return [result for _, result in self.clips if result.outcome is Outcome.KEPT]

    @property
    def found_cuts(self) -> list[int]:
        first_of_shot: dict[int, int] = {}
        for span, _ in self.clips:
            first_of_shot.setdefault(span.shot, span.start_frame)
        return sorted(first_of_shot.values())[1:]


def listed_cuts(text: str) -> list[int] | None:
    """Read ``5 (29,75,...)``, frames before or after a cut; ``0`` is none; anything else is not known."""
    if text.strip() == "0":
        return []
    listed = re.fullmatch(r"\d+ \(([\d,/]+)[^)]*\)", text.strip())
    return [int(cut.split("/")[-1]) for cut in listed[1].split(",")] if listed else None


def manifest() -> Iterator[Video]:
    with (CORPUS / "MANIFEST.tsv").open(newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            yield Video(row["file"], row["file"].split("/")[0], listed_cuts(row["real_cuts"]))


def run(videos: list[Video], scratch: Path) -> None:
    """Analyse, detect, decide: the stages' own classes, one after the other for each video, after what fetch does."""
    work = scratch / "work"
    context = Context(settings(), FolderStore(scratch / "store"), load_lock(settings().models), work)
    stages = {stage.__name__.lower(): stage(context) for stage in (Analyse, Detect, Decide)}
    for video in videos:
        path = CORPUS / video.name
        subject = VideoSubject(video_id("corpus", path.as_uri(), 1), "corpus", path.as_uri())
        try:
            spans: list[ClipSpan] = []
            subject = with_results(subject, fetched(path, context))
            for name in ("analyse", "detect"):
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                started = time.perf_counter()
                result = stages[name].process(subject)
                video.seconds[name] = time.perf_counter() - started
                if result.outcome is not Outcome.KEPT:
                    raise SubjectError(result.reason, f"{name}: {result.reason}")
                subject = with_results(subject, result)
                spans += [record for record in result.records if isinstance(record, ClipSpan)]
        except SubjectError as error:
            video.error = f"{error.reason}: {error}"
            continue
        for span in spans:
            clip = ClipSubject(
                clip_id(subject.video_id, span.start_frame, span.end_frame), subject, span.shot,
                span.start_frame, span.end_frame, span.start_s, span.end_s,
            )  # fmt: skip
            video.clips.append((span, stages["decide"].process(clip)))
        print(f"  {video.name}: {summary(video)}", file=sys.stderr)


def fetched(path: Path, context: Context) -> Result:
    """Probe and store a file, as fetch does; who may fetch what is the catalog's to say, and there is none here."""
    artifact = context.store.put(path, kind="video", suffix=path.suffix, media_type="video/mp4")
    probed = probe(path, max_pixels=context.config.max_pixels)
    return kept(artifacts=(artifact,), records=(replace(probed, sha256=artifact.sha256),))


def with_results(subject: VideoSubject, result: Result) -> VideoSubject:
    """Give the next stage what the catalog would give it."""
    subject = replace(subject, inputs={**subject.inputs, **{artifact.kind: artifact for artifact in result.artifacts}})
    for record in result.records:
        if isinstance(record, VideoFile):
            subject = replace(
                subject, sha256=record.sha256, width=record.width, height=record.height, fps=record.fps,
                duration_s=record.duration_s,
            )  # fmt: skip
    return subject


def summary(video: Video) -> str:
    if video.error:
        return video.error
    counts = Counter(
        result.reason.value if result.reason else f"kept ({result.detail['viewpoint']})" for _, result in video.clips
    )
    return ", ".join(f"{number} {what}" for what, number in counts.most_common())


def shot_counts(videos: list[Video]) -> tuple[int, int, int]:
    """Return cuts found and listed, found and not listed, listed and not found."""
    hits = extra = missed = 0
    for video in videos:
        free = list(video.found_cuts)
        for cut in video.cuts or ():
            near = [found for found in free if abs(found - cut) <= CUT_TOLERANCE]
            if near:
                free.remove(near[0])
            hits, missed = hits + bool(near), missed + (not near)
        extra += len(free)
    return hits, extra, missed


def report(videos: list[Video]) -> Table:
    of_kind: dict[str, list[Video]] = defaultdict(list)
    for video in videos:
        of_kind[video.kind].append(video)
    people, others = of_kind["ego"] + of_kind["exo"], of_kind["nonhuman"]
    seen = [v for v in people if any(r.reason is None or r.reason.value != "no_person" for _, r in v.clips)]
    views = [result.detail["viewpoint"] == video.kind for video in people for result in video.kept]
    hits, extra, missed = shot_counts([v for v in of_kind["multishot"] if v.cuts is not None])
    table = Table("what", "measured", "counts", "asked", title="The decisions, on ../shared/corpus")
    lines = [
        ("person videos with a clip not refused as no_person", len(seen), len(people), 0.95),
        ("person videos with a clip kept", sum(bool(v.kept) for v in people), len(people), 0.80),
        ("non-human videos that keep no clip", sum(not v.kept for v in others), len(others), 0.90),
        ("viewpoint of kept clips of person videos", sum(views), len(views), 0.90),
    ]
    for what, good, total, asked in lines:
        table.add_row(what, f"{good / total:.3f}" if total else "-", f"{good} of {total}", f">= {asked:.2f}")
    f1 = 2 * hits / (2 * hits + extra + missed) if hits else 0.0
    table.add_row(
        "shot boundaries, F1 on multishot with listed cuts", f"{f1:.3f}",
        f"{hits} found, {extra} too many, {missed} missed", ">= 0.95",
    )  # fmt: skip
    return table


def every_clip(videos: list[Video]) -> Table:
    table = Table("video", "shot", "seconds", "outcome", "view", "human", "pixels", "first failed check")
    for video in videos:
        if video.error:
            table.add_row(video.name, "", "", video.error)
        for span, result in video.clips:
            bad = next((check for check in result.detail["checks"] if not check["passed"]), None)
            table.add_row(
                video.name, str(span.shot), f"{span.end_s - span.start_s:.1f}", result.reason or "kept",
                result.detail["viewpoint"] or "", f"{result.scores['human_share']:.2f}",
                f"{result.scores['human_size_px']:.0f}",
                f"{bad['name']} {bad['value']:.3g} against {bad['threshold']:g}" if bad else "",
            )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="only videos whose name contains one of these")
    parser.add_argument("--videos", action="store_true", help="also print every clip")
    asked = parser.parse_args()
    if not CORPUS.exists():
        sys.exit("../shared/corpus is absent: this script measures nothing without it")
    videos = [v for v in manifest() if not asked.names or any(name in v.name for name in asked.names)]
    with tempfile.TemporaryDirectory(prefix="humannet-corpus-") as scratch:
        run(videos, Path(scratch))
    console = Console(width=None if sys.stdout.isatty() else 160)
    if asked.videos:
        console.print(every_clip(videos))
    console.print(report(videos))
    seconds: Counter[str] = sum((video.seconds for video in videos), Counter())
    console.print(", ".join(f"{stage} {spent:.0f} s" for stage, spent in seconds.items()))


if __name__ == "__main__":
    main()
