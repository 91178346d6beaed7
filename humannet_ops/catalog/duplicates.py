"""Questions about copies: equal bytes, and neighbours in Hamming distance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extras import Json

from humannet_ops.catalog.connection import Connection, queries
from humannet_ops.catalog.recording import StageRun
from humannet_ops.domain.records import Copy, Fingerprint

# A 64-bit hash is asked with at most this many frames of a video, evenly spread: a copy shares most of them.
MAX_PROBES = 96
# Videos that are then confirmed frame by frame.
MAX_CANDIDATES = 32
# A frame is looked up under the first bits of its hash in four turns, and under the same with some flipped: 14 bits in
# four parts are at least in one no more than 3, and the shorter the part the fewer. The fewer frames a video has, the
# surer each must be found, so it is a video's keys that are bounded: by what finds .99 of all copies by so many first
# bits, and by twice as much each time that the corpus has grown fourfold (infra/decisions/0023).
MAX_FLIPS = 3
KEYS, KEYS_WIDTH = 20_000, 17
# A beginning is as long as leaves a key half a page of index: 30 to 60 fingerprints, whatever the corpus holds.
BYTES_A_KEY = 4096
# Where very many look alike (a title card), a key reads no more than these: a video's other frames must tell then.
ROWS_A_KEY = 1000
_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """A video in the order in which survivors are chosen."""

    video_id: str
    pixels: int
    already_kept: bool


def lock(link: Connection, stage: str) -> None:
    """Wait until nobody else decides; held until the transaction ends."""
    list(queries().lock_duplicates(link, stage=stage))


def exact_survivors(link: Connection, run: StageRun) -> dict[str, str]:
    """Return for each video of the run's shard the one that stands for its bytes."""
    found = queries().exact_survivors(link, shard_id=run.shard.shard_id, version=run.shard.stage_version)
    return {row["video_id"]: row["survivor"] for row in found}


def search_width(index_bytes: int) -> int:
    """Return how many first bits of a hash are looked up: one more each time that the corpus doubles.

    Args:
        index_bytes: Size of one of the indexes; it tells at every moment how many fingerprints there may be.
    """
    return max(1, math.ceil(math.log2(max(1, index_bytes / BYTES_A_KEY))))


def search_flips(width: int) -> int:
    """Return how many of so many first bits are flipped at most: with more, no frame would be found that is not yet."""
    return min(MAX_FLIPS, 1 + width // 6)


def search_keys(width: int) -> int:
    """Return how many keys a video has at most where so many first bits are looked up."""
    return round(KEYS * 2 ** (max(0, width - KEYS_WIDTH) / 2))


def near_candidates(link: Connection, video_ids: Sequence[str], radius_bits: int) -> dict[str, list[str]]:
    """Return for each video those that share a frame with it, most shared first, in one statement for all.

    Args:
        link: A connection in a transaction.
        video_ids: The videos whose frames are looked up, as they are and mirrored.
        radius_bits: Hamming distance, of 64, up to which two frames may be the same picture.
    """
    queries().search_settings(link)
    width = search_width(queries().turned_bytes(link))
    candidates: dict[str, list[str]] = {video_id: [] for video_id in video_ids}
    for row in queries().near_candidates(
        link,
        video_ids=list(video_ids),
        radius=radius_bits,
        probes=MAX_PROBES,
        width=width,
        rest=(1 << 64 - width) - 1,
        flips=search_flips(width),
        keys=search_keys(width),
        rows=ROWS_A_KEY,
        limit=MAX_CANDIDATES,
    ):
        candidates[row["asked"]].append(row["video_id"])
    return candidates


def fingerprints(link: Connection, video_id: str) -> list[Fingerprint]:
    """Return a video's fingerprints in time order."""
    return [
        Fingerprint(row["t_s"], row["bits"] & _BITS, row["mirrored_bits"] & _BITS)
        for row in queries().load_fingerprints(link, video_id=video_id)
    ]


def comparable(link: Connection, video_ids: Sequence[str], versions: Mapping[str, str]) -> list[str]:
    """Return those of these videos, in their order, that were analysed at the version that counts.

    Args:
        link: A connection.
        video_ids: The videos.
        versions: Of every stage.
    """
    found = queries().comparable(
        link, video_ids=list(video_ids), analyse_version=versions["analyse"], version=versions["find_copies"]
    )
    there = {row["video_id"] for row in found}
    return [video_id for video_id in video_ids if video_id in there]


def copies(link: Connection, video_ids: Sequence[str], versions: Mapping[str, str]) -> dict[str, list[Copy]]:
    """Return the copies of each of these videos that has any, whichever of the two was looked up when they met.

    Args:
        link: A connection.
        video_ids: The videos.
        versions: Of every stage.
    """
    found: dict[str, list[Copy]] = {}
    for row in queries().copies(link, video_ids=list(video_ids), version=versions["find_copies"]):
        found.setdefault(row.pop("video_id"), []).append(Copy(**row))
    return found


def in_quality_order(link: Connection, run: StageRun, video_ids: Iterable[str]) -> list[Standing]:
    """Order videos as survivors are chosen: most pixels, then the earliest. Those already rejected are left out."""
    found = queries().quality_order(link, version=run.shard.stage_version, video_ids=list(video_ids))
    return [Standing(row["video_id"], row["pixels"], row["already_kept"]) for row in found]


def displace(link: Connection, run: StageRun, video_id: str, scores: Mapping[str, Any], survivor: str) -> None:
    """Turn an earlier survivor into a near duplicate of a better copy that came later."""
    queries().displace_survivor(
        link,
        version=run.shard.stage_version,
        video_id=video_id,
        scores=Json(dict(scores)),
        detail=Json({"survivor": survivor, "displaced": True}),
        stage_run_id=run.stage_run_id,
    )
