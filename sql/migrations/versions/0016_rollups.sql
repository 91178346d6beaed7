-- The funnel is counted as outcomes are recorded. Who changes a video's outcomes only leaves a mark, which nobody waits for;
-- folding (catalog/counting.py) counts marked videos anew and moves the totals by the difference. What is not folded yet is
-- counted when it is asked for, so the funnel is exact at every moment.
CREATE TABLE tally_marks (
    mark_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id text NOT NULL
);
COMMENT ON TABLE tally_marks IS 'Videos whose outcomes changed since they were counted.';

CREATE TABLE video_tallies (
    video_id      text NOT NULL,
    source        text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    outcome       text NOT NULL,
    reason        text NOT NULL,
    clips         bigint NOT NULL,
    microseconds  bigint NOT NULL,
    PRIMARY KEY (video_id, stage, stage_version, outcome, reason)
);
COMMENT ON TABLE video_tallies IS 'What each video adds to funnel_totals.';
COMMENT ON COLUMN video_tallies.reason IS 'Empty where there is none.';
COMMENT ON COLUMN video_tallies.microseconds IS 'Of video. A whole number: sums of it do not depend on their order.';

CREATE TABLE funnel_totals (
    source        text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    outcome       text NOT NULL,
    reason        text NOT NULL,
    videos        bigint NOT NULL,
    clips         bigint NOT NULL,
    microseconds  bigint NOT NULL,
    PRIMARY KEY (source, stage, stage_version, outcome, reason)
);
COMMENT ON TABLE funnel_totals IS 'The sums of video_tallies.';

-- A crawl day is settled when nothing of it is on its way; until something of it changes, nobody looks again.
CREATE TABLE settled_days (
    partition_key text PRIMARY KEY,
    versions      text NOT NULL,
    settled_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN settled_days.versions IS 'Of the stages for which this holds, as one digest.';

CREATE TABLE day_marks (
    mark_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_key text NOT NULL
);
COMMENT ON TABLE day_marks IS 'Crawl days of which something changed since they were looked at.';
CREATE INDEX day_marks_partition_key ON day_marks (partition_key);

CREATE FUNCTION count_outcomes(videos text[])
RETURNS TABLE (video_id text, source text, stage text, stage_version text, outcome text, reason text, clips bigint,
               microseconds bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.video_id, v.source, o.stage, o.stage_version, o.outcome, coalesce(o.reason, ''), count(c.clip_id),
           sum(round(coalesce(c.end_s - c.start_s, v.duration_s, 0) * 1e6)::bigint)::bigint
    FROM outcomes o
    JOIN videos v USING (video_id)
    LEFT JOIN clips c ON c.clip_id = o.subject_id
    WHERE o.video_id = ANY (videos) AND v.takedown_id IS NULL AND c.retired_at IS NULL
    GROUP BY o.video_id, v.source, o.stage, o.stage_version, o.outcome, o.reason
$$;

-- Folds up to ``most`` marks, unless somebody else is folding: they or the next do it then. Returns how many it took.
CREATE FUNCTION fold_tallies(most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    marked text[];
    taken bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('fold_tallies')) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM tally_marks WHERE mark_id IN (SELECT mark_id FROM tally_marks ORDER BY mark_id LIMIT most)
        RETURNING video_id
    )
    SELECT array_agg(DISTINCT video_id), count(*) INTO marked, taken FROM gone;
    -- a statement of its own: it sees at least what the marks were left for
    WITH changed AS MATERIALIZED (
        SELECT video_id, stage, stage_version, outcome, reason, coalesce(f.source, b.source) AS source,
               coalesce(f.clips, 0) AS clips, coalesce(f.microseconds, 0) AS microseconds,
               f.source IS NULL AS vanished,
               (f.source IS NOT NULL)::int - (b.source IS NOT NULL)::int AS more_videos,
               coalesce(f.clips, 0) - coalesce(b.clips, 0) AS more_clips,
               coalesce(f.microseconds, 0) - coalesce(b.microseconds, 0) AS more_microseconds
        FROM count_outcomes(marked) f
        FULL JOIN (SELECT * FROM video_tallies WHERE video_id = ANY (marked)) b
            USING (video_id, stage, stage_version, outcome, reason)
        WHERE (f.clips, f.microseconds) IS DISTINCT FROM (b.clips, b.microseconds)
    ), vanished AS (
        DELETE FROM video_tallies t USING changed c
        WHERE c.vanished AND (t.video_id, t.stage, t.stage_version, t.outcome, t.reason)
            = (c.video_id, c.stage, c.stage_version, c.outcome, c.reason)
    ), counted AS (
        INSERT INTO video_tallies (video_id, source, stage, stage_version, outcome, reason, clips, microseconds)
        SELECT video_id, source, stage, stage_version, outcome, reason, clips, microseconds
        FROM changed WHERE NOT vanished
        ON CONFLICT (video_id, stage, stage_version, outcome, reason)
        DO UPDATE SET clips = excluded.clips, microseconds = excluded.microseconds
    )
    INSERT INTO funnel_totals AS t (source, stage, stage_version, outcome, reason, videos, clips, microseconds)
    SELECT source, stage, stage_version, outcome, reason, sum(more_videos), sum(more_clips), sum(more_microseconds)
    FROM changed GROUP BY source, stage, stage_version, outcome, reason
    ON CONFLICT (source, stage, stage_version, outcome, reason)
    DO UPDATE SET videos = t.videos + excluded.videos, clips = t.clips + excluded.clips,
                  microseconds = t.microseconds + excluded.microseconds;
    RETURN taken;
END $$;

CREATE FUNCTION mark_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id) SELECT DISTINCT video_id FROM changed;
    INSERT INTO day_marks (partition_key) SELECT DISTINCT v.partition_key FROM changed JOIN videos v USING (video_id);
    RETURN NULL;
