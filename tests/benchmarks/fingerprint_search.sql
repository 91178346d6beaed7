-- name: fill_videos!
INSERT INTO sources (source, kind, uri) VALUES ('benchmark', 'folder', '/benchmark') ON CONFLICT DO NOTHING;
INSERT INTO videos (video_id, source, origin_uri, version, signature, partition_key)
SELECT 'v' || n, 'benchmark', '/benchmark/' || n, 1, '', '2026-01-01' FROM generate_series(:first, :last) n;

-- name: insert_rows!
-- What COPY is compared with.
INSERT INTO fingerprints (video_id, ordinal, t_s, bits, mirrored_bits, searchable) VALUES %s;

-- name: start_empty!
TRUNCATE fingerprints, videos CASCADE;
DROP INDEX IF EXISTS fingerprints_bits;

-- name: build_memory!
-- One process, so that its time can be told.
SET maintenance_work_mem = '4GB';
SET max_parallel_maintenance_workers = 0;

-- name: build_index!
CREATE INDEX fingerprints_bits ON fingerprints USING hnsw (bits bit_hamming_ops) WHERE searchable;

-- name: vacuum!
VACUUM ANALYZE fingerprints;

-- name: index_bytes$
SELECT pg_relation_size('fingerprints_bits');

-- name: nearest
-- The look-up of near_candidates in sql/queries/duplicates.sql, for one probe.
SELECT g.video_id, g.ordinal, g.bits <~> (:probe)::bit(64) AS distance
FROM fingerprints g
WHERE g.searchable AND g.video_id <> :video_id
ORDER BY g.bits <~> (:probe)::bit(64)
LIMIT :neighbours;

-- name: make_pieces!
-- Multi-index hashing: four pieces of 16 bits, each with the whole hash beside it, so that the index alone answers.
DROP TABLE IF EXISTS pieces;
CREATE UNLOGGED TABLE pieces (key int NOT NULL, bits bigint NOT NULL, video_id text NOT NULL, ordinal int NOT NULL);
INSERT INTO pieces
SELECT p * 65536 + ((f.bits::bigint >> (16 * p)) & 65535)::int, f.bits::bigint, f.video_id, f.ordinal
FROM fingerprints f CROSS JOIN generate_series(0, 3) p WHERE f.searchable;

-- name: build_pieces!
CREATE INDEX pieces_key ON pieces (key) INCLUDE (bits, video_id, ordinal);

-- name: vacuum_pieces!
VACUUM ANALYZE pieces;

-- name: pieces_bytes$
SELECT pg_relation_size('pieces_key');

-- name: drop_pieces!
DROP TABLE IF EXISTS pieces;

-- name: nearest_by_pieces
SELECT DISTINCT p.video_id, p.ordinal, bit_count((p.bits # :probe)::bit(64)) AS distance
FROM pieces p
WHERE p.key = ANY(:keys) AND p.video_id <> :video_id AND bit_count((p.bits # :probe)::bit(64)) <= :radius
ORDER BY distance
LIMIT :neighbours;
