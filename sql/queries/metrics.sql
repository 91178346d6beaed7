-- What `humannet metrics` asks, again and again, so each question says what bounds it at 100 million clips. The quick
-- ones read an index over a window, or the few rows of a partial index; the thorough ones read whole tables or many
-- crawl days, and are therefore asked the more seldom the longer they take (humannet_ops/metrics/collector.py).

-- name: limit_statement$
-- A slow catalog makes a missing metric, not a hanging one.
SELECT set_config('statement_timeout', :milliseconds::text, false);

-- name: metrics_outcomes
-- Quick: outcomes_recorded (BRIN) and one look-up a subject. Work done at any version, also what was done again.
SELECT o.stage, o.outcome, coalesce(o.reason, '') AS reason, count(*) AS subjects, sum(o.seconds) AS work_s,
       coalesce(sum(CASE WHEN c.clip_id IS NULL THEN v.duration_s ELSE c.end_s - c.start_s END), 0) / 3600 AS hours
FROM outcomes o
JOIN videos v USING (video_id)
LEFT JOIN clips c ON c.clip_id = o.subject_id
WHERE o.recorded_at > now() - make_interval(secs => :window_s)
GROUP BY o.stage, o.outcome, o.reason;

-- name: metrics_hours
-- Quick, as metrics_outcomes: hours that came in (the first stage kept them) and hours whose way ended well (the last).
SELECT v.source, CASE WHEN o.stage = ends.first THEN 'in' ELSE 'kept' END AS state,
       coalesce(sum(CASE WHEN c.clip_id IS NULL THEN v.duration_s ELSE c.end_s - c.start_s END), 0) / 3600 AS hours
FROM (
    SELECT (array_agg(stage ORDER BY ordinal))[1] AS first, (array_agg(stage ORDER BY ordinal DESC))[1] AS last
    FROM stages WHERE ordinal IS NOT NULL
) ends
JOIN outcomes o ON o.stage IN (ends.first, ends.last)
JOIN videos v USING (video_id)
LEFT JOIN clips c ON c.clip_id = o.subject_id
WHERE o.outcome IN ('kept', 'skipped') AND o.recorded_at > now() - make_interval(secs => :window_s)
GROUP BY v.source, o.stage = ends.first;

-- name: metrics_running
-- Quick: stage_runs_running holds only what runs. Stale: it runs for longer than a task may, or the shard was begun
-- again since, so its worker is dead and nobody said so.
SELECT r.stage, coalesce(r.queue, 'none') AS queue, count(*) FILTER (WHERE NOT stale) AS running,
       count(*) FILTER (WHERE stale) AS stale,
       coalesce(extract(epoch FROM now() - min(r.started_at) FILTER (WHERE NOT stale)), 0)::float8 AS oldest_s
FROM stage_runs r
CROSS JOIN LATERAL (
    SELECT r.started_at < now() - make_interval(secs => :longest_s) OR EXISTS (
        SELECT FROM stage_runs n WHERE n.shard_id = r.shard_id AND n.started_at > r.started_at
    ) AS stale
) judged
WHERE r.status = 'running'
GROUP BY r.stage, r.queue;

-- name: metrics_worker_time
-- Quick: stage_runs_started. Seconds in which a worker's slot held a shard within the window, and how the runs ended.
SELECT r.stage, coalesce(r.queue, 'none') AS queue, r.status, count(*) AS runs,
       sum(extract(epoch FROM least(coalesce(r.ended_at, now()), now()) - greatest(r.started_at, w.since)))::float8
           AS slot_s
FROM (SELECT now() - make_interval(secs => :window_s) AS since) w
JOIN stage_runs r ON r.started_at > w.since - make_interval(secs => :longest_s)
WHERE r.ended_at > w.since OR (r.status = 'running' AND NOT EXISTS (
    SELECT FROM stage_runs n WHERE n.shard_id = r.shard_id AND n.started_at > r.started_at
))
GROUP BY r.stage, r.queue, r.status;

-- name: metrics_waiting
-- Quick: shards_planned over a week, and stage_runs_shard. Shards that were planned and that no worker has begun, while
-- something in them is still due.
SELECT s.stage, s.queue, count(*) AS shards,
       extract(epoch FROM now() - min(p.planned_at))::float8 AS oldest_s
FROM shards p
JOIN stages s ON s.stage = p.stage AND s.version = p.stage_version
WHERE p.planned_at > now() - interval '7 days'
  AND NOT EXISTS (SELECT FROM stage_runs r WHERE r.shard_id = p.shard_id)
  AND EXISTS (
      SELECT FROM shard_subjects x
      JOIN videos v ON v.video_id = coalesce((SELECT video_id FROM clips WHERE clip_id = x.subject_id), x.subject_id)
      WHERE x.shard_id = p.shard_id AND v.takedown_id IS NULL
        AND NOT EXISTS (
            SELECT FROM outcomes o
            WHERE (o.stage, o.subject_id, o.stage_version) = (p.stage, x.subject_id, p.stage_version)
        )
  )