END $$;
CREATE TRIGGER outcomes_inserted AFTER INSERT ON outcomes
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();
CREATE TRIGGER outcomes_updated AFTER UPDATE ON outcomes
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();
CREATE TRIGGER outcomes_deleted AFTER DELETE ON outcomes
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();

CREATE FUNCTION mark_clips() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id)
    SELECT DISTINCT n.video_id FROM before b JOIN changed n USING (clip_id)
    WHERE (n.start_s, n.end_s, n.retired_at) IS DISTINCT FROM (b.start_s, b.end_s, b.retired_at);
    INSERT INTO day_marks (partition_key)
    SELECT DISTINCT v.partition_key FROM before b JOIN changed n USING (clip_id) JOIN videos v ON v.video_id = n.video_id
    WHERE n.retired_at IS DISTINCT FROM b.retired_at;
    RETURN NULL;
END $$;
CREATE TRIGGER clips_updated AFTER UPDATE ON clips
    REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_clips();

CREATE FUNCTION mark_videos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id)
    SELECT n.video_id FROM before b JOIN changed n USING (video_id)
    WHERE (n.duration_s, n.takedown_id) IS DISTINCT FROM (b.duration_s, b.takedown_id);
    INSERT INTO day_marks (partition_key)
    SELECT DISTINCT n.partition_key FROM before b JOIN changed n USING (video_id)
    WHERE n.takedown_id IS DISTINCT FROM b.takedown_id;
    RETURN NULL;
END $$;
CREATE TRIGGER videos_updated AFTER UPDATE ON videos
    REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_videos();

CREATE FUNCTION mark_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO day_marks (partition_key) SELECT DISTINCT partition_key FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER videos_inserted AFTER INSERT ON videos
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_days();

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
LEFT JOIN LATERAL (
    -- the first thing that ended the video before it had clips to judge
    SELECT o.outcome, o.reason FROM current_outcomes o
    WHERE o.subject_id = c.video_id AND o.subject = 'video' AND o.outcome NOT IN ('kept', 'skipped')
    ORDER BY o.ordinal LIMIT 1
) verdict ON true
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
        WHEN verdict.outcome IS NOT NULL THEN verdict.outcome
        WHEN coalesce(clip.pending, 1) > 0 THEN 'pending'
        WHEN clip.kept > 0 THEN 'kept'
        WHEN clip.failed > 0 THEN 'failed'
        ELSE 'rejected'
    END AS status,
    CASE
        WHEN verdict.outcome IS NOT NULL THEN verdict.reason
        WHEN coalesce(clip.pending, 1) > 0 OR clip.kept > 0 THEN NULL
        ELSE main.reason
    END AS reason
FROM videos v
LEFT JOIN LATERAL (
    -- the first thing that ended the video before it had clips to judge
    SELECT o.outcome, o.reason FROM current_outcomes o
    WHERE o.subject_id = v.video_id AND o.subject = 'video' AND o.outcome NOT IN ('kept', 'skipped')
    ORDER BY o.ordinal LIMIT 1
) verdict ON true
LEFT JOIN LATERAL (
    SELECT
        CASE WHEN count(*) = 0 THEN 1 ELSE count(*) FILTER (WHERE status = 'pending') END AS pending,
        count(*) FILTER (WHERE status = 'kept') AS kept,
        count(*) FILTER (WHERE status = 'failed') AS failed
    FROM v_clips WHERE v_clips.video_id = v.video_id
) clip ON verdict.outcome IS NULL
LEFT JOIN LATERAL (
    -- what ended most of its seconds; a failure before a rejection, because a failure asks for a person
    SELECT c.reason FROM v_clips c
    WHERE c.video_id = v.video_id AND c.status IN ('rejected', 'failed')
    GROUP BY c.status, c.reason
    ORDER BY c.status, sum(c.duration_s) DESC, c.reason LIMIT 1
) main ON verdict.outcome IS NULL
WHERE v.takedown_id IS NULL;

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

CREATE OR REPLACE VIEW v_funnel AS
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

-- Counting as outcomes are recorded: who changes something marks it, who records folds, who plans settles days.
GRANT INSERT ON tally_marks, day_marks TO crawler, worker, reviewer;
GRANT SELECT ON tally_marks, video_tallies, funnel_totals, settled_days, day_marks TO crawler, worker;
GRANT DELETE ON tally_marks TO crawler, worker;
GRANT INSERT, DELETE, UPDATE (clips, microseconds) ON video_tallies TO crawler, worker;
GRANT INSERT, UPDATE (videos, clips, microseconds) ON funnel_totals TO crawler, worker;
GRANT INSERT, DELETE, UPDATE (versions, settled_at) ON settled_days TO crawler;
GRANT DELETE ON day_marks TO crawler;

-- what there is already is counted now
INSERT INTO tally_marks (video_id) SELECT DISTINCT video_id FROM outcomes;
SELECT fold_tallies(9223372036854775807);
