-- name: fill_videos!
INSERT INTO sources (source, kind, uri) VALUES ('benchmark', 'folder', '/benchmark') ON CONFLICT DO NOTHING;
INSERT INTO videos (video_id, source, origin_uri, version, signature, partition_key)
SELECT 'v' || lpad(n::text, 20, '0'), 'benchmark', '/benchmark/' || n, 1, '', '2026-01-01' FROM generate_series(:first, :last) n;

-- name: start_empty!
TRUNCATE fingerprints, videos CASCADE;
DROP INDEX IF EXISTS fingerprints_hnsw, fingerprints_turned_8, fingerprints_turned_24, fingerprints_turned_40,
    fingerprints_turned_56;

-- name: repeat!
-- Fill videos with the first ones' hashes, of which some bits are inverted. A range, so that nobody reads all there are.
INSERT INTO fingerprints (video_id, ordinal, t_s, bits, mirrored_bits, searchable)
SELECT 'v' || lpad(n::text, 20, '0'), f.ordinal, f.t_s, f.bits # (:mask)::bit(64), f.mirrored_bits # (:mask)::bit(64), f.searchable
FROM (
    SELECT video_id, (:first)::bigint + substr(video_id, 2)::bigint AS n, ordinal, t_s, bits, mirrored_bits, searchable
    FROM fingerprints WHERE video_id BETWEEN 'v' || repeat('0', 20) AND 'v' || lpad((:last - :first)::text, 20, '0')
) f;

-- name: build_memory!
-- One process, so that its time can be told.
SET maintenance_work_mem = '2GB';
SET max_parallel_maintenance_workers = 0;

-- name: build_turned!
-- As in sql/schema.sql.
CREATE INDEX fingerprints_turned_8 ON fingerprints (turned_8) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_24 ON fingerprints (turned_24) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_40 ON fingerprints (turned_40) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_56 ON fingerprints (turned_56) INCLUDE (video_id) WHERE searchable;

-- name: turned_bytes$
SELECT 4 * pg_relation_size('fingerprints_turned_8');

-- name: forget_copies!
DELETE FROM fingerprints WHERE substr(video_id, 2)::bigint > :last;
DROP INDEX fingerprints_turned_8, fingerprints_turned_24, fingerprints_turned_40, fingerprints_turned_56;

-- name: build_hnsw!
CREATE INDEX fingerprints_hnsw ON fingerprints USING hnsw (bits bit_hamming_ops) WHERE searchable;

-- name: hnsw_bytes$
SELECT pg_relation_size('fingerprints_hnsw');

-- name: hnsw_settings$
SELECT set_config('hnsw.iterative_scan', 'strict_order', true),
       set_config('hnsw.ef_search', (:ef_search)::text, true);

-- name: nearest
SELECT g.bits <~> (:probe)::bit(64) AS distance
FROM fingerprints g WHERE g.searchable
ORDER BY g.bits <~> (:probe)::bit(64)
LIMIT :neighbours;

-- name: vacuum!
VACUUM ANALYZE fingerprints;
