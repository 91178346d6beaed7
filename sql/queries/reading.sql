-- name: funnel
-- v_funnel, of one source or of all.
SELECT stage, outcome, reason, sum(videos)::bigint AS videos, sum(clips)::bigint AS clips,
       sum(microseconds)::float8 / 3.6e9 AS hours
FROM funnel_counts
WHERE :source::text IS NULL OR source = :source
GROUP BY ordinal, stage, outcome, reason
ORDER BY ordinal, outcome, reason;

-- name: source_names
SELECT source FROM sources ORDER BY source;

-- name: waiting
-- What must wait before it is due, by cause.
SELECT p.stage, p.cause, count(*) AS subjects, min(p.until) AS first_at
FROM postponements p
LEFT JOIN clips c ON c.clip_id = p.subject_id
JOIN videos v ON v.video_id = coalesce(c.video_id, p.subject_id)
WHERE p.until > now() AND v.takedown_id IS NULL AND (:source::text IS NULL OR v.source = :source)
  AND (:video_id::text IS NULL OR v.video_id = :video_id)
GROUP BY p.stage, p.cause ORDER BY p.stage, p.cause;

-- name: due
-- What is next at the versions that count now, by stage: how many subjects, how many of them it did before (at another
-- version, or in vain) and what came out then.
WITH on_videos AS (
    SELECT DISTINCT ON (v.video_id) v.video_id AS subject_id, v.video_id, s.stage, s.ordinal, s.subject
    FROM v_videos v CROSS JOIN stages s
    WHERE v.status = 'pending' AND s.subject = 'video' AND s.ordinal IS NOT NULL AND (:source::text IS NULL OR v.source = :source)
      AND (:video_id::text IS NULL OR v.video_id = :video_id)
      AND NOT EXISTS (SELECT FROM current_outcomes o WHERE o.stage = s.stage AND o.subject_id = v.video_id)
    ORDER BY v.video_id, s.ordinal
), on_clips AS (
    SELECT DISTINCT ON (c.clip_id) c.clip_id AS subject_id, c.video_id, s.stage, s.ordinal, s.subject
    FROM v_clips c CROSS JOIN stages s
    WHERE c.status = 'pending' AND s.subject = 'clip' AND s.ordinal IS NOT NULL AND (:source::text IS NULL OR c.source = :source)
      AND (:video_id::text IS NULL OR c.video_id = :video_id) AND (:clip_id::text IS NULL OR c.clip_id = :clip_id)
      AND NOT EXISTS (SELECT FROM current_outcomes o WHERE o.stage = s.stage AND o.subject_id = c.clip_id)
      AND NOT EXISTS (SELECT FROM on_videos d WHERE d.video_id = c.video_id)
    ORDER BY c.clip_id, s.ordinal
), again AS (
    SELECT o.subject_id, o.video_id, o.stage, o.ordinal, o.subject
    FROM current_outcomes o
    JOIN videos v USING (video_id)
    LEFT JOIN attempts a USING (stage, stage_version, subject_id)
    WHERE o.outcome = 'failed' AND o.retryable AND coalesce(a.attempts, 0) < :max_attempts AND v.takedown_id IS NULL
      AND (:source::text IS NULL OR v.source = :source) AND (:video_id::text IS NULL OR v.video_id = :video_id)
      AND (:clip_id::text IS NULL OR o.subject_id IN (:clip_id, :video_id))
), due AS (
    SELECT * FROM on_videos UNION ALL SELECT * FROM on_clips UNION ALL SELECT * FROM again
)
SELECT d.stage, d.subject, count(*) AS subjects, count(o.outcome) AS before,
       string_agg(DISTINCT o.outcome || coalesce(' as ' || o.reason, ''), ', ') AS ended
FROM due d
LEFT JOIN LATERAL (
    SELECT outcome, reason FROM outcomes
    WHERE stage = d.stage AND subject_id = d.subject_id ORDER BY recorded_at DESC LIMIT 1
) o ON true
WHERE NOT EXISTS (
    SELECT FROM postponements p WHERE p.stage = d.stage AND p.subject_id = d.subject_id AND p.until > now()
)
GROUP BY d.ordinal, d.stage, d.subject
ORDER BY d.ordinal;

-- name: ledger^
SELECT count(*) AS videos,
       count(*) FILTER (WHERE status = 'kept') AS kept,
       count(*) FILTER (WHERE status = 'rejected') AS rejected,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'pending') AS pending,
       coalesce(sum(duration_s), 0) / 3600 AS hours
FROM v_videos
WHERE :source::text IS NULL OR source = :source;

-- name: clip_ledger^
SELECT count(*) AS clips,
       count(*) FILTER (WHERE status = 'kept') AS kept,
       count(*) FILTER (WHERE status = 'rejected') AS rejected,
       count(*) FILTER (WHERE status = 'failed') AS failed,
       count(*) FILTER (WHERE status = 'pending') AS pending,
       coalesce(sum(duration_s) FILTER (WHERE status = 'kept'), 0) / 3600 AS kept_hours
FROM v_clips
WHERE :source::text IS NULL OR source = :source;

-- name: video_reasons
SELECT status, reason, count(*) AS videos, min(title) AS example
FROM v_videos
WHERE :source::text IS NULL OR source = :source
GROUP BY status, reason ORDER BY status, reason;

-- name: lineage
-- v_lineage of one clip. Its video's outcomes are read for themselves, in every partition by one index: to join as many
-- partitions as there are stages takes longer to plan than to do.
SELECT c.clip_id, row_number() OVER (ORDER BY s.ordinal, o.recorded_at, a.kind) AS seq, o.stage,
       o.stage_version, o.outcome, o.reason, o.scores, o.policy_version, o.model_releases, r.dag_id, r.run_id, r.task_id,
       r.try_number, r.worker, r.queue, o.started_at, o.seconds, r.code_revision, a.uri AS artifact_uri,
       f.sha256 AS artifact_sha256
