-- Annotation in stages: an outcome may be skipped, and a stage may be retired.
ALTER TABLE reasons DROP CONSTRAINT reasons_outcome_check,
    ADD CONSTRAINT reasons_outcome_check CHECK (outcome IN ('rejected', 'failed', 'skipped'));
ALTER TABLE outcomes DROP CONSTRAINT outcomes_outcome_check,
    ADD CONSTRAINT outcomes_outcome_check CHECK (outcome IN ('kept', 'rejected', 'failed', 'skipped'));
ALTER TABLE stages ALTER COLUMN ordinal DROP NOT NULL, DROP CONSTRAINT stages_ordinal_key,
    ADD CONSTRAINT stages_ordinal_key UNIQUE (ordinal) DEFERRABLE INITIALLY DEFERRED;
COMMENT ON COLUMN stages.ordinal IS 'Its place on the way; none for a stage that this code has no more: its outcomes stay, as history.';

-- What annotate said goes where other retired stages' outcomes are.
ALTER TABLE outcomes DETACH PARTITION outcomes_annotate;
INSERT INTO outcomes SELECT * FROM outcomes_annotate;
DROP TABLE outcomes_annotate;
CREATE TABLE outcomes_track_people PARTITION OF outcomes FOR VALUES IN ('track_people');
CREATE TABLE outcomes_pose_body PARTITION OF outcomes FOR VALUES IN ('pose_body');
CREATE TABLE outcomes_pose_hands PARTITION OF outcomes FOR VALUES IN ('pose_hands');
CREATE TABLE outcomes_camera_trajectory PARTITION OF outcomes FOR VALUES IN ('camera_trajectory');
CREATE TABLE outcomes_retarget PARTITION OF outcomes FOR VALUES IN ('retarget');
CREATE TABLE outcomes_describe_motion PARTITION OF outcomes FOR VALUES IN ('describe_motion');
CREATE TABLE outcomes_caption PARTITION OF outcomes FOR VALUES IN ('caption');
CREATE TABLE outcomes_screen_content PARTITION OF outcomes FOR VALUES IN ('screen_content');
CREATE TABLE outcomes_embed PARTITION OF outcomes FOR VALUES IN ('embed');
CREATE TABLE outcomes_label_activity PARTITION OF outcomes FOR VALUES IN ('label_activity');
CREATE TABLE outcomes_label_scene PARTITION OF outcomes FOR VALUES IN ('label_scene');
CREATE TABLE outcomes_label_interactions PARTITION OF outcomes FOR VALUES IN ('label_interactions');
CREATE TABLE outcomes_redact PARTITION OF outcomes FOR VALUES IN ('redact');

-- Scores of several stages as one object; what a later stage says stands.
CREATE AGGREGATE jsonb_merge(jsonb) (SFUNC = jsonb_concat, STYPE = jsonb, INITCOND = '{}', PARALLEL = SAFE);

CREATE OR REPLACE VIEW video_verdicts AS
SELECT DISTINCT ON (subject_id) subject_id AS video_id, outcome, reason
FROM current_outcomes
WHERE subject = 'video' AND outcome NOT IN ('kept', 'skipped')
ORDER BY subject_id, ordinal;

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
        WHEN verdict.outcome IS NOT NULL THEN verdict.outcome
        WHEN ended.outcome IS NOT NULL THEN ended.outcome
        WHEN passed.stages = (SELECT count(ordinal) FROM stages) THEN 'kept'
        ELSE 'pending'
    END AS status,
    CASE WHEN verdict.outcome IS NOT NULL THEN verdict.reason ELSE ended.reason END AS reason,
    decide.detail ->> 'viewpoint' AS viewpoint,
    coalesce(passed.scores, '{}') AS scores,
    clip_file.uri AS artifact_uri,
    v.license
FROM clips c
JOIN videos v USING (video_id)
LEFT JOIN video_verdicts verdict ON verdict.video_id = c.video_id
LEFT JOIN LATERAL (
    SELECT o.outcome, o.reason FROM current_outcomes o
    WHERE o.subject_id = c.clip_id AND o.outcome NOT IN ('kept', 'skipped')
    ORDER BY o.ordinal LIMIT 1
) ended ON true
LEFT JOIN LATERAL (
    -- what cut says is about its file
    SELECT count(*) FILTER (WHERE o.outcome IN ('kept', 'skipped')) AS stages,
           jsonb_merge(o.scores ORDER BY o.ordinal) FILTER (WHERE o.subject = 'clip' AND o.stage <> 'cut') AS scores
    FROM current_outcomes o
    WHERE o.subject_id IN (c.clip_id, c.video_id)
) passed ON true
LEFT JOIN current_outcomes decide ON decide.stage = 'decide' AND decide.subject_id = c.clip_id
LEFT JOIN current_outcomes cut ON cut.stage = 'cut' AND cut.subject_id = c.clip_id
LEFT JOIN outcome_artifacts clip_file
    ON clip_file.stage = 'cut' AND clip_file.subject_id = c.clip_id
    AND clip_file.stage_version = cut.stage_version AND clip_file.kind = 'clip'
WHERE c.retired_at IS NULL AND v.takedown_id IS NULL;

CREATE OR REPLACE VIEW video_yields AS
WITH total AS (
    SELECT count(*) FILTER (WHERE subject = 'video') AS video_stages,
           count(*) FILTER (WHERE subject = 'clip') AS clip_stages
    FROM stages WHERE ordinal IS NOT NULL
), on_video AS (
    SELECT video_id, bool_or(stage = 'fetch' AND outcome = 'kept') AS fetched, bool_or(outcome NOT IN ('kept', 'skipped')) AS ended,
           count(*) AS stages, sum(seconds) AS cost_s
    FROM current_outcomes WHERE subject = 'video' GROUP BY video_id
), on_clip AS (
    SELECT c.video_id, c.end_s - c.start_s AS duration_s, bool_or(o.outcome NOT IN ('kept', 'skipped')) AS ended,
           count(o.stage) AS stages, sum(o.seconds) AS cost_s
    FROM clips c LEFT JOIN current_outcomes o ON o.subject_id = c.clip_id
    WHERE c.retired_at IS NULL GROUP BY c.clip_id
), on_clips AS (
    SELECT video_id, bool_and(ended IS TRUE OR stages = clip_stages) AS decided,
           sum(duration_s) FILTER (WHERE ended IS FALSE AND stages = clip_stages) AS kept_s, sum(cost_s) AS cost_s
    FROM on_clip, total GROUP BY video_id
)
SELECT
    v.video_id,
    v.fetched,
    v.ended OR (v.stages = t.video_stages AND c.decided IS TRUE) AS decided,
    CASE WHEN v.ended OR v.stages < t.video_stages THEN 0 ELSE coalesce(c.kept_s, 0) END AS kept_s,
    v.cost_s + coalesce(c.cost_s, 0) AS cost_s
FROM on_video v CROSS JOIN total t LEFT JOIN on_clips c USING (video_id);
