-- name: lock_plan
-- Planning one stage of one partition takes turns, so that no subject lands in two fresh shards.
SELECT pg_advisory_xact_lock(hashtext('plan'), hashtext(:stage || ' ' || :partition_key));

-- name: begin_turn!
-- Let this run plan the crawl day if nobody ever did.
INSERT INTO turns (dag_id, partition_key, run_id) VALUES (:dag_id, :partition_key, :run_id) ON CONFLICT DO NOTHING;

-- name: turn^
-- Which run has a crawl day, and which waits for it.
SELECT run_id, next_run_id FROM turns WHERE dag_id = :dag_id AND partition_key = :partition_key;

-- name: change_turn!
-- Nothing is changed where somebody else was first.
UPDATE turns
SET run_id = :run_id, next_run_id = :next_run_id, since = CASE WHEN run_id = :run_id THEN since ELSE now() END
WHERE dag_id = :dag_id AND partition_key = :partition_key
  AND run_id = :seen_run_id AND next_run_id IS NOT DISTINCT FROM :seen_next_run_id;

-- name: plan_video_shards
-- What is due = videos without an outcome at the stage's version (or with a failure that may be tried again) whose
-- needs are met. Packed into shards of about :shard_seconds of video, at most 1000 of them: what was tried before comes
-- first, then the sources take turns, so that a large one does not hold up the small. Before a video is
-- fetched its length is unknown: 20 s stands for it, so that a shard of 1800 s fetches 90 videos.
WITH due AS (
    SELECT v.video_id AS subject_id, v.video_id, v.source, coalesce(v.title, v.origin_uri) AS label,
           EXISTS (
               SELECT FROM attempts a
               WHERE a.stage = :stage AND a.stage_version = :version AND a.subject_id = v.video_id
           ) AS tried,
           greatest(coalesce(v.duration_s, 20), 2) AS seconds
    FROM videos v
    WHERE v.partition_key = :partition_key AND v.takedown_id IS NULL
      AND (:source::text IS NULL OR v.source = :source)
      AND (:video_id::text IS NULL OR v.video_id = :video_id)
      AND NOT EXISTS (
          SELECT FROM outcomes o
          LEFT JOIN attempts a USING (stage, stage_version, subject_id)
          WHERE o.stage = :stage AND o.stage_version = :version AND o.subject_id = v.video_id
            AND NOT (o.outcome = 'failed' AND o.retryable AND coalesce(a.attempts, 0) < :max_attempts)
      )
      AND NOT EXISTS (
          SELECT FROM postponements p
          WHERE p.stage = :stage AND p.subject_id = v.video_id AND p.until > now()
      )
      AND NOT EXISTS (
          SELECT FROM unnest(:needs::text[], :need_versions::text[]) AS need (stage, version)
          WHERE NOT EXISTS (
              SELECT FROM outcomes o
              WHERE o.stage = need.stage AND o.stage_version = need.version
                AND o.subject_id = v.video_id AND o.outcome IN ('kept', 'skipped')
          )
      )
), turns AS (
    SELECT *, row_number() OVER (PARTITION BY tried, source ORDER BY video_id) AS turn FROM due
), packed AS (
    SELECT *, CASE WHEN :whole_partition THEN 0 ELSE floor(
        (sum(seconds) OVER (ORDER BY tried DESC, turn, video_id) - seconds)
        / greatest(:shard_seconds::float8, sum(seconds) OVER () / 999)) END AS bin
    FROM turns
)
SELECT subject_id, label, bin::int AS bin FROM packed ORDER BY bin, tried DESC, turn, video_id;

