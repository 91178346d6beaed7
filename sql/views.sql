-- The SQL contract, version 1. Columns are only ever added; see sql/README.md.

-- Outcomes at the stage versions that count now.
CREATE VIEW current_outcomes AS
SELECT o.*, s.ordinal, s.subject
FROM outcomes o
JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version;

-- Scores of several stages as one object; what a later stage says stands.
CREATE AGGREGATE jsonb_merge(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}', PARALLEL = SAFE);

-- The first thing that ended a video before it had clips to judge.
CREATE VIEW video_verdicts AS
SELECT DISTINCT ON (subject_id) subject_id AS video_id, outcome, reason
FROM current_outcomes
WHERE subject = 'video' AND outcome NOT IN ('kept', 'skipped')
ORDER BY subject_id, ordinal;

-- What sends clips to a person, and what people decided last. Holds causes: not for the role reader.
CREATE VIEW review_states AS
SELECT
    clip_id,
    found.causes,
    CASE
        WHEN latest.decision = 'withheld' THEN 'withheld'
        -- what was not shown to whoever let it pass is asked about again
        WHEN latest.decision = 'passed' AND coalesce(found.causes <@ latest.causes, true) THEN 'passed'
        ELSE 'waiting'
    END AS review,
    found.notes,
    latest.decision,
    latest.decided_by,
    latest.note,
    latest.decided_at
FROM (
    SELECT r.clip_id, array_agg(DISTINCT r.cause ORDER BY r.cause) AS causes,
           string_agg(r.cause || ': ' || r.note, '; ' ORDER BY r.cause) FILTER (WHERE r.note <> '') AS notes
    FROM review_causes r
    JOIN stages s ON s.stage = r.stage AND s.version = r.stage_version
    GROUP BY r.clip_id
) found
FULL JOIN (
    SELECT DISTINCT ON (clip_id) clip_id, decision, causes, decided_by, note, decided_at
    FROM reviews ORDER BY clip_id, review_id DESC
) latest USING (clip_id);

-- The same with since when a clip waits.
CREATE VIEW clip_reviews AS
SELECT
    r.clip_id,
    r.causes,
    r.review,
    r.notes,
    greatest(found.since, CASE WHEN r.decision = 'reopened' THEN r.decided_at END) AS since,
    r.decision,
    r.decided_by,
    r.note,
    r.decided_at
FROM review_states r
LEFT JOIN LATERAL (
    SELECT max(o.recorded_at) AS since
    FROM review_causes x
    JOIN stages s ON s.stage = x.stage AND s.version = x.stage_version
    JOIN outcomes o ON (o.stage, o.subject_id, o.stage_version) = (x.stage, x.clip_id, x.stage_version)
    WHERE x.clip_id = r.clip_id
) found ON true;

-- What the stages say together of a video, of a clip, and of a clip's video. Whoever joins them does so by all ids that
-- they are grouped by: for one clip or video the planner puts its id into the group and finds it by index, for all it reads
-- outcomes once and hashes. A lateral subquery would be asked once a clip, in every partition of outcomes; and what is
-- grouped by video would be counted for all videos where one clip is asked for, hence the third.
CREATE VIEW video_outcomes AS
SELECT
    o.video_id,
    count(*) FILTER (WHERE o.outcome IN ('kept', 'skipped')) AS stages,
    -- place, outcome and reason of the first that ended it: as an array, so that the least is found without sorting
    min(ARRAY[to_char(o.ordinal, 'FM0000000000'), o.outcome, o.reason])
        FILTER (WHERE o.outcome NOT IN ('kept', 'skipped')) AS ended
FROM current_outcomes o
WHERE o.subject = 'video'
GROUP BY o.video_id;

CREATE VIEW clip_outcomes AS
SELECT
    o.video_id,
    o.subject_id AS clip_id,
    count(*) FILTER (WHERE o.outcome IN ('kept', 'skipped')) AS stages,
    min(ARRAY[to_char(o.ordinal, 'FM0000000000'), o.outcome, o.reason])
        FILTER (WHERE o.outcome NOT IN ('kept', 'skipped')) AS ended,
    max(o.detail ->> 'viewpoint') FILTER (WHERE o.stage = 'decide') AS viewpoint,
    -- what cut says is about its file
    jsonb_merge(o.scores ORDER BY o.ordinal) FILTER (WHERE o.stage <> 'cut') AS scores
