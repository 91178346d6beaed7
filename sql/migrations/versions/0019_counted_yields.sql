-- What became of each video is kept up to date by fold_tallies. Every crawl asked it of all videos of all time.

CREATE TABLE yields (
    video_id text PRIMARY KEY,
    fetched  boolean NOT NULL,
    decided  boolean NOT NULL,
    kept_s   double precision NOT NULL,
    cost_s   double precision NOT NULL
);
COMMENT ON TABLE yields IS 'What became of each video, as of when fold_tallies counted it last: the view video_yields adds what changed since. A version that is raised changes nothing here before the video is looked at again.';
INSERT INTO yields
SELECT y.* FROM video_yields y JOIN videos v USING (video_id) WHERE v.takedown_id IS NULL;

CREATE FUNCTION count_yields(videos text[])
RETURNS TABLE (video_id text, fetched boolean, decided boolean, kept_s double precision, cost_s double precision)
LANGUAGE sql STABLE AS $$
    -- grouped twice and not joined: the planner does not know how many videos it is asked for
    WITH total AS (
        SELECT count(*) FILTER (WHERE subject = 'video') AS video_stages,
               count(*) FILTER (WHERE subject = 'clip') AS clip_stages
        FROM stages WHERE ordinal IS NOT NULL
    ), subjects AS (
        SELECT video_id, subject_id, subject_id = video_id AS is_video, sum(stages) AS stages, bool_or(ended) AS ended,
               bool_or(fetched) AS fetched, sum(cost_s) AS cost_s, max(length_s) AS length_s
        FROM (
            SELECT o.video_id, o.subject_id, 1 AS stages, o.outcome NOT IN ('kept', 'skipped') AS ended,
                   o.stage = 'fetch' AND o.outcome = 'kept' AS fetched, o.seconds AS cost_s, NULL::float8 AS length_s
            FROM outcomes o JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version
            WHERE o.video_id = ANY (videos)
            UNION ALL
            SELECT c.video_id, c.clip_id, 0, false, false, 0, c.end_s - c.start_s
            FROM clips c WHERE c.video_id = ANY (videos) AND c.retired_at IS NULL
        ) told
        GROUP BY video_id, subject_id
    ), found AS (
        SELECT x.video_id, bool_or(x.fetched) AS fetched, bool_or(x.ended) FILTER (WHERE x.is_video) AS ended,
               max(x.stages) FILTER (WHERE x.is_video) AS stages,
               bool_and(x.ended OR x.stages = t.clip_stages) FILTER (WHERE x.length_s IS NOT NULL) AS clips_decided,
               sum(x.length_s) FILTER (WHERE NOT x.ended AND x.stages = t.clip_stages) AS kept_s,
               sum(x.cost_s) FILTER (WHERE x.is_video OR x.length_s IS NOT NULL) AS cost_s
        FROM subjects x CROSS JOIN total t
        GROUP BY x.video_id
    )
    SELECT f.video_id, f.fetched, f.ended OR (f.stages = t.video_stages AND f.clips_decided IS TRUE),
           CASE WHEN f.ended OR f.stages < t.video_stages THEN 0 ELSE coalesce(f.kept_s, 0) END, f.cost_s
    FROM found f CROSS JOIN total t
    JOIN videos v ON v.video_id = f.video_id AND v.takedown_id IS NULL
    WHERE f.stages IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION fold_tallies(most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
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
    WITH counted AS MATERIALIZED (
        SELECT * FROM count_yields(marked)
    ), vanished AS (
        DELETE FROM yields y WHERE y.video_id = ANY (marked) AND NOT EXISTS (SELECT FROM counted c WHERE c.video_id = y.video_id)
    )
    INSERT INTO yields AS y (video_id, fetched, decided, kept_s, cost_s) SELECT * FROM counted
    ON CONFLICT (video_id) DO UPDATE
    SET fetched = excluded.fetched, decided = excluded.decided, kept_s = excluded.kept_s, cost_s = excluded.cost_s
    WHERE (y.fetched, y.decided, y.kept_s, y.cost_s)
        IS DISTINCT FROM (excluded.fetched, excluded.decided, excluded.kept_s, excluded.cost_s);
    RETURN taken;
END $$;

CREATE OR REPLACE VIEW video_yields AS
WITH counted AS MATERIALIZED (
    SELECT f.*
    FROM (SELECT array_agg(DISTINCT video_id) AS videos FROM tally_marks) marked CROSS JOIN LATERAL count_yields(marked.videos) f
)
SELECT video_id, fetched, decided, kept_s, cost_s
FROM yields y
WHERE NOT EXISTS (SELECT FROM tally_marks m WHERE m.video_id = y.video_id)
UNION ALL
SELECT video_id, fetched, decided, kept_s, cost_s FROM counted;

GRANT SELECT, INSERT, DELETE, UPDATE (fetched, decided, kept_s, cost_s) ON yields TO crawler, worker;
