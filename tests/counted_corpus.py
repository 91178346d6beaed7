"""A catalog to be counted: seeded, lopsided as real crawls are, written straight into the tables.

Nothing here is a mock: the rows are what stages write. ``python tests/counted_corpus.py CLIPS`` fills the catalog that
``HUMANNET_CATALOG_URL`` names, to look at or to measure.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from psycopg2.extras import Json, execute_values

from humannet_ops.catalog import migrations
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.domain.taxonomy import taxonomy

STAGES = (
    StageSpec("fetch", "video", 1, "crawl"),
    StageSpec("analyse", "video", 1, "cpu", ("fetch",), ("fetch",)),
    StageSpec("decide", "clip", 1, "cpu", ("analyse",), ("analyse",)),
    StageSpec("cut", "clip", 1, "cpu", ("decide",), ("fetch",)),
    StageSpec("track_people", "clip", 1, "gpu", ("cut",), ("cut",)),
    StageSpec("pose_body", "clip", 1, "gpu", ("track_people",), ("track_people",)),
    StageSpec("retarget", "clip", 1, "cpu", ("pose_body",), ("pose_body",)),
    StageSpec("describe_motion", "clip", 1, "cpu", ("pose_body",), ("pose_body",)),
    StageSpec("screen_content", "clip", 1, "gpu", ("cut",), ("cut",)),
    StageSpec("label_activity", "clip", 1, "default", ("describe_motion",), ("describe_motion",)),
)
# source, its kind, how much of the corpus it brings, licence, language, short side, share of ego
SOURCES = (
    ("cooking_search", "ytdlp_search", 0.46, "CC BY 3.0", "en-US", (720, 1080, 1080, 2160), 0.12),
    ("workshop_channels", "ytdlp_channel", 0.24, "CC BY 3.0", "de", (1080, 1080, 1440), 0.2),
    ("first_person_set", "http_manifest", 0.17, "CC BY-NC 4.0", None, (1080, 480), 1.0),
    ("sports_archive", "s3_prefix", 0.11, "CC0 1.0", "es", (480, 360, 720), 0.0),
    ("own_recordings", "folder", 0.02, None, None, (240, 2160), 0.6),
)
L1_WEIGHTS = {
    "daily_activities": 0.52, "sports": 0.16, "fitness_and_outdoor": 0.12, "locomotion": 0.11,
    "social_and_leisure": 0.085, "game_character_actions": 0.005,
}  # fmt: skip
SCENE_OF = {"daily_activities": "home", "sports": "sports_and_recreation", "locomotion": "outdoor"}
THINGS = ("cup", "bowl", "knife", "bottle", "chair", "sports ball", "laptop", "cell phone", "dog", "car", "bicycle")
INTERACTIONS = ("manipulation", "tool_use", "object_transport", "locomotion", "whole_body_motion")


@dataclass
class Counted:
    """What was written: a row a clip, for a test to count again."""

    clips: list[dict[str, Any]] = field(default_factory=list)
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def add(self, table: str, *row: Any) -> None:
        self.rows.setdefault(table, []).append(row)

    def column(self, name: str, **where: Any) -> np.ndarray:
        """Return a measure of all clips that have it and are as asked."""
        return np.array(
            [
                clip["scores"][name]
                for clip in self.clips
                if name in clip["scores"] and all(clip[key] == value for key, value in where.items())
            ],
            dtype=np.float64,
        )


def seed(clips: int, *, number: int = 7, labels: bool = True, days: int = 9) -> Counted:
    """Write about so many kept clips, some rejected and pending ones beside them, and return the kept ones."""
    versions = stage_versions(STAGES)
    migrations.register(STAGES, versions)
    rng, made = np.random.default_rng(number), Counted()
    nodes = {facet: [node.path for node in taxonomy().facets[facet].nodes.values()] for facet in ("motion", "scene")}
    # most classes of a level are rare
    rank = {path: rng.pareto(1.1) + 0.02 for facet in nodes.values() for path in facet}
    for name, kind, *_ in SOURCES:
        made.add("sources (source, kind, uri)", name, kind, f"https://{name}.test")
    for spec in STAGES:
        made.add(
            "shards (shard_id, stage, stage_version, partition_key, label)",
            f"s_{spec.name}", spec.name, versions[spec.name], "2026-03-01", "all",
        )  # fmt: skip
        made.add(
            "stage_runs (stage_run_id, shard_id, stage, stage_version, worker, code_revision, status, ended_at)",
            f"r_{spec.name}", f"s_{spec.name}", spec.name, versions[spec.name], "test", "revision", "succeeded",
            "2026-03-01T12:00:00Z",
        )  # fmt: skip
    video = 0
    while len(made.clips) < clips:
        video += 1
        _video(rng, made, versions, video, nodes, rank, labels, days)
    with connect() as link, transaction(link), link.cursor() as cursor:
        for table, rows in made.rows.items():
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows, page_size=2000)
        # as autovacuum does a while later
        cursor.execute("ANALYZE")
    return made


def _video(
    rng: np.random.Generator, made: Counted, versions: dict[str, str], number: int, nodes: dict[str, list[str]],
    rank: dict[str, float], labels: bool, days: int,
) -> None:  # fmt: skip
    shares = np.array([source[2] for source in SOURCES])
    source, _, _, license_, language, sides, ego = SOURCES[rng.choice(len(SOURCES), p=shares / shares.sum())]
    video_id, short = f"v{number:07d}", int(rng.choice(sides))
    channel = f"site:{source}:{min(int(rng.pareto(0.9)), 40)}" if source.endswith(("search", "channels")) else None
    day = f"2026-02-{1 + int(days * rng.beta(2, 1.3)):02d}"
    published = {"language": language} if language else {}
    count = int(rng.integers(1, 14))
    made.add(
        "videos (video_id, source, origin_uri, version, signature, title, license, partition_key, duration_s, width, "
        "height, fps, channel_id, published)",
        video_id, source, f"https://{source}.test/{number}", 1, "1", f"video {number}", license_, day, 12.0 * count,
        round(short * 16 / 9), short, 30.0, channel, Json(published),
    )  # fmt: skip
    outcome(made, versions, "fetch", video_id, video_id)
    outcome(made, versions, "analyse", video_id, video_id)
    theme = rng.choice(list(L1_WEIGHTS), p=list(L1_WEIGHTS.values()))
    themes = [path for path in nodes["motion"] if path.startswith(f"{theme}/")]
    weights = np.array([rank[path] for path in themes])
    paths = rng.choice(themes, size=2, p=weights / weights.sum())
    home = SCENE_OF.get(str(theme), str(rng.choice(["other", "dining", "work_and_study", "retail", "outdoor"])))
    places = [path for path in nodes["scene"] if path.split("/")[0] == home]
    place = str(rng.choice(places, p=(w := np.array([rank[path] for path in places])) / w.sum()))
    viewpoint = "ego" if rng.random() < ego else "exo"
    for position in range(count):
        _clip(
            rng,
            made,
            versions,
            (video_id, source, viewpoint),
            position,
            str(paths[int(position % 7 == 6)]),
            place,
            labels,
        )


def _clip(
    rng: np.random.Generator, made: Counted, versions: dict[str, str], video: tuple[str, str, str], position: int,
    path: str, place: str, labels: bool,
) -> None:  # fmt: skip
    video_id, source, viewpoint = video
    clip_id, length = f"c{video_id}{position:02d}", float(rng.choice([4.0, 8.0, 10.0, 10.0, 10.0, 12.0]))
    first = position * 12.0
    made.add(
        "clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)",
        clip_id, video_id, 0, int(first * 30), int((first + length) * 30), first, first + length, versions["analyse"],
    )  # fmt: skip
    if rng.random() < 0.08:
        outcome(made, versions, "decide", clip_id, video_id, "rejected", "blurred")
        return
    outcome(made, versions, "decide", clip_id, video_id, detail={"viewpoint": viewpoint})
    outcome(made, versions, "cut", clip_id, video_id, scores={"pose_score": -1.0})
    if rng.random() < 0.02:
        return
    l1 = path.split("/")[0]
    scores: dict[str, Any] = {}

    def said(stage: str, result: str = "kept", reason: str | None = None, **values: Any) -> None:
        scores.update(values)
        outcome(made, versions, stage, clip_id, video_id, result, reason, scores=values)

    things = {str(name): int(rng.integers(1, 4)) for name in rng.choice(THINGS, rng.integers(0, 4), replace=False)}
    persons = int(rng.poisson(0.3 if viewpoint == "ego" else 1.6))
    said("track_people", persons=persons, things=sum(things.values()))
    made.add(
        "annotations (clip_id, kind, stage, stage_version, model_release, value)",
        clip_id, "track_people", "track_people", versions["track_people"], "centernet@1",
        Json({"persons": persons, "objects": things}),
    )  # fmt: skip
    body = persons > 0
    fast = {"sports": 1.9, "fitness_and_outdoor": 1.1, "locomotion": 1.2}.get(l1, 0.4)
    motion = float(rng.gamma(2.0, fast / 2))
    frames = int(min(length, rng.gamma(3.0, length / 4)) * 30) if motion > 0.1 else 0
    said("pose_body", *(() if body else ("skipped", "no_body")))
    if body and rng.random() < 0.85:
        error = float(rng.lognormal(2.4, 0.35))
        said("retarget", retarget_error_mm_mean=round(error, 2), robot_ready=error < 15 and rng.random() < 0.8)
    else:
        said("retarget", "skipped", "not_ego" if body else "no_body")
    pose = float(rng.beta(7, 2) if body else rng.beta(4, 4))
    said("describe_motion", pose_score=round(pose, 4), motion_score=round(motion, 4), motion_frames=frames)
    said("screen_content", needs_review=bool(rng.random() < 0.04))
    if scores["needs_review"]:
        made.add(
            "review_causes (clip_id, cause, stage, stage_version, score, note)",
            clip_id, "faces", "screen_content", versions["screen_content"], 0.9, "",
        )  # fmt: skip
    sure = float(rng.beta(6, 2))
    labelled = labels and sure > 0.45
    deep = "/".join(path.split("/")[: 3 if sure > 0.7 else 2])
    where = place if labels and rng.random() < 0.6 else None
    does = sorted(rng.choice(INTERACTIONS, rng.integers(0, 4), replace=False).tolist()) if labels else []
    said(
        "label_activity",
        **({
            "label_motion_abstained": not labelled, "label_motion_confidence": round(sure, 4),
            "label_scene_abstained": where is None, "label_scene_confidence": 0.8 if where else 0.3,
            "label_interaction_abstained": not does, "label_interaction_confidence": 0.7 if does else 0.1,
        } if labels else {}),
    )  # fmt: skip
    says = [("motion", deep, "offline", sure)] if labelled else []
    says += [("scene", where, "offline", 0.8)] if where else []
    says += [("interaction", each, "pseudo", 0.7) for each in does]
    says += [("source_type", "web_scale" if "search" in source else "community", "pseudo", 1.0)] if labels else []
    if labels and source == "first_person_set":
        says.append(("motion", "daily_activities/cooking", "inherited", 1.0))
    for facet, node, origin, confidence in says:
        made.add(
            "labels (clip_id, facet, path, origin, confidence, model_release, stage, stage_version)",
            clip_id, facet, node, origin, confidence, "minilm@1", "label_activity", versions["label_activity"],
        )  # fmt: skip
    motion_path = {path for facet, path, origin, _ in says if facet == "motion" and origin == "inherited"} or {
        path for facet, path, *_ in says if facet == "motion"
    }
    made.clips.append(
        {
            "clip_id": clip_id, "video_id": video_id, "source": source, "viewpoint": viewpoint, "seconds": length,
            "start_s": first, "motion": next(iter(motion_path), None), "scene": where, "scores": scores,
            "interactions": does, "things": things, "persons": persons,
            "l1": next(iter(motion_path), "").split("/")[0] or None,
        }
    )  # fmt: skip


def outcome(
    made: Counted, versions: dict[str, str], stage: str, subject: str, video: str, result: str = "kept",
    reason: str | None = None, *, scores: dict[str, Any] | None = None, detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    made.add(
        "outcomes (stage, stage_version, subject_id, video_id, outcome, reason, scores, detail, stage_run_id, "
        "started_at, seconds)",
        stage, versions[stage], subject, video, result, reason, Json(scores or {}), Json(detail or {}), f"r_{stage}",
        "2026-03-01T12:00:00Z", 0.1,
    )  # fmt: skip


if __name__ == "__main__":
    print(len(seed(int(sys.argv[1])).clips))