FROM current_outcomes o
WHERE o.subject = 'clip'
GROUP BY o.video_id, o.subject_id;

CREATE VIEW outcomes_of_clips_video AS
SELECT
    c.video_id,
    c.clip_id,
    count(*) FILTER (WHERE o.outcome IN ('kept', 'skipped')) AS stages,
    min(ARRAY[to_char(o.ordinal, 'FM0000000000'), o.outcome, o.reason])
        FILTER (WHERE o.outcome NOT IN ('kept', 'skipped')) AS ended
FROM clips c
JOIN current_outcomes o ON o.subject_id = c.video_id
WHERE o.subject = 'video'
GROUP BY c.video_id, c.clip_id;

CREATE VIEW v_clips AS
SELECT
    c.clip_id,
    c.video_id,
    v.source,
    v.origin_uri,
    c.start_s,
    c.end_s,
    c.end_s - c.start_s AS duration_s,
    CASE
        -- what ended the video before it had clips to judge goes first
        WHEN on_video.ended IS NOT NULL THEN on_video.ended[2]
        WHEN on_clip.ended IS NOT NULL THEN on_clip.ended[2]
        WHEN reviewed.decision = 'withheld' THEN 'rejected'
        WHEN coalesce(on_video.stages, 0) + coalesce(on_clip.stages, 0) = (SELECT count(ordinal) FROM stages) THEN 'kept'
        ELSE 'pending'
    END AS status,
    CASE
        WHEN on_video.ended IS NOT NULL THEN on_video.ended[3]
        WHEN on_clip.ended IS NOT NULL THEN on_clip.ended[3]
        WHEN reviewed.decision = 'withheld' THEN 'withheld'
    END AS reason,
    on_clip.viewpoint,
    coalesce(on_clip.scores, '{}') AS scores,
    clip_file.uri AS artifact_uri,
    v.license,
    reviewed.review,
    redacted.uri AS redacted_uri
FROM clips c
JOIN videos v USING (video_id)
LEFT JOIN outcomes_of_clips_video on_video ON on_video.video_id = c.video_id AND on_video.clip_id = c.clip_id
LEFT JOIN clip_outcomes on_clip ON on_clip.video_id = c.video_id AND on_clip.clip_id = c.clip_id
LEFT JOIN review_states reviewed ON reviewed.clip_id = c.clip_id
LEFT JOIN outcome_artifacts clip_file
    ON clip_file.stage = 'cut' AND clip_file.subject_id = c.clip_id AND clip_file.kind = 'clip'
    AND clip_file.stage_version = (SELECT version FROM stages WHERE stage = 'cut')
LEFT JOIN outcome_artifacts redacted
    ON redacted.stage = 'redact' AND redacted.subject_id = c.clip_id AND redacted.kind = 'redacted_clip'
    AND redacted.stage_version = (SELECT version FROM stages WHERE stage = 'redact')
WHERE c.retired_at IS NULL AND v.takedown_id IS NULL;

CREATE VIEW v_videos AS
SELECT
    v.video_id,
    v.source,
    v.origin_uri,
    v.title,
    v.license,
    v.sha256,
    v.duration_s,
    v.width,
    v.height,
    v.fps,
    CASE
        WHEN on_video.ended IS NOT NULL THEN on_video.ended[2]
        WHEN coalesce(clip.pending, 1) > 0 THEN 'pending'
        WHEN clip.kept > 0 THEN 'kept'
        WHEN clip.failed > 0 THEN 'failed'
        ELSE 'rejected'
    END AS status,
    CASE
        WHEN on_video.ended IS NOT NULL THEN on_video.ended[3]
        WHEN coalesce(clip.pending, 1) > 0 OR clip.kept > 0 THEN NULL
        ELSE clip.reason
    END AS reason
