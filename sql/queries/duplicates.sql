-- name: lock_duplicates
-- Deciding takes turns: two partitions that hold copies of each other must not both lose them.
SELECT pg_advisory_xact_lock(hashtext('duplicates'), hashtext(:stage));

-- name: exact_survivors
-- For each video of the shard the one that stands for its bytes: one already kept, else the earliest.
WITH shard AS (
    SELECT v.video_id, v.sha256, v.discovered_at, v.origin_uri
    FROM shard_subjects s JOIN videos v ON v.video_id = s.subject_id
    WHERE s.shard_id = :shard_id
)
SELECT shard.video_id,
       coalesce(
           known.video_id,
           first_value(shard.video_id) OVER (
               PARTITION BY shard.sha256 ORDER BY shard.discovered_at, shard.origin_uri, shard.video_id)
       ) AS survivor
FROM shard
LEFT JOIN LATERAL (
    SELECT v.video_id FROM videos v
    JOIN outcomes o ON o.stage = 'deduplicate_exact' AND o.stage_version = :version AND o.subject_id = v.video_id
    WHERE v.sha256 = shard.sha256 AND o.outcome = 'kept' AND v.takedown_id IS NULL
    ORDER BY v.discovered_at, v.origin_uri, v.video_id LIMIT 1
) known ON true;