-- name: plan_clip_shards
-- The same for clips. A video's clips stay together, so that what was measured on it is read once. Outcomes are found by
-- their videos, of which there are far fewer than clips; the clips themselves are looked at last, when few are left.
WITH day AS MATERIALIZED (
    SELECT video_id, source, coalesce(title, origin_uri) AS label
    FROM videos
    WHERE partition_key = :partition_key AND takedown_id IS NULL
      AND (:source::text IS NULL OR source = :source)
      AND (:video_id::text IS NULL OR video_id = :video_id)
), final AS MATERIALIZED (
    SELECT o.subject_id
    FROM day JOIN outcomes o USING (video_id)
    WHERE o.stage = :stage AND o.stage_version = :version
      AND NOT (o.outcome = 'failed' AND o.retryable AND :max_attempts > coalesce((
          SELECT a.attempts FROM attempts a
          WHERE (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)
      ), 0))
), met AS MATERIALIZED (
    SELECT o.video_id, o.subject_id, count(*) AS needs
    FROM day JOIN outcomes o USING (video_id)
    JOIN unnest(:needs::text[], :need_versions::text[]) AS need (stage, version)
        ON need.stage = o.stage AND need.version = o.stage_version
    WHERE o.stage = ANY (:needs::text[]) AND o.outcome IN ('kept', 'skipped')
    GROUP BY o.video_id, o.subject_id
), ready AS (
    SELECT video_id, subject_id FROM met WHERE subject_id <> video_id AND needs = cardinality(:needs::text[])
    UNION ALL
    SELECT c.video_id, c.clip_id
    FROM met of_video
    JOIN clips c ON c.video_id = of_video.video_id
    LEFT JOIN met of_clip ON of_clip.subject_id = c.clip_id
    WHERE of_video.subject_id = of_video.video_id
      AND of_video.needs + coalesce(of_clip.needs, 0) = cardinality(:needs::text[])
), due AS (
    SELECT c.clip_id AS subject_id, c.video_id, v.source, v.label,
           EXISTS (
               SELECT FROM attempts a
               WHERE a.stage = :stage AND a.stage_version = :version AND a.subject_id = c.clip_id
           ) AS tried,
           greatest(c.end_s - c.start_s, 0.1) AS seconds, c.start_frame
    FROM (
        SELECT video_id, subject_id FROM ready r
        WHERE NOT EXISTS (SELECT FROM final f WHERE f.subject_id = r.subject_id)
        OFFSET 0
    ) r
    JOIN day v ON v.video_id = r.video_id
    JOIN clips c ON c.clip_id = r.subject_id AND c.retired_at IS NULL
    WHERE NOT EXISTS (
        SELECT FROM postponements p
        WHERE p.stage = :stage AND p.subject_id = c.clip_id AND p.until > now()
    )
), by_video AS (
    SELECT video_id, source, bool_or(tried) AS tried, sum(seconds) AS seconds FROM due GROUP BY video_id, source
), turns AS (
    SELECT *, row_number() OVER (PARTITION BY tried, source ORDER BY video_id) AS turn FROM by_video
), packed AS (
    SELECT *, CASE WHEN :whole_partition THEN 0 ELSE floor(
        (sum(seconds) OVER (ORDER BY tried DESC, turn, video_id) - seconds)
        / greatest(:shard_seconds::float8, sum(seconds) OVER () / 999)) END AS bin
    FROM turns
)
SELECT due.subject_id, due.label, packed.bin::int AS bin
FROM due JOIN packed USING (video_id)
ORDER BY packed.bin, packed.tried DESC, packed.turn, due.video_id, due.start_frame, due.subject_id;

-- name: insert_shard!
INSERT INTO shards (shard_id, stage, stage_version, partition_key, label, dag_id, run_id)
VALUES (:shard_id, :stage, :version, :partition_key, :label, :dag_id, :run_id);

-- name: insert_shard_subjects!
INSERT INTO shard_subjects (shard_id, ordinal, subject_id) VALUES %s;

-- name: get_shard^
SELECT shard_id, stage, stage_version, partition_key, label FROM shards WHERE shard_id = :shard_id;

-- name: shard_videos
-- The shard's videos that still have no final outcome, in planned order. Finished ones are not done twice.
SELECT v.video_id, v.source, f.kind, v.origin_uri, v.signature, v.title, v.license, v.sha256, v.duration_s, v.width, v.height,
       v.fps, v.published, coalesce(t.attempts, 0) AS attempts
FROM shard_subjects s
JOIN videos v ON v.video_id = s.subject_id
JOIN sources f USING (source)
LEFT JOIN attempts t ON t.stage = :stage AND t.stage_version = :version AND t.subject_id = s.subject_id
WHERE s.shard_id = :shard_id AND v.takedown_id IS NULL
  AND NOT EXISTS (
      SELECT FROM outcomes o
      WHERE o.stage = :stage AND o.stage_version = :version AND o.subject_id = s.subject_id
        AND NOT (o.outcome = 'failed' AND o.retryable AND coalesce(t.attempts, 0) < :max_attempts)
  )
ORDER BY s.ordinal;

