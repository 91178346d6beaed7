-- The views count what they say of many clips in groups, which can be hashed, and of one by its id.

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
CREATE OR REPLACE VIEW clip_reviews AS
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

CREATE OR REPLACE VIEW v_clips AS
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

CREATE OR REPLACE VIEW v_videos AS
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

-- Where each video comes from, under which terms, and what was fetched, from where, when and by whom.
CREATE OR REPLACE VIEW v_provenance AS
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

REVOKE SELECT ON review_states FROM reader;