-- name: near_candidates
-- For each of the videos asked for, those that have a frame within :radius bits of one of its own, in either
-- orientation: most shared frames first, then the nearest. At most :probes of its searchable frames are looked up, evenly
-- spread, each under its first :width bits in all four turns (schema.sql), and under those with some bits flipped: with
-- as many, up to :flips, as :keys look-ups a video allow. A key reads at most :rows fingerprints, however many it has.
WITH RECURSIVE masks (flips, below, mask) AS (
    SELECT 0, (:width)::int, 0::bigint
    UNION ALL
    SELECT m.flips + 1, b.place, m.mask | (1::bigint << (63 - b.place))
    FROM masks m CROSS JOIN LATERAL generate_series(0, m.below - 1) AS b (place)
    WHERE m.flips < :flips
), breadths AS MATERIALIZED (
    SELECT flips, 4 * sum(count(*)) OVER (ORDER BY flips) AS keys FROM masks GROUP BY flips
), frames AS MATERIALIZED (
    SELECT f.video_id, f.bits, f.mirrored_bits,
           row_number() OVER (PARTITION BY f.video_id ORDER BY f.ordinal) - 1 AS place,
           count(*) OVER (PARTITION BY f.video_id) AS of
    FROM fingerprints f
    WHERE f.video_id = ANY(:video_ids) AND f.searchable
), probes AS MATERIALIZED (
    SELECT f.video_id AS asked, f.place, f.flips, ((p.bits << 8) | (p.bits >> 56))::bigint AS turned_8,
           ((p.bits << 24) | (p.bits >> 40))::bigint AS turned_24,
           ((p.bits << 40) | (p.bits >> 24))::bigint AS turned_40,
           ((p.bits << 56) | (p.bits >> 8))::bigint AS turned_56
    FROM (
        SELECT t.*, (SELECT max(b.flips) FROM breadths b WHERE b.keys * 2 * t.taken <= :keys) AS flips
        FROM (SELECT frames.*, count(*) OVER (PARTITION BY video_id) AS taken FROM frames
              WHERE mod(place, (of + :probes - 1) / :probes) = 0) t
    ) f
    CROSS JOIN LATERAL (VALUES (f.bits), (f.mirrored_bits)) AS p (bits)
), near AS (
    SELECT p.asked, p.place, n.video_id, bit_count((n.turned # p.turned_8)::bit(64)) AS distance
    FROM probes p JOIN masks m ON m.flips <= p.flips
    CROSS JOIN LATERAL (
        SELECT f.video_id, f.turned_8 AS turned FROM fingerprints f
        WHERE f.searchable AND f.turned_8 BETWEEN (p.turned_8 # m.mask) & (~ :rest) AND (p.turned_8 # m.mask) | :rest
        LIMIT :rows
    ) n
    UNION ALL
    SELECT p.asked, p.place, n.video_id, bit_count((n.turned # p.turned_24)::bit(64)) AS distance
    FROM probes p JOIN masks m ON m.flips <= p.flips
    CROSS JOIN LATERAL (
        SELECT f.video_id, f.turned_24 AS turned FROM fingerprints f
        WHERE f.searchable AND f.turned_24 BETWEEN (p.turned_24 # m.mask) & (~ :rest) AND (p.turned_24 # m.mask) | :rest
        LIMIT :rows
    ) n
    UNION ALL
    SELECT p.asked, p.place, n.video_id, bit_count((n.turned # p.turned_40)::bit(64)) AS distance
    FROM probes p JOIN masks m ON m.flips <= p.flips
    CROSS JOIN LATERAL (
        SELECT f.video_id, f.turned_40 AS turned FROM fingerprints f
        WHERE f.searchable AND f.turned_40 BETWEEN (p.turned_40 # m.mask) & (~ :rest) AND (p.turned_40 # m.mask) | :rest
        LIMIT :rows
    ) n
    UNION ALL
    SELECT p.asked, p.place, n.video_id, bit_count((n.turned # p.turned_56)::bit(64)) AS distance
    FROM probes p JOIN masks m ON m.flips <= p.flips
    CROSS JOIN LATERAL (
        SELECT f.video_id, f.turned_56 AS turned FROM fingerprints f
        WHERE f.searchable AND f.turned_56 BETWEEN (p.turned_56 # m.mask) & (~ :rest) AND (p.turned_56 # m.mask) | :rest
        LIMIT :rows
    ) n
), met AS (
    SELECT asked, video_id, count(DISTINCT place) AS hits, min(distance) AS nearest
    FROM near WHERE distance <= :radius AND video_id <> asked
    GROUP BY asked, video_id
), ranked AS (
    SELECT met.*, row_number() OVER (PARTITION BY asked ORDER BY hits DESC, nearest, video_id) AS place FROM met
)
SELECT asked, video_id, hits FROM ranked WHERE place <= :limit ORDER BY asked, place;

-- name: turned_bytes$
-- Tells how many fingerprints there are, at every moment and without counting them.
SELECT pg_relation_size('fingerprints_turned_8');

-- name: search_settings$
-- Until the transaction ends: the planner knows neither how few rows a key has nor how short each of its searches is.
SELECT set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true);

-- name: load_fingerprints
SELECT t_s, bits::bigint AS bits, mirrored_bits::bigint AS mirrored_bits
FROM fingerprints WHERE video_id = :video_id ORDER BY ordinal;

-- name: comparable
-- Those of these videos that were analysed at this version. One that was looked up was, also if its analysis was forgotten
-- since, because its objects were lost, and has to be made again.
SELECT v.video_id
FROM videos v
WHERE v.video_id = ANY(:video_ids) AND v.takedown_id IS NULL AND EXISTS (
    SELECT FROM outcomes o
    WHERE o.subject_id = v.video_id AND o.outcome = 'kept'
      AND (o.stage, o.stage_version) IN (('analyse', :analyse_version), ('find_copies', :version))
);

-- name: copies
-- The copies of each of these videos, whichever of the two was looked up when they met.
SELECT DISTINCT ON (asked.video_id, c.other_id) asked.video_id, c.other_id, c.similarity, c.overlap_s, c.mirrored
FROM unnest(:video_ids::text[]) AS asked (video_id)
CROSS JOIN LATERAL (
    SELECT m.other_id, m.similarity, m.overlap_s, m.mirrored FROM copies m
    WHERE m.video_id = asked.video_id AND m.stage = 'find_copies' AND m.stage_version = :version
    UNION ALL
    SELECT m.video_id, m.similarity, m.overlap_s, m.mirrored FROM copies m
    WHERE m.other_id = asked.video_id AND m.stage = 'find_copies' AND m.stage_version = :version
) c
ORDER BY asked.video_id, c.other_id, c.similarity DESC;

-- name: quality_order
-- The survivor's rule: most pixels first, then the earliest seen.
SELECT v.video_id, v.width::bigint * v.height AS pixels, v.discovered_at, v.origin_uri,
       coalesce(o.outcome = 'kept', false) AS already_kept
FROM videos v
LEFT JOIN outcomes o ON o.stage = 'deduplicate_near' AND o.stage_version = :version AND o.subject_id = v.video_id
WHERE v.video_id = ANY(:video_ids) AND coalesce(o.outcome, 'kept') = 'kept' AND v.takedown_id IS NULL
ORDER BY pixels DESC, v.discovered_at, v.origin_uri, v.video_id;

-- name: displace_survivor!
-- A better copy came: the old survivor's outcome now names the new one.
UPDATE outcomes
SET outcome = 'rejected', reason = 'near_duplicate', scores = :scores, detail = :detail,
    stage_run_id = :stage_run_id, recorded_at = now()
WHERE stage = 'deduplicate_near' AND stage_version = :version AND subject_id = :video_id AND outcome = 'kept';
