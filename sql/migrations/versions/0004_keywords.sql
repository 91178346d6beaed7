-- What is searched for, and what it brought.
CREATE TABLE keywords (
    keyword_id  text PRIMARY KEY,
    source      text NOT NULL REFERENCES sources,
    phrase      text NOT NULL,
    normalised  text NOT NULL,
    parent      text REFERENCES keywords,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'retired')),
    reason      text,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source, normalised),
    CHECK ((status = 'active') = (reason IS NULL))
);
COMMENT ON TABLE keywords IS 'What a source searches for: its seeds, what a person added, and what was proposed from what these brought.';
COMMENT ON COLUMN keywords.normalised IS 'The phrase without what does not change a search: case, spacing, punctuation around it.';
COMMENT ON COLUMN keywords.parent IS 'The keyword that it was proposed from.';
COMMENT ON COLUMN keywords.proposed_by IS 'seed, a strategy of expansion (with its model), or a person.';

CREATE TABLE keyword_budgets (
    keyword_id    text NOT NULL REFERENCES keywords,
    partition_key text NOT NULL,
    items         int NOT NULL CHECK (items > 0),
    PRIMARY KEY (keyword_id, partition_key)
);
COMMENT ON TABLE keyword_budgets IS 'How many items a crawl day may take from each keyword. Fixed by the day''s first crawl, so that another one of the same day repeats it.';

CREATE TABLE video_keywords (
    video_id      text NOT NULL REFERENCES videos,
    keyword_id    text NOT NULL REFERENCES keywords,
    partition_key text NOT NULL,
    brought       boolean NOT NULL,
    PRIMARY KEY (video_id, keyword_id)
);
COMMENT ON TABLE video_keywords IS 'Which keywords found a video, and on which crawl day first.';
COMMENT ON COLUMN video_keywords.brought IS 'It was this keyword that made the video known; true for at most one.';
CREATE INDEX video_keywords_keyword ON video_keywords (keyword_id);

-- Each video on its way: whether it was fetched, whether its way has ended, the seconds of it that are kept, and the
-- seconds of work that it took. The same as v_videos and v_clips say, for many videos at once.
CREATE VIEW video_yields AS
WITH total AS (
    SELECT count(*) FILTER (WHERE subject = 'video') AS video_stages,
           count(*) FILTER (WHERE subject = 'clip') AS clip_stages
    FROM stages
), on_video AS (
    SELECT video_id, bool_or(stage = 'fetch' AND outcome = 'kept') AS fetched, bool_or(outcome <> 'kept') AS ended,
           count(*) AS stages, sum(seconds) AS cost_s
    FROM current_outcomes WHERE subject = 'video' GROUP BY video_id
), on_clip AS (
    SELECT c.video_id, c.end_s - c.start_s AS duration_s, bool_or(o.outcome <> 'kept') AS ended,
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
    GROUP BY w.keyword_id
) f ON f.keyword_id = k.keyword_id;