-- name: shard_clips
SELECT c.clip_id, c.shot, c.start_frame, c.end_frame, c.start_s, c.end_s,
       v.video_id, v.source, f.kind, v.origin_uri, v.signature, v.title, v.license, v.sha256, v.duration_s, v.width, v.height,
       v.fps, v.published, coalesce(t.attempts, 0) AS attempts,
       (SELECT o.detail ->> 'viewpoint' FROM outcomes o JOIN stages d ON d.stage = o.stage AND d.version = o.stage_version
        WHERE o.stage = 'decide' AND o.subject_id = c.clip_id) AS viewpoint
FROM shard_subjects s
JOIN clips c ON c.clip_id = s.subject_id
JOIN videos v ON v.video_id = c.video_id
JOIN sources f USING (source)
LEFT JOIN attempts t ON t.stage = :stage AND t.stage_version = :version AND t.subject_id = s.subject_id
WHERE s.shard_id = :shard_id AND v.takedown_id IS NULL
  AND NOT EXISTS (
      SELECT FROM outcomes o
      WHERE o.stage = :stage AND o.stage_version = :version AND o.subject_id = s.subject_id
        AND NOT (o.outcome = 'failed' AND o.retryable AND coalesce(t.attempts, 0) < :max_attempts)
  )
ORDER BY s.ordinal;

-- name: subject_inputs
-- What earlier stages stored for these subjects, at the versions that count now.
SELECT a.subject_id, f.kind, f.sha256, f.uri, f.bytes, f.media_type
FROM outcome_artifacts a
JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version
JOIN artifacts f ON f.uri = a.uri
JOIN outcomes o ON (o.stage, o.subject_id, o.stage_version) = (a.stage, a.subject_id, a.stage_version)
JOIN videos v ON v.video_id = o.video_id AND v.takedown_id IS NULL
WHERE a.subject_id = ANY(:subject_ids);

-- name: clip_scores
-- What earlier stages measured of these clips, at the versions that count now, in the stages' order: as v_clips does.
SELECT o.subject_id AS clip_id, o.scores
FROM outcomes o
JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version AND s.ordinal IS NOT NULL
JOIN videos v ON v.video_id = o.video_id AND v.takedown_id IS NULL
WHERE o.subject_id = ANY(:clip_ids) AND o.scores <> '{}' AND o.stage <> 'cut'
ORDER BY s.ordinal;

-- name: clip_annotations
-- What earlier stages say about these clips, likewise.
SELECT a.clip_id, a.kind, a.value
FROM annotations a
JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version AND s.ordinal IS NOT NULL
JOIN clips c ON c.clip_id = a.clip_id
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
WHERE a.clip_id = ANY(:clip_ids)
ORDER BY s.ordinal, a.model_release;

-- name: due_stages
-- Which of these stages a crawl day has subjects for that are still on their way: without a final outcome there, and
-- neither rejected nor failed elsewhere. Whether their needs are met is not asked: that may come about before their turn.
-- A video at a time, as day_work: what is joined stays small, whatever the planner knows.
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest(:stages::text[], :versions::text[], :subjects::text[]) WITH ORDINALITY AS w (stage, version, subject, place)
)
SELECT w.stage
FROM videos v
CROSS JOIN LATERAL (
    WITH said AS MATERIALIZED (
        SELECT o.subject_id, array_agg(o.stage) FILTER (WHERE s.stage IS NOT NULL AND o.outcome IN ('rejected', 'failed')) AS ended,
               array_agg(o.stage) FILTER (WHERE w.stage IS NOT NULL AND NOT (
                   o.outcome = 'failed' AND o.retryable AND :max_attempts > coalesce((
                       SELECT a.attempts FROM attempts a
                       WHERE (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)
                   ), 0))) AS final
        FROM outcomes o
        LEFT JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version AND s.ordinal IS NOT NULL
        LEFT JOIN asked w ON w.stage = o.stage AND w.version = o.stage_version
        WHERE o.video_id = v.video_id
        GROUP BY o.subject_id
    )
    SELECT DISTINCT w.stage, w.place
    FROM (
        SELECT 'video' AS subject, v.video_id AS subject_id
        UNION ALL
        SELECT 'clip', c.clip_id FROM clips c WHERE c.video_id = v.video_id AND c.retired_at IS NULL
    ) x
    JOIN asked w ON w.subject = x.subject
    LEFT JOIN said own ON own.subject_id = x.subject_id
    LEFT JOIN said of_video ON of_video.subject_id = v.video_id
    WHERE w.stage <> ALL (coalesce(own.final, '{}'))
      AND coalesce(own.ended, '{}') || coalesce(of_video.ended, '{}') <@ ARRAY[w.stage]
    OFFSET 0
) w
WHERE v.partition_key = :partition_key AND v.takedown_id IS NULL
GROUP BY w.stage, w.place
ORDER BY w.place;