GROUP BY s.stage, s.queue;

-- name: metrics_task_failures
-- Quick: the newest rows by their key. What Airflow's callbacks told, missed deadlines among it.
SELECT dag_id, task_id, count(*) AS failures
FROM task_failures
WHERE failure_id > (SELECT max(failure_id) FROM task_failures) - 10000
  AND failed_at > now() - make_interval(secs => :window_s)
GROUP BY dag_id, task_id;

-- name: metrics_takedowns
-- Quick: partial indexes hold only what is still to be done (videos_uncleared, object_removals_queue).
SELECT (SELECT count(DISTINCT open.takedown_id) FROM (
            SELECT takedown_id FROM takedowns WHERE sealed_at IS NULL
            UNION ALL
            SELECT takedown_id FROM videos WHERE takedown_id IS NOT NULL AND cleared_at IS NULL
            UNION ALL
            SELECT takedown_id FROM object_removals WHERE removed_at IS NULL
        ) open) AS takedowns,
       q.queued, q.refused, q.oldest_s
FROM (
    SELECT count(*) FILTER (WHERE error IS NULL) AS queued, count(*) FILTER (WHERE error IS NOT NULL) AS refused,
           coalesce(extract(epoch FROM now() - min(queued_at)), 0)::float8 AS oldest_s
    FROM object_removals WHERE removed_at IS NULL
) q;

-- name: metrics_due
-- Thorough: the crawl days that were crawled in the last :days days, and some look-ups by key a subject of them. What
-- plan_video_shards and plan_clip_shards would find (tests/metrics compares), and since when it could have been done.
WITH recent AS (
    SELECT DISTINCT partition_key FROM crawls WHERE ended_at > now() - make_interval(days => :days)
), subjects AS (
    SELECT 'video' AS subject, v.video_id AS subject_id, v.video_id, v.discovered_at
    FROM videos v JOIN recent USING (partition_key) WHERE v.takedown_id IS NULL
    UNION ALL
    SELECT 'clip', c.clip_id, v.video_id, v.discovered_at
    FROM videos v JOIN recent USING (partition_key) JOIN clips c ON c.video_id = v.video_id AND c.retired_at IS NULL
    WHERE v.takedown_id IS NULL
)
SELECT s.stage, s.queue, count(*) AS subjects,
       extract(epoch FROM now() - min(greatest(ready.at, o.recorded_at)))::float8 AS oldest_s
FROM subjects x
JOIN stages s ON s.subject = x.subject AND s.ordinal IS NOT NULL
LEFT JOIN outcomes o ON (o.stage, o.subject_id, o.stage_version) = (s.stage, x.subject_id, s.version)
LEFT JOIN attempts a ON (a.stage, a.subject_id, a.stage_version) = (s.stage, x.subject_id, s.version)
CROSS JOIN LATERAL (
    SELECT count(*) AS needs, coalesce(max(k.recorded_at), x.discovered_at) AS at
    FROM stages n
    JOIN outcomes k ON k.stage = n.stage AND k.stage_version = n.version
    WHERE n.stage = ANY (s.needs) AND k.subject_id IN (x.subject_id, x.video_id) AND k.outcome IN ('kept', 'skipped')
) ready
WHERE (o.stage IS NULL OR (o.outcome = 'failed' AND o.retryable AND coalesce(a.attempts, 0) < :max_attempts))
  AND ready.needs = cardinality(s.needs)
  AND NOT EXISTS (
      SELECT FROM postponements p WHERE p.stage = s.stage AND p.subject_id = x.subject_id AND p.until > now()
  )
GROUP BY s.stage, s.queue;

-- name: metrics_postponed
-- Thorough: all postponements.
SELECT stage, cause, count(*) AS subjects FROM postponements WHERE until > now() GROUP BY stage, cause;

-- name: metrics_funnel
-- As v_funnel counts: without what was taken down or retired.
SELECT stage, outcome, coalesce(reason, '') AS reason,
       sum(CASE WHEN subject = 'clip' THEN clips ELSE videos END)::bigint AS subjects
FROM funnel_counts GROUP BY stage, outcome, reason;

-- name: metrics_corpus
-- Thorough: all videos and all outcomes. The same hours as `humannet status` prints.
SELECT v.source, count(*) AS videos, coalesce(sum(v.duration_s), 0) / 3600 AS hours_in,
       coalesce(sum(y.kept_s), 0) / 3600 AS hours_kept
FROM videos v LEFT JOIN video_yields y USING (video_id)
WHERE v.takedown_id IS NULL
GROUP BY v.source;
