-- name: insert_keywords
-- Phrases become keywords; what is known already stays as it is. Returns the new ones.
INSERT INTO keywords (keyword_id, source, phrase, normalised, parent, proposed_by)
SELECT n.keyword_id, :source, n.phrase, n.normalised, n.parent, n.proposed_by
FROM unnest(:keyword_ids::text[], :phrases::text[], :normalised::text[], :parents::text[], :proposed_by::text[])
     AS n (keyword_id, phrase, normalised, parent, proposed_by)
ON CONFLICT (keyword_id) DO NOTHING
RETURNING keyword_id, phrase;

-- name: activate_keywords!
UPDATE keywords SET status = 'active', reason = NULL, updated_at = now()
WHERE keyword_id = ANY(:keyword_ids) AND status = ANY(:from_statuses);

-- name: retire_other_seeds!
-- Seeds that the source's file no longer names.
UPDATE keywords SET status = 'retired', reason = 'the source''s file names it no more', updated_at = now()
WHERE source = :source AND proposed_by = 'seed' AND status = 'active' AND keyword_id <> ALL(:keyword_ids);

-- name: retire_poor_keywords
-- Proposed keywords that had their chance. Seeds and what a person added are a person's to pause.
UPDATE keywords k SET
    status = 'retired', updated_at = now(),
    reason = 'kept ' || y.kept || ' of ' || y.videos || ' videos, less than ' || :kept_share_below
             || ' of them after ' || :after_videos
FROM (
    SELECT w.keyword_id, count(*) AS videos, count(*) FILTER (WHERE y.kept_s > 0) AS kept
    FROM video_keywords w JOIN keywords USING (keyword_id) JOIN video_yields y USING (video_id)
    WHERE keywords.source = :source AND y.fetched AND y.decided
    GROUP BY w.keyword_id
) y
WHERE y.keyword_id = k.keyword_id AND k.status = 'active' AND k.parent IS NOT NULL
  AND y.videos >= :after_videos AND y.kept < :kept_share_below * y.videos
RETURNING k.phrase, k.reason;

-- name: pause_keyword$
UPDATE keywords SET status = 'paused', reason = :reason, updated_at = now()
WHERE keyword_id = :keyword_id RETURNING phrase;

-- name: keyword_arms
-- What each active keyword has brought, a crawl's counts fading with each crawl since (humannet_ops.domain.bandit.Arm).
WITH crawl AS (
    SELECT partition_key,
           power(:discount::float8, row_number() OVER (ORDER BY ended_at DESC, partition_key DESC) - 1) AS weight
    FROM crawls WHERE source = :source
), given AS (
    SELECT b.keyword_id, sum(c.weight) AS searches, sum(c.weight * b.items) AS items
    FROM keyword_budgets b JOIN crawl c USING (partition_key) GROUP BY b.keyword_id
), brought AS (
    SELECT w.keyword_id,
           sum(c.weight) FILTER (WHERE w.brought AND (y.fetched OR y.decided IS NOT TRUE)) AS fresh,
           sum(c.weight * v.duration_s / 3600) FILTER (WHERE y.fetched AND y.decided) AS hours,
           sum(c.weight * y.kept_s / 3600) FILTER (WHERE y.fetched AND y.decided) AS kept_hours,
           sum(c.weight * (v.duration_s / 3600) ^ 2) FILTER (WHERE y.fetched AND y.decided) AS squared_hours
    FROM video_keywords w
    JOIN keywords k ON k.keyword_id = w.keyword_id AND k.source = :source AND k.status = 'active'
    JOIN crawl c USING (partition_key)
    JOIN videos v USING (video_id)
    LEFT JOIN video_yields y USING (video_id)
    WHERE v.takedown_id IS NULL
    GROUP BY w.keyword_id
)
SELECT k.keyword_id, coalesce(g.searches, 0) AS searches, coalesce(g.items, 0) AS items, coalesce(b.fresh, 0) AS fresh,
       coalesce(b.hours, 0) AS hours, coalesce(b.kept_hours, 0) AS kept_hours, coalesce(b.squared_hours, 0) AS squared_hours
FROM keywords k LEFT JOIN given g USING (keyword_id) LEFT JOIN brought b USING (keyword_id)
WHERE k.source = :source AND k.status = 'active'
ORDER BY k.keyword_id;

-- name: lock_keywords
-- Two crawls of one source plan their searches in turn.
SELECT pg_advisory_xact_lock(hashtext('keywords'), hashtext(:source));