FROM videos v
LEFT JOIN video_outcomes on_video ON on_video.video_id = v.video_id
LEFT JOIN (
    SELECT
        video_id,
        coalesce(sum(clips) FILTER (WHERE status = 'pending'), 0) AS pending,
        sum(clips) FILTER (WHERE status = 'kept') AS kept,
        sum(clips) FILTER (WHERE status = 'failed') AS failed,
        -- what ended most of its seconds; a failure before a rejection, because a failure asks for a person
        (array_agg(reason ORDER BY status, seconds DESC, reason) FILTER (WHERE status IN ('rejected', 'failed')))[1] AS reason
    FROM (
        SELECT video_id, status, reason, count(*) AS clips, sum(duration_s) AS seconds
        FROM v_clips GROUP BY video_id, status, reason
    ) alike
    GROUP BY video_id
) clip ON clip.video_id = v.video_id
WHERE v.takedown_id IS NULL;

-- Clips that wait for a person. What sends them there is shown to whoever may read review_causes, which the role reader
-- may not.
CREATE VIEW v_review_queue AS
SELECT
    c.clip_id,
    c.video_id,
    v.source,
    c.start_s,
    c.end_s,
    CASE WHEN has_table_privilege('review_causes', 'SELECT') THEN q.causes END AS causes,
    CASE WHEN has_table_privilege('review_causes', 'SELECT') THEN q.notes END AS notes,
    screen.scores,
    q.since,
    now() - q.since AS waits
FROM clip_reviews q
JOIN clips c ON c.clip_id = q.clip_id AND c.retired_at IS NULL
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
LEFT JOIN current_outcomes screen ON screen.stage = 'screen_content' AND screen.subject_id = c.clip_id
WHERE q.review = 'waiting';

CREATE VIEW v_lineage AS
SELECT
    c.clip_id,
    row_number() OVER (PARTITION BY c.clip_id ORDER BY s.ordinal, o.recorded_at, a.kind) AS seq,
    o.stage,
    o.stage_version,
    o.outcome,
    o.reason,
    o.scores,
    o.policy_version,
    o.model_releases,
    r.dag_id,
    r.run_id,
    r.task_id,
    r.try_number,
    r.worker,
    r.queue,
    o.started_at,
    o.seconds,
    r.code_revision,
    a.uri AS artifact_uri,
    f.sha256 AS artifact_sha256
FROM clips c
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN outcomes o ON o.video_id = c.video_id AND o.subject_id IN (c.clip_id, c.video_id)
JOIN stages s ON s.stage = o.stage
JOIN stage_runs r USING (stage_run_id)
LEFT JOIN outcome_artifacts a
    ON a.stage = o.stage AND a.subject_id = o.subject_id AND a.stage_version = o.stage_version
LEFT JOIN artifacts f ON f.uri = a.uri;

-- funnel_totals, and what is not folded into them yet: marked videos as they are now, less what they were counted as.
CREATE VIEW funnel_counts AS
WITH marked AS MATERIALIZED (
    SELECT array_agg(DISTINCT video_id) AS videos FROM tally_marks
), counted AS (
    SELECT source, stage, stage_version, outcome, reason, videos, clips, microseconds FROM funnel_totals
    UNION ALL
    SELECT f.source, f.stage, f.stage_version, f.outcome, f.reason, 1 AS videos, f.clips, f.microseconds
    FROM marked m CROSS JOIN LATERAL count_outcomes(m.videos) f
    UNION ALL
    SELECT b.source, b.stage, b.stage_version, b.outcome, b.reason, -1 AS videos, - b.clips AS clips,
           - b.microseconds AS microseconds
    FROM marked m JOIN video_tallies b ON b.video_id = ANY (m.videos)
)
SELECT
    c.source,
    s.ordinal,
    c.stage,
    s.subject,
    c.outcome,
    nullif(c.reason, '') AS reason,
    sum(c.videos)::bigint AS videos,
    sum(c.clips)::bigint AS clips,
    sum(c.microseconds)::bigint AS microseconds
FROM counted c
JOIN stages s ON s.stage = c.stage AND s.version = c.stage_version
GROUP BY c.source, s.ordinal, c.stage, s.subject, c.outcome, c.reason
HAVING sum(c.videos) > 0;

CREATE VIEW v_funnel AS
SELECT
    stage,
    outcome,
    reason,
    sum(videos)::bigint AS videos,
    sum(clips)::bigint AS clips,
    sum(microseconds)::double precision / 3.6e9 AS hours
