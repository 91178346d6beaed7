"""Measure a takedown: one source with 10,000 clips is out of every view in at most a second.

    .venv/bin/python tests/benchmarks/takedown.py                                  # a few minutes
    .venv/bin/python tests/benchmarks/takedown.py --clips-a-video 1 --staying 100000

Fills a catalog of its own, in an embedded Postgres of its own, with one source that goes and one that stays: videos
with clips, an outcome for every stage, annotations, fingerprints, artifacts, each with a real object in a folder store.
Prints when another connection sees it gone, how long `take_down` and the removal take, and a full count of the clips,
for comparison. Exit status 1 if it took longer than a second or something is left.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FINGERPRINTS_A_VIDEO, ANNOTATIONS_A_CLIP = 40, 8
GOAL_S = 1.0

FILL = """
INSERT INTO sources (source, kind, uri) VALUES (%(source)s, 'http_manifest', 'https://example.test');
INSERT INTO videos (video_id, source, origin_uri, version, signature, title, partition_key, sha256, bytes, duration_s,
                    width, height, fps, canonical_uri, extractor, extractor_id, channel_id, uploader, published)
SELECT 'v' || %(source)s || n, %(source)s, 'https://example.test/' || %(source)s || '/watch?v=' || n, 1, '',
       'Video ' || n, '2026-01-01', md5('video' || %(source)s || n), 1000000, 60, 1280, 720, 30,
       'https://example.test/' || %(source)s || '/' || n, 'Example', %(source)s || n, 'Example:' || n %% 50, 'Me',
       jsonb_build_object('description', repeat('words ', 50), 'tags', jsonb_build_array('walk', 'cook'))
FROM generate_series(1, %(videos)s) n;
INSERT INTO clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)
SELECT 'c' || v.video_id || '-' || c, v.video_id, c, c * 180, c * 180 + 180, c * 6, c * 6 + 6, s.version
FROM videos v CROSS JOIN generate_series(0, %(clips)s - 1) c JOIN stages s ON s.stage = 'analyse'
WHERE v.source = %(source)s;
INSERT INTO fingerprints (video_id, ordinal, t_s, bits, mirrored_bits, searchable)
SELECT v.video_id, n, n / 2.0, b.bits, b.bits, n = 0
FROM videos v CROSS JOIN generate_series(0, %(fingerprints)s - 1) n
CROSS JOIN LATERAL (SELECT ('x' || left(md5(v.video_id || n), 16))::bit(64) AS bits) b WHERE v.source = %(source)s;
INSERT INTO shards (shard_id, stage, stage_version, partition_key, label)
SELECT 's' || %(source)s || stage, stage, version, '2026-01-01', 'Video 1 +999' FROM stages;
INSERT INTO stage_runs (stage_run_id, shard_id, stage, stage_version, worker, code_revision, status)
SELECT 'r' || %(source)s || stage, 's' || %(source)s || stage, stage, version, 'benchmark', '0', 'succeeded'
FROM stages;
INSERT INTO attempts (stage, stage_version, subject_id)
SELECT s.stage, s.version, coalesce(c.clip_id, v.video_id)
FROM videos v CROSS JOIN stages s LEFT JOIN clips c ON c.video_id = v.video_id AND s.subject = 'clip'
WHERE v.source = %(source)s;
INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, scores, detail, stage_run_id, started_at,
                      seconds)
SELECT s.stage, s.version, coalesce(c.clip_id, v.video_id), v.video_id, 'kept',
       jsonb_build_object('person_frames', 0.9, 'motion', 0.5, 'blur', 0.1, 'pose_score', 0.8),
       '{"viewpoint": "ego", "checks": [{"name": "motion", "value": 1}]}',
       'r' || %(source)s || s.stage, now(), 1
FROM videos v CROSS JOIN stages s LEFT JOIN clips c ON c.video_id = v.video_id AND s.subject = 'clip'
WHERE v.source = %(source)s;
INSERT INTO copies (video_id, other_id, similarity, overlap_s, mirrored, stage, stage_version)
SELECT v.video_id, 'v' || %(source)s || '1', 0.9, 60, false, s.stage, s.version
FROM videos v JOIN stages s ON s.stage = 'find_copies' WHERE v.source = %(source)s AND v.video_id LIKE '%%7';
ANALYZE;
CREATE TEMP TABLE made AS
SELECT o.stage, o.subject_id, o.stage_version, k.kind,
       %(store)s || k.kind || '/' || left(md5(o.subject_id || k.kind), 2) || '/' || md5(o.subject_id || k.kind) AS uri
FROM outcomes o JOIN videos v USING (video_id)
JOIN (VALUES ('fetch', 'video'), ('fetch', 'metadata'), ('analyse', 'signals'), ('analyse', 'sampled_frames'),
             ('cut', 'clip'), ('pose_body', 'body_tracks')) AS k (stage, kind) USING (stage)
WHERE v.source = %(source)s;
ANALYZE made;
INSERT INTO artifacts (uri, sha256, kind, bytes, media_type)
SELECT uri, md5(uri), kind, 100, 'application/octet-stream' FROM made;
INSERT INTO outcome_artifacts (stage, subject_id, stage_version, kind, uri)
SELECT stage, subject_id, stage_version, kind, uri FROM made;
INSERT INTO annotations (clip_id, kind, stage, stage_version, model_release, value, uri)
SELECT o.subject_id, 'kind' || n, o.stage, o.stage_version, 'pose@1', jsonb_build_object('text', repeat('words ', 20)),
       CASE WHEN n = 1 THEN m.uri END