FROM clips c
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
CROSS JOIN LATERAL (SELECT * FROM outcomes WHERE video_id = c.video_id OFFSET 0) o
JOIN stages s ON s.stage = o.stage
JOIN stage_runs r USING (stage_run_id)
LEFT JOIN outcome_artifacts a
    ON (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)
LEFT JOIN artifacts f ON f.uri = a.uri
WHERE c.clip_id = :clip_id AND o.subject_id IN (c.clip_id, c.video_id)
ORDER BY seq;

-- name: video_lineage
-- v_lineage's columns, of what was done to a video itself.
SELECT o.subject_id AS video_id, row_number() OVER (ORDER BY s.ordinal, o.recorded_at, a.kind) AS seq, o.stage,
       o.stage_version, o.outcome, o.reason, o.scores, o.policy_version, o.model_releases, r.dag_id, r.run_id, r.task_id,
       r.try_number, r.worker, r.queue, o.started_at, o.seconds, r.code_revision, a.uri AS artifact_uri,
       f.sha256 AS artifact_sha256
FROM videos v
JOIN outcomes o ON o.subject_id = v.video_id
JOIN stages s ON s.stage = o.stage
JOIN stage_runs r USING (stage_run_id)
LEFT JOIN outcome_artifacts a
    ON (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)
LEFT JOIN artifacts f ON f.uri = a.uri
WHERE v.video_id = :video_id AND v.takedown_id IS NULL
ORDER BY seq;

-- name: clips
SELECT clip_id, start_s, end_s, status, reason FROM v_clips WHERE video_id = :video_id ORDER BY start_s, clip_id;

-- name: clip^
SELECT * FROM v_clips WHERE clip_id = :clip_id;

-- name: annotations_of
SELECT kind, model_release, value FROM v_annotations WHERE clip_id = :clip_id ORDER BY kind, model_release;

-- name: video^
SELECT * FROM v_videos WHERE video_id = :video_id;

-- name: video_outcomes
-- Everything decided about a video and its clips, at the versions that count.
SELECT o.stage, o.subject_id, o.outcome, o.reason, o.scores, o.detail, o.policy_version, o.model_releases, o.seconds,
       o.recorded_at, s.title AS survivor_title
FROM current_outcomes o
LEFT JOIN videos s ON s.video_id = o.detail ->> 'survivor' AND s.takedown_id IS NULL
WHERE o.video_id = :video_id AND (:clip_id::text IS NULL OR o.subject_id IN (:clip_id, :video_id))
ORDER BY o.ordinal, o.subject_id;

-- name: failures
SELECT o.stage, o.subject_id, o.video_id, v.title, o.reason, o.detail ->> 'error' AS error, o.retryable,
       coalesce(a.attempts, 0) AS attempts
FROM current_outcomes o
JOIN videos v USING (video_id)
LEFT JOIN attempts a ON a.stage = o.stage AND a.stage_version = o.stage_version AND a.subject_id = o.subject_id
WHERE o.outcome = 'failed' AND v.takedown_id IS NULL AND (:source::text IS NULL OR v.source = :source)
ORDER BY o.ordinal, v.title, o.subject_id;

-- name: forget_failures!
-- `humannet retry`: failed subjects become due again, with all their attempts.
WITH chosen AS (
    SELECT o.stage, o.subject_id, o.stage_version
    FROM outcomes o
    JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version
    WHERE o.outcome = 'failed'
      AND (:stage::text IS NULL OR o.stage = :stage)
      AND (:video_id::text IS NULL OR o.video_id = :video_id)
      AND (:reason::text IS NULL OR o.reason = :reason)
), reset AS (
    DELETE FROM attempts a USING chosen c
    WHERE (a.stage, a.subject_id, a.stage_version) = (c.stage, c.subject_id, c.stage_version)
)
DELETE FROM outcomes o USING chosen c
WHERE (o.stage, o.subject_id, o.stage_version) = (c.stage, c.subject_id, c.stage_version);

-- name: stage_versions
SELECT stage, version, subject, queue FROM stages WHERE ordinal IS NOT NULL ORDER BY ordinal;

-- name: artifact_uris
SELECT uri FROM artifacts ORDER BY uri;

-- name: missing_needs
-- For `humannet stage run`: which earlier stages have not kept this video.
SELECT need.stage
FROM unnest(:needs::text[], :need_versions::text[]) AS need (stage, version)
WHERE NOT EXISTS (
    SELECT FROM outcomes o
    WHERE o.stage = need.stage AND o.stage_version = need.version AND o.video_id = :video_id AND o.outcome IN ('kept', 'skipped')
);

-- name: videos
SELECT video_id, source, title, status, reason, duration_s, width, height, fps
FROM v_videos
WHERE :source::text IS NULL OR source = :source
ORDER BY source, title, video_id;

-- name: migration$
SELECT version_num FROM alembic_version;

-- name: is_migrated$
SELECT to_regclass('alembic_version') IS NOT NULL;

-- name: pose_question^
-- A person's statement, for open_answer. The whole answer is wanted, not its first rows soon.
SELECT set_config('humannet.question', :statement, true), set_config('cursor_tuple_fraction', '1', true);

-- name: open_answer#
-- Postgres itself refuses what is not one statement, or gives no rows: only such a statement can be a cursor's.
DO $$
DECLARE
    answer refcursor := 'answer';
BEGIN
    OPEN answer NO SCROLL FOR EXECUTE current_setting('humannet.question');
END $$;