FROM funnel_counts
GROUP BY ordinal, stage, outcome, reason
ORDER BY ordinal, outcome, reason;

CREATE VIEW v_annotations AS
SELECT a.clip_id, a.kind, a.model_release, a.value, a.uri AS artifact_uri
FROM annotations a
JOIN clips c ON c.clip_id = a.clip_id AND c.retired_at IS NULL
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version;

CREATE VIEW v_labels AS
SELECT
    l.clip_id,
    l.facet,
    l.path,
    split_part(l.path, '/', 1) AS l1,
    nullif(split_part(l.path, '/', 2), '') AS l2,
    nullif(split_part(l.path, '/', 3), '') AS l3,
    l.confidence,
    l.origin,
    l.model_release
FROM labels l
JOIN clips c ON c.clip_id = l.clip_id AND c.retired_at IS NULL
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN stages s ON s.stage = l.stage AND s.version = l.stage_version;

-- The clips that look most like one: candidates by the signs of their vectors, ranked by the cosine of the whole vectors.
-- What is taken down, retired or embedded by another stage version is left out, and the clip itself too. ``most`` is how
-- many candidates are ranked: the more, the surer that none is missed.
CREATE FUNCTION similar_clips(asked text, most int DEFAULT 400)
RETURNS TABLE (clip_id text, video_id text, similarity double precision)
LANGUAGE plpgsql STABLE ROWS 400
SET hnsw.ef_search = 400
SET hnsw.iterative_scan = relaxed_order
SET hnsw.max_scan_tuples = 200000
AS $$
DECLARE
    mine record;
    dimensions int;