-- name: unsettled_days
-- Crawl days that are not known to be settled. The index is jumped through, one look-up a day.
WITH RECURSIVE days AS (
    (SELECT partition_key FROM videos ORDER BY partition_key LIMIT 1)
    UNION ALL
    SELECT (SELECT v.partition_key FROM videos v WHERE v.partition_key > d.partition_key ORDER BY v.partition_key LIMIT 1)
    FROM days d WHERE d.partition_key IS NOT NULL
)
SELECT d.partition_key
FROM days d
WHERE d.partition_key IS NOT NULL AND (
    NOT EXISTS (SELECT FROM settled_days s WHERE s.partition_key = d.partition_key AND s.versions = :versions)
    OR EXISTS (SELECT FROM day_marks m WHERE m.partition_key = d.partition_key)
)
ORDER BY d.partition_key;

-- name: lock_day
-- Who looks at a day takes turns; what changes meanwhile leaves a mark that stays.
SELECT pg_advisory_xact_lock(hashtext('settle'), hashtext(:partition_key));

-- name: take_day_marks!
DELETE FROM day_marks WHERE partition_key = :partition_key;

-- name: day_work^
-- Whether a crawl day has a video or clip on its way, as v_videos counts, and whether one of them need not wait: both end at
-- the first. A video at a time, because the day's outcomes joined as a set are those of all days while these are few.
WITH pending AS NOT MATERIALIZED (
    SELECT NOT w.again AND EXISTS (
        SELECT FROM postponements p WHERE p.subject_id = v.video_id AND p.until > now()
    ) AS waits
    FROM videos v
    CROSS JOIN LATERAL (
        WITH said AS MATERIALIZED (
            SELECT o.subject_id, count(*) FILTER (WHERE o.outcome IN ('kept', 'skipped')) AS stages,
                   bool_or(o.outcome NOT IN ('kept', 'skipped')) AS ended,
                   bool_or(o.outcome = 'failed' AND o.retryable AND :max_attempts > coalesce((
                       SELECT a.attempts FROM attempts a
                       WHERE (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version)
                   ), 0)) AS again
            FROM outcomes o JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version
            WHERE o.video_id = v.video_id
            GROUP BY o.subject_id
        )
        SELECT coalesce((SELECT bool_or(again) FROM said), false) AS again,
               NOT EXISTS (SELECT FROM said WHERE subject_id = v.video_id AND ended) AND (
                   NOT EXISTS (SELECT FROM clips c WHERE c.video_id = v.video_id AND c.retired_at IS NULL)
                   OR EXISTS (
                       SELECT FROM clips c LEFT JOIN said x ON x.subject_id = c.clip_id
                       WHERE c.video_id = v.video_id AND c.retired_at IS NULL AND x.ended IS NOT TRUE
                         AND (SELECT count(ordinal) FROM stages) <> coalesce(x.stages, 0)
                             + coalesce((SELECT stages FROM said WHERE subject_id = v.video_id), 0)
                         AND 'withheld' IS DISTINCT FROM (
                             SELECT r.decision FROM reviews r WHERE r.clip_id = c.clip_id
                             ORDER BY r.review_id DESC LIMIT 1)
                   )
               ) AS pending
        OFFSET 0
    ) w
    WHERE v.partition_key = :partition_key AND v.takedown_id IS NULL AND (w.pending OR w.again)
)
SELECT EXISTS (SELECT FROM pending) AS pending, EXISTS (SELECT FROM pending WHERE NOT waits) AS due;

-- name: settle_day!
INSERT INTO settled_days (partition_key, versions) VALUES (:partition_key, :versions)
ON CONFLICT (partition_key) DO UPDATE SET versions = excluded.versions, settled_at = now();

-- name: unsettle_day!
DELETE FROM settled_days WHERE partition_key = :partition_key;

-- name: stage_digest$
-- The stages with what counts now, and how often work is tried: whatever could make a settled day due again by itself.
SELECT md5(string_agg(stage || ' ' || version, ',' ORDER BY stage) || ' ' || :max_attempts::int)
FROM stages WHERE ordinal IS NOT NULL;

-- name: partition_of$
SELECT partition_key FROM videos WHERE video_id = :video_id;
