-- name: report_sources
SELECT v.source, count(*) AS videos, count(*) FILTER (WHERE v.status = 'kept') AS kept,
       coalesce(sum(v.duration_s), 0) / 3600 AS hours
FROM v_videos v GROUP BY v.source ORDER BY v.source;

-- name: report_viewpoints
SELECT coalesce(viewpoint, 'unknown') AS viewpoint, count(*) AS clips
FROM v_clips WHERE status = 'kept' GROUP BY viewpoint ORDER BY clips DESC, viewpoint;

-- name: report_kept_clips
-- The best of every video first, then its second best: a short list shows many videos.
WITH ranked AS (
    SELECT c.clip_id, c.video_id, c.source, c.viewpoint, c.start_s, c.end_s, c.duration_s, c.scores, c.artifact_uri,
           c.license, row_number() OVER (
               PARTITION BY c.video_id ORDER BY (c.scores ->> 'pose_score')::float8 DESC NULLS LAST, c.clip_id
           ) AS place
    FROM v_clips c
    WHERE c.status = 'kept'
    ORDER BY place, c.source, c.video_id
    LIMIT :most
)
SELECT r.clip_id, r.video_id, r.source, r.viewpoint, r.start_s, r.end_s, r.duration_s, r.scores, r.artifact_uri,
       r.license, v.title, v.origin_uri, pose.body_uri, pose.hand_uri,
       (SELECT a.value ->> CASE a.value ->> 'source' WHEN 'endpoint' THEN 'short' ELSE 'long' END FROM v_annotations a
        WHERE a.clip_id = r.clip_id AND a.kind = 'caption' LIMIT 1) AS description
FROM ranked r
JOIN videos v USING (video_id)
LEFT JOIN LATERAL (
    SELECT max(a.uri) FILTER (WHERE a.kind = 'body_tracks') AS body_uri,
           max(a.uri) FILTER (WHERE a.kind = 'hand_tracks') AS hand_uri
    FROM outcome_artifacts a
    JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version
    WHERE a.subject_id = r.clip_id
) pose ON true
ORDER BY r.place, r.source, v.title, r.clip_id;

-- name: report_rejections
-- One row for each video and reason, told by its longest piece; every reason in turn, so that a short list shows all.
WITH ended AS (
    SELECT o.video_id, o.reason, o.subject, o.stage, o.subject_id, o.detail,
           coalesce((c.start_s + c.end_s) / 2, v.duration_s / 2, 0) AS middle_s,
           coalesce(c.end_s - c.start_s, v.duration_s, 0) AS seconds
    FROM current_outcomes o
    JOIN videos v USING (video_id)
    LEFT JOIN clips c ON c.clip_id = o.subject_id
    LEFT JOIN video_verdicts w ON w.video_id = o.video_id
    WHERE o.outcome = 'rejected' AND c.retired_at IS NULL AND (o.subject = 'video' OR w.video_id IS NULL)
      AND v.takedown_id IS NULL
), grouped AS (
    SELECT DISTINCT ON (video_id, reason) ended.*, count(*) OVER alike AS subjects, sum(seconds) OVER alike AS all_seconds
    FROM ended
    WINDOW alike AS (PARTITION BY video_id, reason)
    ORDER BY video_id, reason, seconds DESC, subject_id
), ranked AS (
    SELECT grouped.*, count(*) OVER () AS total,
           row_number() OVER (PARTITION BY reason ORDER BY all_seconds DESC, video_id) AS place
    FROM grouped
    ORDER BY place, reason
    LIMIT :most
)
SELECT r.video_id, r.reason, r.subject, r.stage, r.subject_id, r.detail, r.middle_s, r.subjects, r.all_seconds, r.total,
       v.title, v.origin_uri, v.source, v.license, survivor.title AS survivor_title, survivor.video_id AS survivor,
       frames.uri AS frames_uri,
       EXISTS (SELECT FROM current_outcomes x WHERE x.video_id = r.video_id AND x.reason = 'restricted') AS restricted
FROM ranked r
JOIN videos v USING (video_id)
LEFT JOIN videos survivor ON survivor.video_id = r.detail ->> 'survivor' AND survivor.takedown_id IS NULL
LEFT JOIN LATERAL (
    -- an exact duplicate was never decoded: its survivor has the same pictures
    SELECT a.uri FROM outcome_artifacts a
    JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version
    WHERE a.kind = 'sampled_frames'
      AND (a.subject_id = r.video_id OR (r.reason = 'duplicate' AND a.subject_id = survivor.video_id))
    ORDER BY a.subject_id = r.video_id DESC LIMIT 1
) frames ON true
ORDER BY r.reason, r.place;

-- name: report_failures
SELECT o.stage, o.subject_id, o.reason, o.detail ->> 'error' AS error, o.retryable, v.title, v.origin_uri, v.source,
       coalesce(a.attempts, 0) AS attempts, count(*) OVER () AS total
FROM current_outcomes o
JOIN videos v USING (video_id)
LEFT JOIN attempts a ON a.stage = o.stage AND a.stage_version = o.stage_version AND a.subject_id = o.subject_id
WHERE o.outcome = 'failed' AND v.takedown_id IS NULL
ORDER BY o.ordinal, v.title, o.subject_id
LIMIT :most;

-- name: report_models
SELECT m.model_release, m.role, m.license, m.origin, m.sha256, array_agg(DISTINCT o.stage ORDER BY o.stage) AS stages
FROM current_outcomes o
CROSS JOIN LATERAL unnest(o.model_releases) AS used (model_release)
JOIN model_releases m USING (model_release)
GROUP BY m.model_release
ORDER BY m.role, m.model_release;

-- name: restrictions
-- What of a video was refused as restricted content.
SELECT subject_id FROM current_outcomes WHERE video_id = :video_id AND reason = 'restricted';

-- name: queue_shares
-- How the work was spread over the queues: what each one's workers recorded.
SELECT coalesce(r.queue, 'none') AS queue, array_agg(DISTINCT r.stage ORDER BY r.stage) AS stages,
       count(DISTINCT r.shard_id) AS shards, count(*) AS outcomes, sum(o.seconds) AS seconds
FROM outcomes o JOIN stage_runs r USING (stage_run_id)
GROUP BY 1 ORDER BY 1;