FROM outcomes o JOIN videos v USING (video_id) JOIN made m USING (stage, subject_id, stage_version)
CROSS JOIN generate_series(1, %(annotations)s) n
WHERE v.source = %(source)s AND o.stage = 'pose_body';
INSERT INTO releases (release) VALUES ('2026.1') ON CONFLICT DO NOTHING;
INSERT INTO release_clips (release, clip_id)
SELECT '2026.1', c.clip_id FROM clips c JOIN videos v USING (video_id) WHERE v.source = %(source)s;
DROP TABLE made;
"""


@contextmanager
def catalog() -> Iterator[None]:
    """A Postgres and a store of their own, removed afterwards."""
    from humannet_ops.catalog import migrations
    from humannet_ops.local import postgres
    from humannet_ops.settings import settings
    from humannet_ops.stages import registry

    models = settings().models
    with tempfile.TemporaryDirectory(prefix="humannet-takedown-") as folder:
        os.environ.update(HUMANNET_HOME=folder, HUMANNET_MODELS_DIR=str(models), HUMANNET_CATALOG_URL="")
        settings.cache_clear()
        postgres.start(Path(folder))
        try:
            migrations.upgrade()
            migrations.register(registry.specs(), registry.versions())
            yield
        finally:
            postgres.stop(Path(folder))


def fill(source: str, clips: int, clips_a_video: int, store: Path) -> int:
    """Write one source; return how many objects it has."""
    from humannet_ops.catalog.connection import connect, transaction

    parameters = {
        "source": source, "videos": clips // clips_a_video, "clips": clips_a_video, "store": f"file://{store}/",
        "fingerprints": FINGERPRINTS_A_VIDEO, "annotations": ANNOTATIONS_A_CLIP,
    }  # fmt: skip
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute(FILL, parameters)
        cursor.execute("SELECT uri FROM artifacts WHERE stored_at = now()")
        made = [Path(row["uri"].removeprefix("file://")) for row in cursor]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 100)
    return len(made)


def timed(statement: str) -> tuple[float, int]:
    """Return the seconds that a count takes, and the count."""
    from humannet_ops.catalog import reading

    start = time.monotonic()
    ((count,),) = reading.ask(statement)[1]
    return time.monotonic() - start, int(count)


def measure(clips: int, staying: int, clips_a_video: int) -> int:
    """Run it and print the figures; return how many rows or objects are left that should not be, one more if slow."""
    from humannet_ops.catalog import reading, takedowns
    from humannet_ops.catalog.connection import connect
    from humannet_ops.settings import settings
    from humannet_ops.stages.removal import remove_objects
    from humannet_ops.storage import open_store

    store = Path(settings().store)
    goes, stays = fill("goes", clips, clips_a_video, store), fill("stays", staying, clips_a_video, store)
    with connect() as link:
        link.autocommit = True
        with link.cursor() as cursor:
            cursor.execute("ANALYZE")
    count_s, before = timed("select count(*) from v_clips")
    print(f"catalog: {before:,} clips, {goes + stays:,} objects; {clips:,} clips and {goes:,} objects go")
    print(f"a full count of v_clips:                    {count_s:7.3f} s")

    began = time.monotonic()
    worker = threading.Thread(
        target=takedowns.take_down, args=("source", "goes"), kwargs={"reason": "benchmark", "requested_by": "me"}
    )
    with connect() as link, link.cursor() as cursor:
        link.autocommit = True
        worker.start()
        while True:
            cursor.execute("SELECT EXISTS (SELECT FROM videos WHERE source = 'goes' AND takedown_id IS NULL) AS seen")
            if not cursor.fetchone()["seen"]:
                break
            time.sleep(0.005)
    seen_s = time.monotonic() - began
    worker.join()
    called_s = time.monotonic() - began
    share = f"{seen_s / count_s:.0%} of the count"
    print(f"out of every view, seen by another session: {seen_s:7.3f} s (goal {GOAL_S} s; {share})")
    print(f"with all that the command reports:          {called_s:7.3f} s")
    left = 0
    for view in ("v_videos", "v_clips", "v_lineage", "v_annotations"):
        by = "source = 'goes'" if view in ("v_videos", "v_clips") else "clip_id like 'cvgoes%'"
        left += timed(f"select count(*) from {view} where {by}")[1]
    after_s, after = timed("select count(*) from v_clips")
    left += abs(after - staying)
    print(f"a full count of v_clips afterwards:         {after_s:7.3f} s, {after:,} clips")

    start = time.monotonic()
    done = remove_objects()
    removal_s = time.monotonic() - start
    print(f"removal in the background:                  {removal_s:7.3f} s, {done.removed / removal_s:,.0f} objects/s")
    (row,) = reading.rows("takedowns")
    print(
        f"ledger: {row['videos']:,} videos, {row['clips']:,} clips, {row['objects_removed']:,} of {row['objects']:,} "
        f"objects, {row['releases_recalled']} release recalled"
    )
    left += abs(sum(1 for _ in open_store().objects()) - stays) + abs(done.removed - goes)
    print(f"left that should not be: {left}")
    return left + (seen_s > GOAL_S)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000, help="clips of the source that goes")
    parser.add_argument("--staying", type=int, default=20_000, help="clips of the source that stays")
    parser.add_argument("--clips-a-video", type=int, default=10, help="clips that each video has")
    given = parser.parse_args()
    with catalog():
        sys.exit(1 if measure(given.clips, given.staying, given.clips_a_video) else 0)


if __name__ == "__main__":
    main()
