-- name: create_entries#
-- What a pass saw, for the length of its transaction: as it came, and each origin once.
CREATE TEMP TABLE seen (
    ordinal bigint GENERATED ALWAYS AS IDENTITY, origin_uri text NOT NULL, signature text NOT NULL, title text,
    license text, canonical_uri text, extractor text, extractor_id text, channel_id text, uploader text,
    uploaded_on date, duration_s double precision, published jsonb, keyword_id text
) ON COMMIT DROP;

-- name: distinct_entries#
CREATE TEMP TABLE entries ON COMMIT DROP AS
SELECT DISTINCT ON (origin_uri) * FROM seen ORDER BY origin_uri, ordinal;
CREATE UNIQUE INDEX ON entries (origin_uri);
ANALYZE entries;

-- name: lock_source
-- Two crawls of one source take turns.
SELECT pg_advisory_xact_lock(hashtext('source'), hashtext(:source));

-- name: find_aliases!
-- Entries that are a known video under another address, or the same item as an earlier entry of this pass.
CREATE TEMP TABLE aliases ON COMMIT DROP AS
WITH unknown AS (
    SELECT e.* FROM entries e
    WHERE NOT EXISTS (SELECT FROM videos v WHERE v.source = :source AND v.origin_uri = e.origin_uri)
), known AS (
    SELECT u.origin_uri, v.video_id, v.origin_uri AS first_uri
    FROM unknown u
    JOIN LATERAL (
        SELECT v.video_id, v.origin_uri FROM videos v
        WHERE v.extractor = u.extractor AND v.extractor_id = u.extractor_id
        UNION ALL
        SELECT v.video_id, v.origin_uri FROM videos v WHERE v.canonical_uri = u.canonical_uri
        LIMIT 1
    ) v ON true
), repeated AS (
    SELECT origin_uri, NULL::text AS video_id,
           CASE WHEN extractor_id IS NOT NULL AND by_id <> origin_uri THEN by_id ELSE by_uri END AS first_uri
    FROM (
        SELECT origin_uri, extractor_id, canonical_uri,
               first_value(origin_uri) OVER (PARTITION BY extractor, extractor_id ORDER BY ordinal) AS by_id,
               first_value(origin_uri) OVER (PARTITION BY canonical_uri ORDER BY ordinal) AS by_uri
        FROM unknown WHERE origin_uri NOT IN (SELECT origin_uri FROM known)
    ) u
    WHERE (extractor_id IS NOT NULL AND by_id <> origin_uri) OR (canonical_uri IS NOT NULL AND by_uri <> origin_uri)
)
SELECT * FROM known UNION ALL SELECT * FROM repeated;

-- name: drop_aliased!
DELETE FROM entries e USING aliases a WHERE a.origin_uri = e.origin_uri;

-- name: changed_entries
-- Entries whose signature is not that of the latest version we know, with what we know of that version. An empty
-- signature is "cannot say": it changes nothing.
SELECT e.origin_uri, e.signature, latest.video_id, latest.sha256, (fetched.subject_id IS NOT NULL) AS fetched,
       latest.signature = '' AS unsigned
FROM entries e
JOIN LATERAL (
    SELECT v.video_id, v.sha256, v.signature FROM videos v
    WHERE v.source = :source AND v.origin_uri = e.origin_uri
    ORDER BY v.version DESC LIMIT 1
) latest ON latest.signature <> e.signature AND e.signature <> ''
LEFT JOIN LATERAL (
    SELECT o.subject_id FROM outcomes o WHERE o.stage = 'fetch' AND o.subject_id = latest.video_id LIMIT 1
) fetched ON true
ORDER BY e.origin_uri;

-- name: update_signature!
UPDATE videos SET signature = :signature WHERE video_id = :video_id;

-- name: count_entries$
SELECT count(*) FROM entries;

-- name: count_known$
SELECT count(*) FROM entries e
WHERE EXISTS (SELECT FROM videos v WHERE v.source = :source AND v.origin_uri = e.origin_uri);