-- name: keyword_budget
-- What a crawl day was given, less what may not be searched any more.
SELECT k.keyword_id, k.phrase, b.items
FROM keyword_budgets b JOIN keywords k USING (keyword_id)
WHERE k.source = :source AND b.partition_key = :partition_key AND k.status = 'active'
ORDER BY b.items DESC, k.keyword_id;

-- name: has_keyword_budget$
SELECT EXISTS (SELECT FROM keyword_budgets b JOIN keywords k USING (keyword_id)
               WHERE k.source = :source AND b.partition_key = :partition_key);

-- name: insert_keyword_budget!
INSERT INTO keyword_budgets (keyword_id, partition_key, items)
SELECT n.keyword_id, :partition_key, n.items FROM unnest(:keyword_ids::text[], :items::int[]) AS n (keyword_id, items);

-- name: known_phrases
SELECT phrase FROM keywords WHERE source = :source ORDER BY keyword_id;

-- name: count_active_keywords$
SELECT count(*) FROM keywords WHERE source = :source AND status = 'active';

-- name: expandable_keywords
-- Keywords to propose from: those that keep the most an hour before those that were not tried; what keeps nothing is left.
-- One fetched hour is added, so that a share of little does not come before one of much.
SELECT k.keyword_id, k.phrase
FROM keywords k
LEFT JOIN (
    SELECT w.keyword_id, sum(v.duration_s) / 3600 AS hours, sum(y.kept_s) / 3600 AS kept_hours
    FROM video_keywords w JOIN keywords USING (keyword_id) JOIN videos v USING (video_id)
    JOIN video_yields y USING (video_id)
    WHERE keywords.source = :source AND y.fetched AND y.decided AND v.takedown_id IS NULL GROUP BY w.keyword_id
) f USING (keyword_id)
WHERE k.source = :source AND k.status = 'active' AND (f.hours IS NULL OR f.kept_hours > 0)
  AND (:phrase::text IS NULL OR k.normalised = :phrase)
ORDER BY coalesce(f.kept_hours / (f.hours + 1), 0) DESC, k.proposed_at, k.keyword_id
LIMIT :most;

-- name: keyword_texts
-- What is said about the videos that keywords found, the kept ones first.
SELECT keyword_id, title, tags, description, kept FROM (
    SELECT w.keyword_id, v.title, v.published -> 'tags' AS tags, v.published ->> 'description' AS description,
           coalesce(y.kept_s > 0, false) AS kept,
           row_number() OVER (PARTITION BY w.keyword_id
                              ORDER BY coalesce(y.kept_s > 0, false) DESC, w.partition_key DESC, v.video_id) AS place
    FROM video_keywords w JOIN videos v USING (video_id) LEFT JOIN video_yields y USING (video_id)
    WHERE w.keyword_id = ANY(:keyword_ids) AND v.takedown_id IS NULL
) texts WHERE place <= :most ORDER BY keyword_id, place;

-- name: collect_found!
-- Which keyword offered what, in this pass, before its entries become one an origin.
CREATE TEMP TABLE found ON COMMIT DROP AS
SELECT e.origin_uri, e.keyword_id, min(e.ordinal) AS ordinal
FROM entries e JOIN keywords USING (keyword_id) GROUP BY e.origin_uri, e.keyword_id;

-- name: link_keywords!
-- What was new, what was known, and what was known under another address.
INSERT INTO video_keywords (video_id, keyword_id, partition_key, brought)
SELECT video_id, keyword_id, :partition_key,
       is_new AND row_number() OVER (PARTITION BY video_id ORDER BY ordinal) = 1
FROM (
    SELECT v.video_id, f.keyword_id, bool_or(v.is_new) AS is_new, min(f.ordinal) AS ordinal
    FROM found f
    JOIN LATERAL (
        (SELECT v.video_id, v.discovered_at = now() AS is_new FROM videos v
         WHERE v.source = :source AND v.origin_uri = f.origin_uri ORDER BY v.version DESC LIMIT 1)
        UNION ALL
        SELECT a.video_id, v.discovered_at = now() FROM video_aliases a JOIN videos v USING (video_id)
        WHERE a.source = :source AND a.origin_uri = f.origin_uri
        LIMIT 1
    ) v ON true
    GROUP BY v.video_id, f.keyword_id
) pairs
ON CONFLICT (video_id, keyword_id) DO NOTHING;

-- name: keywords
SELECT keyword, source, parent, proposed_by, status, items, candidates, brought, fetched, fetched_hours, kept_hours,
       yield, cost, proposed_at, reason
FROM v_keywords
WHERE (:source::text IS NULL OR source = :source) AND (:status::text IS NULL OR status = :status)
ORDER BY source, yield DESC NULLS LAST, keyword;
