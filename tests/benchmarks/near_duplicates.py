"""Measure near-duplicate detection: edit every video of a folder, fingerprint all, and see who finds whom.

    .venv/bin/python tests/benchmarks/near_duplicates.py                       # the shared corpus, about 10 minutes
    .venv/bin/python tests/benchmarks/near_duplicates.py --videos some/folder  # any other videos

Prints the recall of the confirmation and of the candidate search for every edit, and every pair that is merged though
it is not a copy: two different videos, an edit of one with another one, and the first with the last 45 % of one video
(the same place at another moment; of a video that hardly changes these cannot be told apart).

Two numbers have goals, over the eight edits of EIGHT: recall, and the share of pairs of different videos that merge. A
video of blank pictures has no fingerprint: it is left out of the recall, which is also printed with it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import comb
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from report import Report

from humannet_ops.catalog.duplicates import MAX_CANDIDATES, MAX_PROBES, search_flips, search_keys, search_width
from humannet_ops.domain.records import Fingerprint
from humannet_ops.media.decode import Pass, decode
from humannet_ops.media.fingerprints import SEARCH_RADIUS_BITS, Fingerprints, confirm
from humannet_ops.settings import REPOSITORY

CORPUS = REPOSITORY.parent / "shared" / "corpus"
SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm"}
# Copies are made no larger than this (short side): the fingerprint sees 256 pixels anyway.
EDIT_SIDE = 360
ENCODE = ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-crf", "26", "-pix_fmt", "yuv420p"]
CRF32 = ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-crf", "32", "-pix_fmt", "yuv420p"]
# what the edits are made from: the picture at that size, all but lossless
BASE = ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-qp", "6", "-pix_fmt", "yuv420p"]
EVEN = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
FIT = f"scale='if(gt(iw,ih),-2,min({EDIT_SIDE},iw))':'if(gt(iw,ih),min({EDIT_SIDE},ih),-2)',setsar=1,{EVEN}"
LOGO = (
    "drawbox=x=iw*0.80:y=ih*0.05:w=iw*0.15:h=ih*0.12:color=white:t=fill,"
    "drawbox=x=iw*0.83:y=ih*0.08:w=iw*0.09:h=ih*0.06:color=red:t=fill"
)
# edit -> (filter, start and end as fractions of the duration, output options)
EDITS: dict[str, tuple[str, float, float, list[str]]] = {
    "reencode_crf32": ("null", 0, 1, CRF32),
    "rescale_240p": ("scale='if(gt(iw,ih),-2,240)':'if(gt(iw,ih),240,-2)'", 0, 1, ENCODE),
    "letterbox": ("pad=iw:trunc(ih*1.34/2)*2:0:(oh-ih)/2", 0, 1, ENCODE),
    "pillarbox": ("pad=trunc(iw*1.34/2)*2:ih:(ow-iw)/2:0", 0, 1, ENCODE),
    "mirror": ("hflip", 0, 1, ENCODE),
    "logo": (LOGO, 0, 1, ENCODE),
    "crop_10": (f"crop=iw*0.9:ih*0.9,{EVEN}", 0, 1, ENCODE),
    "brighter": ("eq=brightness=0.12", 0, 1, ENCODE),
    "darker": ("eq=brightness=-0.12", 0, 1, ENCODE),
    "first_20_removed": ("null", 0.2, 1, ENCODE),
    "last_20_removed": ("null", 0, 0.8, ENCODE),
    "middle_half": ("null", 0.25, 0.75, ENCODE),
    "fps_15": ("fps=15", 0, 1, ENCODE),
    "contrast_gamma": ("eq=contrast=1.25:gamma=1.2:saturation=0.5", 0, 1, ENCODE),
    # harder than asked for: crops off the centre, and several edits at once
    "crop_corner": (f"crop=iw*0.9:ih*0.9:0:0,{EVEN}", 0, 1, ENCODE),
    "letterbox_mirror_crf32": ("hflip,pad=iw:trunc(ih*1.34/2)*2:0:(oh-ih)/2", 0, 1, CRF32),
    "crop_logo_middle_half": (f"crop=iw*0.9:ih*0.9,{EVEN},{LOGO}", 0.25, 0.75, CRF32),
}
ASKED_FOR = 15  # "remux" and the edits before crop_corner
# what the goals are for; of the trims the one that leaves least
EIGHT = ("remux", "reencode_crf32", "rescale_240p", "middle_half", "crop_10", "letterbox", "mirror", "logo")
RECALL, FALSE_SHARE = 0.97, 0.0005
# Of one of the catalog's indexes. What a corpus of the largest size is looked up by is tried on these videos too.
BYTES_A_PRINT = 50
LARGEST = 100_000_000
HALVES = {"head_45": (0.0, 0.45), "tail_45": (0.55, 1.0)}


def make_copies(source: Path, folder: Path) -> None:
    """Write every edited copy of a video as ``folder/<edit>.mkv`` or .mp4."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "complete").exists():
        return
    base = folder / "base.nut"
    run_ffmpeg(source, "-map", "0:v:0", "-c", "copy", str(folder / "remux.mkv"))
    run_ffmpeg(source, "-map", "0:v:0", "-vf", FIT, *BASE, str(base))
    report = Pass()
    for _ in decode(base, report, sample_fps=0.01):
        pass
    edits = {**EDITS, **{name: ("null", start, end, ENCODE) for name, (start, end) in HALVES.items()}}
    for name, (filters, start, end, options) in edits.items():
        cut = f"trim={start * report.end_s:.3f}:{end * report.end_s + 0.001:.3f},setpts=PTS-STARTPTS"
        run_ffmpeg(base, "-vf", f"{cut},{filters},{EVEN}", *options, str(folder / f"{name}.mp4"))
    base.unlink()
    (folder / "complete").touch()


