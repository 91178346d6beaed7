-- A catalog of clips, ten clips a video and a thousand videos a crawl day, spread evenly over the
-- identifiers as hashes are, in their order, so that the indexes are built and not torn apart. One row of outcomes for each
-- subject and stage: of the clips, decide keeps every third, and only those go on. The last day has just been decided.
SET session_replication_role = replica;
SET synchronous_commit = off;
INSERT INTO sources (source, kind, uri) VALUES ('many', 'http_manifest', 'https://example.test');
INSERT INTO videos (video_id, source, origin_uri, version, signature, title, partition_key, sha256, bytes, container, codec,
                    duration_s, width, height, fps, has_audio, canonical_uri, extractor, extractor_id, channel_id)
SELECT 'v' || lpad(to_hex(4611686018427387904 / %(videos)s * n), 16, '0') || '0000', 'many', 'https://example.test/watch?v=' || n, 1, '',
       'Video ' || n, to_char(date '2026-01-01' + (n / %(videos_a_day)s)::int, 'YYYY-MM-DD'), md5('video' || n), 10000000, 'mp4', 'h264',
       60, 1280, 720, 30, true, 'https://example.test/' || n, 'Example', n::text, 'Example:' || n %% 5000
FROM generate_series(0::bigint, %(videos)s - 1) n;
INSERT INTO clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)
SELECT 'c' || substr(v.video_id, 2, 16) || lpad(c::text, 4, '0'), v.video_id, c, c * 180, c * 180 + 180, c * 6, c * 6 + 6, s.version
FROM videos v CROSS JOIN generate_series(0, 9) c JOIN stages s ON s.stage = 'analyse'
ORDER BY v.video_id, c;
INSERT INTO shards (shard_id, stage, stage_version, partition_key, label)
SELECT 's' || d.partition_key || s.stage, s.stage, s.version, d.partition_key, 'Video +99'
FROM stages s CROSS JOIN (SELECT DISTINCT partition_key FROM videos) d;
INSERT INTO stage_runs (stage_run_id, shard_id, stage, stage_version, dag_id, run_id, task_id, map_index, try_number, worker,
                        queue, code_revision, started_at, ended_at, status)
SELECT 'r' || shard_id, shard_id, stage, stage_version, 'curate_videos', 'run', stage, 0, 1, 'worker-1', 'cpu', '0', now(), now(),
       'succeeded'
FROM shards;
DO $$
DECLARE
    s record;
BEGIN
    -- a stage at a time, so that nothing so large has to be sorted
    FOR s IN SELECT * FROM stages ORDER BY ordinal LOOP
        IF s.subject = 'video' THEN
            INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, scores, stage_run_id, started_at, seconds)
            SELECT s.stage, s.version, v.video_id, v.video_id, 'kept', '{"frames": 1800, "shots": 10, "decoded_s": 60.0}',
                   'rs' || v.partition_key || s.stage, now(), 1.5
            FROM videos v ORDER BY v.video_id;
        ELSIF s.stage = 'decide' THEN
            INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, reason, scores, detail, policy_version,
                                  stage_run_id, started_at, seconds)
            SELECT s.stage, s.version, c.clip_id, c.video_id, CASE WHEN c.shot %% 3 = 0 THEN 'kept' ELSE 'rejected' END,
                   CASE c.shot %% 3 WHEN 1 THEN 'no_person' WHEN 2 THEN 'no_motion' END,
                   '{"person_frames": 0.9, "motion_score": 0.5, "blur_score": 0.1}', '{"viewpoint": "ego"}', '1',
                   'rs' || v.partition_key || s.stage, now(), 0.2
            FROM clips c JOIN videos v USING (video_id) ORDER BY c.clip_id;
        ELSE
            INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, scores, stage_run_id, started_at, seconds)
            SELECT s.stage, s.version, c.clip_id, c.video_id, 'kept', '{"value": 0.5}', 'rs' || v.partition_key || s.stage, now(), 0.2
            FROM clips c JOIN videos v USING (video_id)
            WHERE c.shot %% 3 = 0 AND v.partition_key < (SELECT max(partition_key) FROM videos) ORDER BY c.clip_id;
        END IF;
    END LOOP;
END $$;
INSERT INTO artifacts (uri, sha256, kind, bytes, media_type)
SELECT 's3://store/clip/' || subject_id, md5(subject_id), 'clip', 1000000, 'video/mp4' FROM outcomes WHERE stage = 'cut'
ORDER BY subject_id;
INSERT INTO outcome_artifacts (stage, subject_id, stage_version, kind, uri)
SELECT stage, subject_id, stage_version, 'clip', 's3://store/clip/' || subject_id FROM outcomes WHERE stage = 'cut'
ORDER BY subject_id;
INSERT INTO video_tallies (video_id, source, stage, stage_version, outcome, reason, clips, microseconds)
SELECT o.video_id, 'many', o.stage, o.stage_version, o.outcome, coalesce(o.reason, ''), count(c.clip_id),
       sum(round(coalesce(c.end_s - c.start_s, 60) * 1e6)::bigint)
FROM outcomes o LEFT JOIN clips c ON c.clip_id = o.subject_id
GROUP BY o.video_id, o.stage, o.stage_version, o.outcome, o.reason
ORDER BY o.video_id, o.stage;
INSERT INTO funnel_totals (source, stage, stage_version, outcome, reason, videos, clips, microseconds)
SELECT source, stage, stage_version, outcome, reason, count(*), sum(clips), sum(microseconds)
FROM video_tallies GROUP BY source, stage, stage_version, outcome, reason;
INSERT INTO yields (video_id, fetched, decided, kept_s, cost_s)
SELECT video_id, true, partition_key < (SELECT max(partition_key) FROM videos),
       CASE WHEN partition_key < (SELECT max(partition_key) FROM videos) THEN 24 ELSE 0 END, 20
FROM videos ORDER BY video_id;
