-- name: lock_duplicates
-- Comparing takes turns: two partitions that hold copies of each other must not both lose them.
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
-- orientation, most shared first. At most :probes of its searchable frames are looked up, evenly spread; every look-up
-- is a nearest-neighbour search on the index.
WITH frames AS MATERIALIZED (
    SELECT f.video_id, f.bits, f.mirrored_bits,
           row_number() OVER (PARTITION BY f.video_id ORDER BY f.ordinal) - 1 AS place,
           count(*) OVER (PARTITION BY f.video_id) AS of
    FROM fingerprints f
    WHERE f.video_id = ANY(:video_ids) AND f.searchable
), probes AS MATERIALIZED (
    SELECT frames.video_id, p.bits
    FROM frames CROSS JOIN LATERAL (VALUES (frames.bits), (frames.mirrored_bits)) AS p (bits)
    WHERE mod(frames.place, (frames.of + :probes - 1) / :probes) = 0
), met AS (
    SELECT probes.video_id AS asked, n.video_id, count(*) AS hits
    FROM probes
    CROSS JOIN LATERAL (
        SELECT g.video_id, g.bits <~> probes.bits AS distance
        FROM fingerprints g
        WHERE g.searchable AND g.video_id <> probes.video_id
        ORDER BY g.bits <~> probes.bits
        LIMIT :neighbours
    ) n
    WHERE n.distance <= :radius
    GROUP BY probes.video_id, n.video_id
), ranked AS (
    SELECT met.*, row_number() OVER (PARTITION BY asked ORDER BY hits DESC, video_id) AS place FROM met
)
SELECT asked, video_id, hits FROM ranked WHERE place <= :limit ORDER BY asked, place;

-- name: search_settings$
-- Until the transaction ends: look on until enough neighbours are found, though the video's own frames are passed over.
SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
       set_config('hnsw.ef_search', (:ef_search)::text, true);

-- name: load_fingerprints
SELECT t_s, bits::bigint AS bits, mirrored_bits::bigint AS mirrored_bits
FROM fingerprints WHERE video_id = :video_id ORDER BY ordinal;

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