def run_ffmpeg(source: Path, *arguments: str) -> None:
    """Run the ffmpeg that imageio-ffmpeg carries. One output a run: with many, ffmpeg 9 can wait for itself."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    quiet = [ffmpeg, "-nostdin", "-y", "-v", "error", "-threads", "1", "-fflags", "+genpts", "-i", str(source)]
    subprocess.run([*quiet, *arguments], check=True)


def fingerprint(path: Path) -> list[Fingerprint]:
    """Fingerprint a file as the analyse stage does."""
    maker = Fingerprints()
    for frame in decode(path, Pass(), sample_fps=0.01):
        maker.feed(frame.t_s, grey(frame.bgr))
    return maker.result()


def grey(bgr: np.ndarray) -> np.ndarray:
    """Luma of a BGR picture (ITU-R BT.601)."""
    return (bgr.astype(np.float32) @ np.array([0.114, 0.587, 0.299], np.float32)).round().astype(np.uint8)


class Index:
    """Finds what the catalog's search finds: see sql/queries/duplicates.sql.

    Args:
        videos: Their fingerprints.
        corpus: Look up as many first bits as among so many fingerprints; 0: as among these.
    """

    def __init__(self, videos: dict[str, list[Fingerprint]], corpus: int = 0) -> None:
        rows = [(name, bits) for name, prints in videos.items() for bits in searchable(prints)]
        self.names = np.array([name for name, _ in rows])
        self.bits = np.array([bits for _, bits in rows], np.uint64)
        self.width = search_width(BYTES_A_PRINT * (corpus or len(rows)))

    def candidates(self, name: str, prints: Sequence[Fingerprint]) -> list[str]:
        """Return the videos that the search hands to the confirmation."""
        taken, flips = self._asked(prints)
        hits: dict[str, set[int]] = defaultdict(set)
        nearest: dict[str, int] = {}
        for i in taken:
            for probe in (prints[i].bits, prints[i].mirrored_bits):
                apart = self.bits ^ np.uint64(probe)
                distance = np.bitwise_count(apart)
                for j in np.flatnonzero((distance <= SEARCH_RADIUS_BITS) & self._met(apart, flips)):
                    video = str(self.names[j])
                    if video != name:
                        hits[video].add(i)
                        nearest[video] = min(nearest.get(video, 64), int(distance[j]))
        return sorted(hits, key=lambda video: (-len(hits[video]), nearest[video], video))[:MAX_CANDIDATES]

    def frames(self, video: str, prints: Sequence[Fingerprint]) -> tuple[int, int]:
        """Return how many frames of a video's copy lie within the radius of one of its own, and how many are met."""
        taken, flips = self._asked(prints)
        own = self.bits[self.names == video]
        within = met = 0
        for i in taken:
            apart = own ^ np.array([[prints[i].bits], [prints[i].mirrored_bits]], np.uint64)
            near = np.bitwise_count(apart) <= SEARCH_RADIUS_BITS
            within += bool(near.any())
            met += bool((near & self._met(apart, flips)).any())
        return within, met

    def _asked(self, prints: Sequence[Fingerprint]) -> tuple[list[int], int]:
        """Return the frames that are looked up, and with how many flips: as many as a video's keys allow."""
        ordinals = [i for i, found in enumerate(searchable_mask(prints)) if found]
        taken = ordinals[:: max(1, -(-len(ordinals) // MAX_PROBES))]
        keys = np.cumsum([4 * comb(self.width, flips) for flips in range(search_flips(self.width) + 1)])
        return taken, int((keys * 2 * len(taken) <= search_keys(self.width)).sum()) - 1

    def _met(self, apart: np.ndarray, flips: int) -> np.ndarray:
        """Tell which hashes, that differ from a probe in the bits ``apart``, a look-up with so many flips reads."""
        first = np.uint64(64 - self.width)
        turned = [apart << np.uint64(left) | apart >> np.uint64(64 - left) for left in (8, 24, 40, 56)]
        met: np.ndarray = np.any([np.bitwise_count(bits >> first) <= flips for bits in turned], axis=0)
        return met


def searchable_mask(prints: Sequence[Fingerprint]) -> Iterator[bool]:
    """Which frames the catalog indexes: those that differ from the last indexed one (catalog/recording.py)."""
    last: int | None = None
    for entry in prints:
        found = last is None or (entry.bits ^ last).bit_count() > 4
        last = entry.bits if found else last
        yield found


def searchable(prints: Sequence[Fingerprint]) -> list[int]:
    """Return the hashes that are indexed."""
    return [entry.bits for entry, found in zip(prints, searchable_mask(prints), strict=True) if found]


def measure(prints: dict[str, dict[str, list[Fingerprint]]]) -> int:
    """Report recall for each edit, then every false merge; return the exit status."""
    report = Report("near_duplicates", packages=("av", "numpy"))
    originals = {video: edits["original"] for video, edits in prints.items()}
    blank = [video for video, found in originals.items() if not found]
    print(
        f"{len(originals)} videos, {sum(map(len, originals.values()))} fingerprints; without any: {blank or 'none'}\n"
    )
    found = measure_recall(prints, originals)
    for among, edits in (("the eight edits", EIGHT), ("all that were asked for", ["remux", *EDITS][:ASKED_FOR])):
        goal = RECALL if edits is EIGHT else None
        for blanks in (False, True):
            right = [found[edit][video] for edit in edits for video in prints if blanks or video not in blank]
            name = f"recall, {among}" + (", blank videos counted as missed" if blanks else "")
            report.add(name, [float(np.mean(right))], "share", goal=None if blanks else goal, at_least=True)
    for corpus in (1_000_000, LARGEST):
        index = Index(originals, corpus)
        asked = [(video, prints[video][edit]) for edit in EIGHT for video in prints if video not in blank]
        met = np.sum([index.frames(video, copied) for video, copied in asked], axis=0)
        report.add(f"frames of the eight edits met, as among {corpus:,}", [met[1] / met[0]], "share")
        right = [
            found[edit][video] and video in index.candidates("", prints[video][edit])
            for edit in EIGHT
            for video in prints
            if video not in blank
        ]
        name = f"recall, the eight edits, looked up as among {corpus:,}"
        report.add(name, [float(np.mean(right))], "share", goal=RECALL, at_least=True)
    merged = measure_merges(prints)
    for among, edits in (("the eight edits", EIGHT), ("all edits", ["remux", *EDITS])):
        made = [count for edit in ("original", *edits) for count in merged[edit]]
        goal = FALSE_SHARE if edits is EIGHT else None
        print(f"{sum(made)} false merges in {len(made)} pairs of different videos")
        report.add(f"false merges, {among}", [float(np.mean(made))], "share", goal=goal)
    halves = [(video, confirm(made["head_45"], made["tail_45"])) for video, made in prints.items()]
    same = [f"{video} ({match.similarity:.2f})" for video, match in halves if match.is_copy]
    print(f"{len(same)} of {len(halves)} videos whose two ends are taken for one: {', '.join(same)}")
    return report.end()


def measure_recall(
    prints: dict[str, dict[str, list[Fingerprint]]], originals: dict[str, list[Fingerprint]]
) -> dict[str, dict[str, bool]]:
    """Print a line for each edit; return for each of them which videos are found, by search and confirmation."""
    index = Index(originals)
    both: dict[str, dict[str, bool]] = {}
    print(f"{'edit':24} {'confirmed':>9} {'searched':>9} {'both':>6}   missed by the confirmation (similarity)")
    for edit in ("remux", *EDITS):
        matches = {video: confirm(made[edit], originals[video]) for video, made in prints.items()}
        # the search must find the original among all other videos; the copy itself is not in the index
        searched = {video: video in index.candidates("", made[edit]) for video, made in prints.items()}
        both[edit] = {video: match.is_copy and searched[video] for video, match in matches.items()}
        missed = [f"{video} ({match.similarity:.2f})" for video, match in matches.items() if not match.is_copy]
        confirmed = np.mean([match.is_copy for match in matches.values()])
        shares = f"{confirmed:9.3f} {np.mean(list(searched.values())):9.3f} {np.mean(list(both[edit].values())):6.3f}"
        print(f"{edit:24} {shares}   {', '.join(missed)}")
    print()
    return both


def measure_merges(prints: dict[str, dict[str, list[Fingerprint]]]) -> dict[str, list[bool]]:
    """Print each pair that is merged though it is none; return for each edit whether each of its pairs was."""
    merged: dict[str, list[bool]] = defaultdict(list)
    for one, other in combinations(prints, 2):
        for edit in ("original", "remux", *EDITS):
            for left, right in ((edit, "original"), ("original", edit)) if edit != "original" else ((edit, edit),):
                match = confirm(prints[one][left], prints[other][right])
                merged[edit].append(match.is_copy)
                if match.is_copy:
                    print(f"FALSE MERGE {one}/{left} with {other}/{right}: {match}")
    return merged


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the copies, fingerprint them, and print the measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=CORPUS, help="folder of videos (default: ../shared/corpus)")
    parser.add_argument(
        "--copies", type=Path, help="where copies are kept for the next time (default: a temporary one)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="videos handled at once (default: 2)")
    options = parser.parse_args(arguments)
    sources = sorted(path for path in options.videos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not sources:
        print(f"no videos under {options.videos}: name a folder with --videos", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        copies = options.copies or Path(temporary)

        def prepare(source: Path) -> tuple[str, dict[str, list[Fingerprint]]]:
            name = "_".join(source.relative_to(options.videos).parts)
            make_copies(source, copies / name)
            files = {path.stem: path for path in (copies / name).iterdir() if path.suffix in SUFFIXES}
            return name, {stem: fingerprint(path) for stem, path in {"original": source, **files}.items()}

        started = time.monotonic()
        with ThreadPoolExecutor(options.jobs) as pool:
            prints = dict(pool.map(prepare, sources))
        print(f"copies made and fingerprinted in {time.monotonic() - started:.0f} s")
        return measure(prints)


if __name__ == "__main__":
    sys.exit(main())