BEGIN
    SELECT e.vector, e.stage, e.stage_version INTO mine
    FROM embeddings e
    JOIN stages s ON s.stage = e.stage AND s.version = e.stage_version
    JOIN clips c ON c.clip_id = e.clip_id AND c.retired_at IS NULL
    JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
    WHERE e.clip_id = asked;
    dimensions := vector_dims(mine.vector);
    IF dimensions IS NULL THEN
        RETURN;
    END IF;
    -- the length is part of the index, so it must be part of the question's text
    RETURN QUERY EXECUTE replace($query$
        WITH candidates AS MATERIALIZED (
            SELECT e.clip_id, e.vector FROM embeddings e
            WHERE vector_dims(e.vector) = LENGTH AND e.stage = $2 AND e.stage_version = $3
            ORDER BY binary_quantize(e.vector)::bit(LENGTH) <~> binary_quantize($1)::bit(LENGTH)
            LIMIT $4
        )
        SELECT e.clip_id, c.video_id, - (e.vector <#> $1) AS similarity
        FROM candidates e
        JOIN clips c ON c.clip_id = e.clip_id AND c.retired_at IS NULL
        JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
        WHERE e.clip_id <> $5
        ORDER BY similarity DESC, e.clip_id
        $query$, 'LENGTH', dimensions::text) USING mine.vector, mine.stage, mine.stage_version, most + 1, asked;
END $$;

-- Every clip with what the corpus is counted by. One label a facet; where several say something, the surest origin.
CREATE VIEW v_corpus AS
SELECT
    c.clip_id,
    c.video_id,
    c.source,
    c.origin_uri,
    c.start_s,
    c.end_s,
    c.duration_s,
    c.status,
    c.reason,
    c.viewpoint,
    c.scores,
    c.artifact_uri,
    c.license,
    s.kind,
    v.channel_id AS channel,
    v.partition_key AS crawl_day,
    nullif(lower(split_part(replace(v.published ->> 'language', '_', '-'), '-', 1)), '') AS language,
    nullif(upper(v.published ->> 'country'), '') AS country,
    v.width,
    v.height,
    v.fps,
    CASE
        WHEN v.width IS NULL OR v.height IS NULL THEN NULL
        WHEN least(v.width, v.height) < 360 THEN 'under 360p'
        WHEN least(v.width, v.height) < 480 THEN '360p'
        WHEN least(v.width, v.height) < 720 THEN '480p'
        WHEN least(v.width, v.height) < 1080 THEN '720p'
        WHEN least(v.width, v.height) < 1440 THEN '1080p'
        WHEN least(v.width, v.height) < 2160 THEN '1440p'
        ELSE '2160p'
    END AS resolution,
    label.motion,
    nullif(split_part(label.motion, '/', 1), '') AS l1,
    nullif(split_part(label.motion, '/', 2), '') AS l2,
    nullif(split_part(label.motion, '/', 3), '') AS l3,
    label.motion_origin,
    label.motion_confidence,
    label.scene,
    nullif(split_part(label.scene, '/', 1), '') AS scene_l1,
    nullif(split_part(label.scene, '/', 2), '') AS scene_l2,
    label.scene_origin,
    label.scene_confidence,
    label.source_type,
    label.task_structure,
    ARRAY(
        SELECT DISTINCT l.path FROM labels l JOIN stages g ON g.stage = l.stage AND g.version = l.stage_version
        WHERE l.clip_id = c.clip_id AND l.facet = 'interaction' ORDER BY l.path
    ) AS interactions,
    c.review,
    c.redacted_uri
FROM v_clips c
JOIN videos v ON v.video_id = c.video_id
JOIN sources s ON s.source = c.source
LEFT JOIN LATERAL (
    SELECT
        max(path) FILTER (WHERE facet = 'motion') AS motion,
        max(origin) FILTER (WHERE facet = 'motion') AS motion_origin,
        max(confidence) FILTER (WHERE facet = 'motion') AS motion_confidence,
        max(path) FILTER (WHERE facet = 'scene') AS scene,
        max(origin) FILTER (WHERE facet = 'scene') AS scene_origin,
        max(confidence) FILTER (WHERE facet = 'scene') AS scene_confidence,
        max(path) FILTER (WHERE facet = 'source_type') AS source_type,
        max(path) FILTER (WHERE facet = 'task_structure') AS task_structure
    FROM (
        -- who looked at the clip goes before who described it, both before who compared words or applied a rule
        SELECT DISTINCT ON (l.facet) l.facet, l.path, l.origin, l.confidence
        FROM labels l JOIN stages g ON g.stage = l.stage AND g.version = l.stage_version
        WHERE l.clip_id = c.clip_id AND l.facet <> 'interaction'
        ORDER BY l.facet, array_position(ARRAY['endpoint', 'inherited', 'offline', 'pseudo'], l.origin),
                 l.confidence DESC, l.path DESC
    ) surest
) label ON true;

-- Each video on its way: whether it was fetched, whether its way has ended, the seconds of it that are kept, and the
-- seconds of work that it took. Counted as outcomes are recorded, so that a crawl that judges a source need not read the
-- corpus: the same as v_videos and v_clips say, but that after a version was raised the last verdict stands until the next.
CREATE VIEW video_yields AS
WITH counted AS MATERIALIZED (
    SELECT f.*
    FROM (SELECT array_agg(DISTINCT video_id) AS videos FROM tally_marks) marked CROSS JOIN LATERAL count_yields(marked.videos) f
)
SELECT video_id, fetched, decided, kept_s, cost_s
FROM yields y
WHERE NOT EXISTS (SELECT FROM tally_marks m WHERE m.video_id = y.video_id)
UNION ALL
SELECT video_id, fetched, decided, kept_s, cost_s FROM counted;

CREATE VIEW v_keywords AS
SELECT
    k.phrase AS keyword,
    k.source,
    p.phrase AS parent,
    k.proposed_by,
    k.proposed_at,
    k.status,
    k.reason,
    coalesce(b.items, 0) AS items,
    coalesce(f.candidates, 0) AS candidates,
    coalesce(f.brought, 0) AS brought,
    coalesce(f.fetched, 0) AS fetched,
    coalesce(f.fetched_hours, 0) AS fetched_hours,
    coalesce(f.kept_hours, 0) AS kept_hours,
    coalesce(f.cost, 0) AS cost,
    f.decided_kept_hours / nullif(f.decided_hours, 0) AS yield
FROM keywords k
LEFT JOIN keywords p ON p.keyword_id = k.parent
LEFT JOIN (SELECT keyword_id, sum(items) AS items FROM keyword_budgets GROUP BY keyword_id) b
    ON b.keyword_id = k.keyword_id
LEFT JOIN (
    SELECT
        w.keyword_id,
        count(*) AS candidates,
        count(*) FILTER (WHERE w.brought) AS brought,
        count(*) FILTER (WHERE y.fetched) AS fetched,
        coalesce(sum(v.duration_s) FILTER (WHERE y.fetched), 0) / 3600 AS fetched_hours,
        coalesce(sum(v.duration_s) FILTER (WHERE y.fetched AND y.decided), 0) / 3600 AS decided_hours,
        coalesce(sum(y.kept_s), 0) / 3600 AS kept_hours,
        coalesce(sum(y.kept_s) FILTER (WHERE y.decided), 0) / 3600 AS decided_kept_hours,
        coalesce(sum(y.cost_s), 0) AS cost
    FROM video_keywords w JOIN videos v USING (video_id) LEFT JOIN video_yields y USING (video_id)
    WHERE v.takedown_id IS NULL
    GROUP BY w.keyword_id
) f ON f.keyword_id = k.keyword_id;

-- The ledger of what was taken down, and how far its removal has come.
CREATE VIEW v_takedowns AS
SELECT
    t.takedown_id,
    t.scope,
    t.target,
    t.reason,
    t.requested_by,
    t.requested_at,
    v.videos,
    v.videos_cleared,
    c.clips,
    v.hours,
    o.objects,
    o.objects_removed,
    o.objects_failed,
    r.releases_recalled
FROM takedowns t
CROSS JOIN LATERAL (
    SELECT count(*) AS videos, count(cleared_at) AS videos_cleared, coalesce(sum(duration_s), 0) / 3600 AS hours
    FROM videos WHERE videos.takedown_id = t.takedown_id
) v
CROSS JOIN LATERAL (
    SELECT count(*) AS clips FROM clips JOIN videos USING (video_id)
    WHERE videos.takedown_id = t.takedown_id AND clips.retired_at IS NULL
) c
CROSS JOIN LATERAL (
    SELECT count(*) AS objects, count(removed_at) AS objects_removed,
           count(*) FILTER (WHERE removed_at IS NULL AND error IS NOT NULL) AS objects_failed
    FROM object_removals WHERE object_removals.takedown_id = t.takedown_id
) o
CROSS JOIN LATERAL (
    SELECT count(*) AS releases_recalled FROM release_recalls WHERE release_recalls.takedown_id = t.takedown_id
) r;

-- Where each video comes from, under which terms, and what was fetched, from where, when and by whom.
CREATE VIEW v_provenance AS
SELECT
    v.video_id,
    v.source,
    v.origin_uri,
    v.canonical_uri,
    v.extractor,
    v.extractor_id,
    v.uploader,
    v.uploaded_on,
    v.license,
    v.terms,
    (f.detail ->> 'fetched_at')::timestamptz AS fetched_at,
    f.detail ->> 'fetched_from' AS fetched_from,
    f.detail ->> 'client' AS client,
    v.sha256,
    v.bytes,
    m.uri AS metadata_uri,
    v.gone_at
FROM videos v
LEFT JOIN (
    SELECT DISTINCT ON (subject_id) subject_id, stage_version, detail FROM outcomes
    WHERE stage = 'fetch' AND outcome = 'kept'
    ORDER BY subject_id, recorded_at DESC
) f ON f.subject_id = v.video_id
LEFT JOIN outcome_artifacts m
    ON m.stage = 'fetch' AND m.subject_id = v.video_id AND m.stage_version = f.stage_version AND m.kind = 'metadata'
WHERE v.takedown_id IS NULL;

-- What language models were asked and what that cost, by stage, prompt and model.
CREATE VIEW v_language_usage AS
SELECT
    l.stage,
    l.prompt,
    l.model,
    count(*) AS calls,
    count(*) FILTER (WHERE l.status = 'cached') AS cached,
    count(*) FILTER (WHERE l.status = 'refused') AS refused,
    count(*) FILTER (WHERE l.status = 'malformed') AS malformed,
    count(*) FILTER (WHERE l.status = 'failed') AS failed,
    sum(l.tokens_in) AS tokens_in,
    sum(l.tokens_out) AS tokens_out,
    sum(l.cost) AS cost,
    sum(l.seconds) AS seconds
FROM language_calls l
JOIN clips c USING (clip_id)
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
GROUP BY l.stage, l.prompt, l.model
ORDER BY l.stage, l.prompt, l.model;