-- name: record_edits!
-- What the source says otherwise than before, field by field. What it does not say any more is not held against it.
WITH latest AS (
    SELECT DISTINCT ON (v.origin_uri) v.*, e.title AS new_title, e.license AS new_license,
           e.uploader AS new_uploader, e.uploaded_on AS new_uploaded_on, e.published AS new_published
    FROM entries e JOIN videos v ON v.source = :source AND v.origin_uri = e.origin_uri
    ORDER BY v.origin_uri, v.version DESC
), edits AS (
    SELECT l.video_id, field, before, after
    FROM latest l
    CROSS JOIN LATERAL (VALUES
        ('title', l.title, l.new_title), ('license', l.license, l.new_license),
        ('uploader', l.uploader, l.new_uploader), ('uploaded_on', l.uploaded_on::text, l.new_uploaded_on::text),
        ('published', l.published::text, (l.published || l.new_published)::text)
    ) AS f (field, before, after)
    WHERE after IS NOT NULL AND after IS DISTINCT FROM before
), applied AS (
    UPDATE videos v
    SET title = coalesce(l.new_title, v.title), license = coalesce(l.new_license, v.license),
        uploader = coalesce(l.new_uploader, v.uploader), uploaded_on = coalesce(l.new_uploaded_on, v.uploaded_on),
        published = v.published || coalesce(l.new_published, '{}')
    FROM latest l
    WHERE v.video_id = l.video_id AND EXISTS (SELECT FROM edits e WHERE e.video_id = v.video_id)
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, field, before, after, :partition_key FROM edits WHERE before IS NOT NULL;

-- name: insert_new_versions!
-- Entries that are new, or whose content changed. The id is that of humannet_ops.domain.identifiers.video_id.
INSERT INTO videos (video_id, source, origin_uri, version, signature, title, license, partition_key, canonical_uri,
                    extractor, extractor_id, channel_id, uploader, uploaded_on, terms, published, duration_s)
SELECT 'v' || left(encode(sha256(
           convert_to('video', 'UTF8') || '\x00'::bytea || convert_to(:source, 'UTF8') || '\x00'::bytea
           || convert_to(e.origin_uri, 'UTF8') || '\x00'::bytea || convert_to(n.version::text, 'UTF8')), 'hex'), 20),
       :source, e.origin_uri, n.version, e.signature, e.title, e.license, :partition_key, e.canonical_uri,
       e.extractor, e.extractor_id, e.channel_id, e.uploader, e.uploaded_on, :terms, coalesce(e.published, '{}'),
       e.duration_s
FROM entries e
LEFT JOIN LATERAL (
    SELECT v.version, v.signature FROM videos v
    WHERE v.source = :source AND v.origin_uri = e.origin_uri
    ORDER BY v.version DESC LIMIT 1
) latest ON true
CROSS JOIN LATERAL (SELECT coalesce(latest.version, 0) + 1 AS version) n
WHERE latest.version IS NULL OR (latest.signature <> e.signature AND e.signature <> '' AND latest.signature <> '');

-- name: insert_aliases!
INSERT INTO video_aliases (source, origin_uri, video_id, partition_key)
SELECT :source, a.origin_uri, v.video_id, :partition_key
FROM aliases a
JOIN LATERAL (
    SELECT a.video_id WHERE a.video_id IS NOT NULL
    UNION ALL
    SELECT v.video_id FROM videos v
    WHERE a.video_id IS NULL AND v.source = :source AND v.origin_uri = a.first_uri
    LIMIT 1
) v ON true
ON CONFLICT (source, origin_uri) DO NOTHING;

-- name: mark_gone!
-- A complete pass that does not see an item says that it is gone.
WITH gone AS (
    UPDATE videos v SET gone_at = now()
    WHERE v.source = :source AND v.gone_at IS NULL
      AND NOT EXISTS (SELECT FROM entries e WHERE e.origin_uri = v.origin_uri)
    RETURNING v.video_id
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, 'offered', 'yes', 'no', :partition_key FROM gone;

-- name: mark_back!
WITH back AS (
    UPDATE videos v SET gone_at = NULL
    FROM entries e
    WHERE v.source = :source AND v.gone_at IS NOT NULL AND e.origin_uri = v.origin_uri
    RETURNING v.video_id
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, 'offered', 'no', 'yes', :partition_key FROM back;

-- name: count_seen$
SELECT count(*) FROM seen;

-- name: record_crawl!
-- What is found adds up over the passes of a day; what was seen is the last pass's.
INSERT INTO crawls (source, partition_key, started_at, dag_id, run_id, seen, new, changed, known, aliases, gone,
                    watermark)
VALUES (:source, :partition_key, :started_at, :dag_id, :run_id, :seen, :new, :changed, :known, :aliases, :gone,
        :watermark)
ON CONFLICT (source, partition_key) DO UPDATE SET
    started_at = excluded.started_at, ended_at = now(), dag_id = excluded.dag_id, run_id = excluded.run_id,
    passes = crawls.passes + 1, seen = excluded.seen, new = crawls.new + excluded.new,
    changed = crawls.changed + excluded.changed, known = excluded.known,
    aliases = crawls.aliases + excluded.aliases, gone = crawls.gone + excluded.gone,
    watermark = greatest(crawls.watermark, excluded.watermark);

-- name: watermark$
SELECT max(watermark) FROM crawls WHERE source = :source;

-- name: remembered
SELECT key, value FROM crawl_memory WHERE source = :source;

-- name: remember!
INSERT INTO crawl_memory (source, key, value) VALUES (:source, :key, :value)
ON CONFLICT (source, key) DO UPDATE SET value = excluded.value, updated_at = now();
