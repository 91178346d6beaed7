-- What a person must look at, and what people decided.
CREATE TABLE review_causes (
    clip_id       text NOT NULL REFERENCES clips,
    cause         text NOT NULL,
    score         double precision NOT NULL,
    note          text NOT NULL DEFAULT '',
    stage         text NOT NULL,
    stage_version text NOT NULL,
    PRIMARY KEY (clip_id, cause, stage, stage_version),
    FOREIGN KEY (stage, clip_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);
COMMENT ON TABLE review_causes IS 'Why a person must look at a clip. Sensitive (a clip may show a child): not for the role reader.';
COMMENT ON COLUMN review_causes.score IS 'The measure that reached its limit (humannet_ops/domain/screening.yaml); 1 where there is none.';

CREATE TABLE reviews (
    review_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clip_id    text NOT NULL REFERENCES clips,
    decision   text NOT NULL CHECK (decision IN ('passed', 'withheld', 'reopened')),
    causes     text[] NOT NULL,
    decided_by text NOT NULL,
    note       text,
    decided_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reviews IS 'What people decided about clips; the latest counts. Not for the role reader.';
COMMENT ON COLUMN reviews.causes IS 'What the person was shown: a clip that passed waits again when another cause is found.';
CREATE INDEX reviews_clip ON reviews (clip_id, review_id DESC);

-- Where each clip stands that somebody must look at, or has looked at. Holds causes: not for the role reader.
CREATE VIEW clip_reviews AS
SELECT
    c.clip_id,
    found.causes,
    CASE
        WHEN latest.decision = 'withheld' THEN 'withheld'
        -- what was not shown to whoever let it pass is asked about again
        WHEN latest.decision = 'passed' AND coalesce(found.causes <@ latest.causes, true) THEN 'passed'
        ELSE 'waiting'
    END AS review,
    found.notes,
    greatest(found.since, CASE WHEN latest.decision = 'reopened' THEN latest.decided_at END) AS since,
    latest.decision,
    latest.decided_by,
    latest.note,
    latest.decided_at
FROM clips c
LEFT JOIN LATERAL (
    SELECT array_agg(DISTINCT r.cause ORDER BY r.cause) AS causes, max(o.recorded_at) AS since,
           string_agg(r.cause || ': ' || r.note, '; ' ORDER BY r.cause) FILTER (WHERE r.note <> '') AS notes
    FROM review_causes r
    JOIN stages s ON s.stage = r.stage AND s.version = r.stage_version
    JOIN outcomes o ON (o.stage, o.subject_id, o.stage_version) = (r.stage, r.clip_id, r.stage_version)
    WHERE r.clip_id = c.clip_id
) found ON true
LEFT JOIN LATERAL (
    SELECT d.decision, d.causes, d.decided_by, d.note, d.decided_at FROM reviews d
    WHERE d.clip_id = c.clip_id ORDER BY d.review_id DESC LIMIT 1
) latest ON true
WHERE found.causes IS NOT NULL OR latest.decision IS NOT NULL;

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
        WHEN decided.decision = 'withheld' THEN 'rejected'
        WHEN passed.stages = (SELECT count(ordinal) FROM stages) THEN 'kept'
        ELSE 'pending'
    END AS status,
    CASE
        WHEN verdict.outcome IS NOT NULL THEN verdict.reason
        WHEN ended.outcome IS NOT NULL THEN ended.reason
        WHEN decided.decision = 'withheld' THEN 'withheld'
    END AS reason,
    decide.detail ->> 'viewpoint' AS viewpoint,
    coalesce(passed.scores, '{}') AS scores,
    clip_file.uri AS artifact_uri,
    v.license,
    (SELECT r.review FROM clip_reviews r WHERE r.clip_id = c.clip_id) AS review,
    (SELECT a.uri FROM current_outcomes o JOIN outcome_artifacts a USING (stage, subject_id, stage_version)
     WHERE o.stage = 'redact' AND o.subject_id = c.clip_id AND a.kind = 'redacted_clip') AS redacted_uri
FROM clips c
JOIN videos v USING (video_id)
LEFT JOIN video_verdicts verdict ON verdict.video_id = c.video_id
LEFT JOIN LATERAL (
    SELECT o.outcome, o.reason FROM current_outcomes o
    WHERE o.subject_id = c.clip_id AND o.outcome NOT IN ('kept', 'skipped')
    ORDER BY o.ordinal LIMIT 1
) ended ON true
LEFT JOIN LATERAL (
    SELECT d.decision FROM reviews d WHERE d.clip_id = c.clip_id ORDER BY d.review_id DESC LIMIT 1
) decided ON true
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

-- why a person must look at a clip, and what people decided: v_review_queue shows readers the rest
REVOKE SELECT ON review_causes, reviews, clip_reviews FROM reader;
GRANT SELECT ON review_causes, reviews TO crawler, worker;
GRANT INSERT, UPDATE (score, note) ON review_causes TO worker;
GRANT INSERT ON reviews TO reviewer;
GRANT DELETE ON review_causes, reviews TO crawler, reviewer;
