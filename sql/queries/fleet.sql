-- What an hour of video costs, measured in this catalog: `humannet plan` asks it. Every statement reads whole tables.

-- name: fleet_hours
-- The head of the funnel: hours and videos that the first stage kept.
SELECT count(*) AS videos, coalesce(sum(v.duration_s), 0) / 3600 AS hours
FROM stages s
JOIN outcomes o ON o.stage = s.stage AND o.stage_version = s.version AND o.outcome = 'kept'
JOIN videos v ON v.video_id = o.subject_id
WHERE s.ordinal = (SELECT min(ordinal) FROM stages);

-- name: fleet_stages
-- Totals of each stage at its current version. `planned_s` is the length that planning gives each subject
-- (plan_video_shards, plan_clip_shards). `overhead_s`: seconds of all runs in which no subject was worked on.
SELECT s.stage, s.queue, s.subject, s.needs, done.subjects, done.worked, done.work_s, done.planned_s, ran.runs,
       greatest(0, ran.run_s - ran.subject_s)::float8 AS overhead_s
FROM stages s
CROSS JOIN LATERAL (
    SELECT count(*) AS subjects, count(*) FILTER (WHERE o.outcome <> 'skipped') AS worked, sum(o.seconds) AS work_s,
           sum(CASE WHEN c.clip_id IS NOT NULL THEN greatest(c.end_s - c.start_s, 0.1)
                    WHEN s.ordinal = (SELECT min(ordinal) FROM stages) THEN 20
                    ELSE greatest(coalesce(v.duration_s, 20), 2) END) AS planned_s
    FROM outcomes o
    JOIN videos v ON v.video_id = o.video_id
    LEFT JOIN clips c ON c.clip_id = o.subject_id
    WHERE o.stage = s.stage AND o.stage_version = s.version
) done
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, coalesce(sum(extract(epoch FROM r.ended_at - r.started_at)), 0) AS run_s,
           coalesce(sum((SELECT sum(o.seconds) FROM outcomes o
                         WHERE o.stage = s.stage AND o.stage_run_id = r.stage_run_id)), 0) AS subject_s
    FROM stage_runs r
    WHERE r.stage = s.stage AND r.stage_version = s.version AND r.status = 'succeeded'
) ran
WHERE s.ordinal IS NOT NULL AND done.subjects > 0
ORDER BY s.ordinal;

-- name: fleet_objects
-- What each stage stored, by kind; equal content is one object.
SELECT stage, kind, count(*) AS objects, sum(bytes)::float8 AS bytes
FROM (
    SELECT DISTINCT s.ordinal, s.stage, f.kind, f.uri, f.bytes
    FROM stages s
    JOIN outcome_artifacts a ON a.stage = s.stage AND a.stage_version = s.version
    JOIN artifacts f ON f.uri = a.uri
    WHERE s.ordinal IS NOT NULL
) stored
GROUP BY ordinal, stage, kind
ORDER BY ordinal, kind;

-- name: fleet_tables
-- Rows and bytes of each table that grows with the corpus, but for review_causes, which `reader` may not see: its
-- partitions, TOAST and indexes, by their main forks, which is pg_total_relation_size without the maps of free space. Of
-- each file, what it has in an empty table is left out (a page of an index, three of a BRIN index), and a page of a heap,
-- whose last is half full on average: a small catalog would count little else.
WITH counted (name, rows) AS (
    SELECT 'videos', count(*) FROM videos
    UNION ALL SELECT 'clips', count(*) FROM clips
    UNION ALL SELECT 'outcomes', count(*) FROM outcomes
    UNION ALL SELECT 'attempts', count(*) FROM attempts
    UNION ALL SELECT 'shards', count(*) FROM shards
    UNION ALL SELECT 'shard_subjects', count(*) FROM shard_subjects
    UNION ALL SELECT 'stage_runs', count(*) FROM stage_runs
    UNION ALL SELECT 'artifacts', count(*) FROM artifacts
    UNION ALL SELECT 'outcome_artifacts', count(*) FROM outcome_artifacts
    UNION ALL SELECT 'annotations', count(*) FROM annotations
    UNION ALL SELECT 'labels', count(*) FROM labels
    UNION ALL SELECT 'embeddings', count(*) FROM embeddings
    UNION ALL SELECT 'fingerprints', count(*) FROM fingerprints
    UNION ALL SELECT 'copies', count(*) FROM copies
    UNION ALL SELECT 'language_answers', count(*) FROM language_answers
    UNION ALL SELECT 'language_calls', count(*) FROM language_calls
), heaps AS (
    SELECT name, name::regclass::oid AS relation FROM counted
    UNION SELECT name, t.relid::oid FROM counted, pg_partition_tree(name::regclass) t
), stored AS (
    SELECT name, relation FROM heaps
    UNION SELECT name, c.reltoastrelid FROM heaps JOIN pg_class c ON c.oid = relation WHERE c.reltoastrelid <> 0
), files AS (
    SELECT name, relation FROM stored
    UNION SELECT name, i.indexrelid FROM stored JOIN pg_index i ON i.indrelid = relation
)
SELECT name, rows,
       sum(greatest(0, pg_relation_size(c.oid) - b.block * CASE a.amname WHEN 'brin' THEN 3 ELSE 1 END))::float8 AS bytes
FROM counted
JOIN files USING (name)
JOIN pg_class c ON c.oid = relation
LEFT JOIN pg_am a ON a.oid = c.relam
CROSS JOIN (SELECT current_setting('block_size')::int AS block) b
WHERE rows > 0 AND c.relkind IN ('r', 't', 'i')
GROUP BY name, rows
ORDER BY name;
