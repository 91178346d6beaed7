-- name: create_entries#
-- What a pass saw, for the length of its transaction. A million entries are sorted and hashed here, so this transaction
-- may use more memory than the others; it stays bounded.
SET LOCAL work_mem = '64MB';
SET LOCAL temp_buffers = '64MB';
CREATE TEMP TABLE entries (
    ordinal bigint NOT NULL, origin_uri text NOT NULL, signature text NOT NULL, title text, license text,
    canonical_uri text, extractor text, extractor_id text, channel_id text, uploader text, uploaded_on date,
    duration_s double precision, published jsonb, keyword_id text
) ON COMMIT DROP;

-- name: copy_entries!
COPY entries (ordinal, origin_uri, signature, title, license, canonical_uri, extractor, extractor_id, channel_id,
              uploader, uploaded_on, duration_s, published, keyword_id)
FROM STDIN WITH (FORMAT csv, FORCE_NOT_NULL (origin_uri, signature));

-- name: merge_entries#
-- Each origin once. The first entry counts; the segments of all are its segments, in their order, each once.
CREATE TEMP TABLE repeated ON COMMIT DROP AS
SELECT origin_uri, min(ordinal) AS ordinal FROM entries GROUP BY origin_uri HAVING count(*) > 1;
ANALYZE repeated;
WITH segments AS (
    SELECT origin_uri, s.segment, min(e.ordinal) AS ordinal, min(s.place) AS place
    FROM entries e JOIN repeated USING (origin_uri)
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN jsonb_typeof(e.published -> 'segments') = 'array' THEN e.published -> 'segments' ELSE '[]' END
    ) WITH ORDINALITY AS s (segment, place)
    GROUP BY origin_uri, s.segment
), merged AS (
    SELECT origin_uri, jsonb_agg(segment ORDER BY ordinal, place) AS segments FROM segments GROUP BY origin_uri
)
UPDATE entries e
SET published = coalesce(e.published, '{}') || jsonb_build_object('segments', m.segments)
FROM repeated r JOIN merged m USING (origin_uri)
WHERE e.origin_uri = r.origin_uri AND e.ordinal = r.ordinal;
DELETE FROM entries e USING repeated r WHERE e.origin_uri = r.origin_uri AND e.ordinal <> r.ordinal;
ANALYZE entries;

-- name: lock_source
-- Two crawls of one source take turns.
SELECT pg_advisory_xact_lock(hashtext('source'), hashtext(:source));

-- name: is_overtaken$
-- Another pass of the source looked later than this one and was recorded first.
SELECT EXISTS (SELECT FROM crawls WHERE source = :source AND started_at > :started_at);

-- name: find_latest!
-- The entries that this source offered before, with the latest version of each. An empty signature is "cannot say": it
-- changes nothing.
CREATE TEMP TABLE latest ON COMMIT DROP AS
SELECT v.video_id, v.origin_uri, v.version, v.signature,
       v.signature <> e.signature AND e.signature <> '' AS changed,
       (e.title <> v.title) IS TRUE OR (e.license <> v.license) IS TRUE OR (e.uploader <> v.uploader) IS TRUE
       OR (e.uploaded_on <> v.uploaded_on) IS TRUE
       OR (e.published <> v.published AND v.published || e.published <> v.published) IS TRUE
       OR (v.title IS NULL AND e.title IS NOT NULL) OR (v.license IS NULL AND e.license IS NOT NULL)
       OR (v.uploader IS NULL AND e.uploader IS NOT NULL) OR (v.uploaded_on IS NULL AND e.uploaded_on IS NOT NULL)
       OR (v.channel_id IS NULL AND e.channel_id IS NOT NULL)
       OR (v.canonical_uri IS NULL AND e.canonical_uri IS NOT NULL)
       OR (v.extractor_id IS NULL AND e.extractor_id IS NOT NULL)
       OR (v.duration_s IS NULL AND e.duration_s IS NOT NULL) AS edited
FROM entries e
JOIN videos v ON v.source = :source AND v.origin_uri = e.origin_uri
WHERE NOT EXISTS (
    SELECT FROM videos n WHERE n.source = v.source AND n.origin_uri = v.origin_uri AND n.version > v.version
);
ANALYZE latest;

-- name: find_unknown#
CREATE TEMP TABLE unknown ON COMMIT DROP AS
SELECT e.ordinal, e.origin_uri, e.canonical_uri, e.extractor, e.extractor_id
FROM entries e
WHERE NOT EXISTS (SELECT FROM latest l WHERE l.origin_uri = e.origin_uri);
ANALYZE unknown;

-- name: find_aliases#
-- Entries that are a known video under another address, or the same item as an earlier entry of this pass. The same
-- item: the same site and its id; or the same canonical address, unless the site says by its ids that it is not. A
-- known video does not stand for an entry if it was not fetched for a reason that another source need not share.
CREATE TEMP TABLE known ON COMMIT DROP AS
WITH same AS (
    SELECT u.origin_uri, v.video_id, v.version, v.discovered_at
    FROM unknown u JOIN videos v ON v.extractor = u.extractor AND v.extractor_id = u.extractor_id
    WHERE v.sha256 IS NOT NULL OR v.gone_at IS NULL
    UNION ALL
    SELECT u.origin_uri, v.video_id, v.version, v.discovered_at
    FROM unknown u JOIN videos v ON v.canonical_uri = u.canonical_uri
    WHERE (v.sha256 IS NOT NULL OR v.gone_at IS NULL)
      AND (v.extractor = u.extractor AND v.extractor_id <> u.extractor_id) IS NOT TRUE
)
SELECT DISTINCT ON (origin_uri) origin_uri, video_id FROM same
WHERE NOT EXISTS (
    SELECT FROM outcomes o
    WHERE o.stage = 'fetch' AND o.subject_id = same.video_id
      AND o.reason IN ('license_denied', 'license_review', 'gone', 'forbidden', 'private_address', 'too_large')
)
ORDER BY origin_uri, version DESC, discovered_at, video_id;
ANALYZE known;
CREATE TEMP TABLE aliases ON COMMIT DROP AS
WITH RECURSIVE by_id AS (
    SELECT extractor, extractor_id, min(ordinal) AS ordinal
    FROM unknown WHERE extractor_id IS NOT NULL GROUP BY extractor, extractor_id HAVING count(*) > 1
), by_uri AS (
    SELECT canonical_uri, min(ordinal) AS ordinal
    FROM unknown WHERE canonical_uri IS NOT NULL GROUP BY canonical_uri HAVING count(*) > 1
), links AS (
    SELECT DISTINCT ON (origin_uri) origin_uri, first_uri
    FROM (
        SELECT u.origin_uri, f.origin_uri AS first_uri, 1 AS preference
        FROM unknown u JOIN by_id b USING (extractor, extractor_id) JOIN unknown f ON f.ordinal = b.ordinal
        WHERE u.ordinal <> f.ordinal
        UNION ALL
        SELECT u.origin_uri, f.origin_uri, 2
        FROM unknown u JOIN by_uri b USING (canonical_uri) JOIN unknown f ON f.ordinal = b.ordinal
        WHERE u.ordinal <> f.ordinal
          AND (u.extractor = f.extractor AND u.extractor_id <> f.extractor_id) IS NOT TRUE
    ) l
    WHERE NOT EXISTS (SELECT FROM known k WHERE k.origin_uri = l.origin_uri)
    ORDER BY origin_uri, preference
), chain AS (
    SELECT origin_uri, first_uri FROM links
    UNION ALL
    SELECT c.origin_uri, l.first_uri FROM chain c JOIN links l ON l.origin_uri = c.first_uri
)
SELECT origin_uri, video_id, origin_uri AS first_uri FROM known
UNION ALL
SELECT c.origin_uri, k.video_id, c.first_uri
FROM chain c LEFT JOIN known k ON k.origin_uri = c.first_uri
WHERE NOT EXISTS (SELECT FROM links l WHERE l.origin_uri = c.first_uri);
DELETE FROM entries e USING aliases a WHERE a.origin_uri = e.origin_uri;

-- name: settle_signatures!
-- A new signature of what has no version to compare with, or was not fetched yet, is no new version.
WITH settled AS (
    UPDATE videos v SET signature = e.signature
    FROM latest l JOIN entries e USING (origin_uri)
    WHERE v.video_id = l.video_id AND l.changed
      AND (l.signature = '' OR NOT EXISTS (
          SELECT FROM outcomes o WHERE o.stage = 'fetch' AND o.subject_id = l.video_id
      ))
    RETURNING v.video_id
)
UPDATE latest l SET changed = false FROM settled s WHERE s.video_id = l.video_id;

-- name: changed_entries
-- What was fetched and has a new signature: only its bytes tell whether it is a new version.
SELECT l.video_id, l.origin_uri, v.sha256
FROM latest l JOIN videos v USING (video_id)
WHERE l.changed AND v.sha256 IS NOT NULL;

-- name: keep_versions!
-- The same bytes under a new signature are no new version.
WITH kept AS (
    UPDATE videos v SET signature = e.signature
    FROM latest l JOIN entries e USING (origin_uri)
    WHERE v.video_id = l.video_id AND l.video_id = ANY(:video_ids)
    RETURNING v.video_id
)
UPDATE latest l SET changed = false FROM kept k WHERE k.video_id = l.video_id;

-- name: find_edited!
CREATE TEMP TABLE edited ON COMMIT DROP AS
SELECT l.video_id, l.changed, e.title, e.license, e.uploader, e.uploaded_on, coalesce(e.published, '{}') AS published,
       e.channel_id, e.canonical_uri, e.extractor, e.extractor_id, e.duration_s
FROM latest l JOIN entries e USING (origin_uri)
WHERE l.edited;
ANALYZE edited;

-- name: record_edits!
-- What the source says otherwise than before, field by field. What it does not say any more is not held against it.
-- Where the content changed too, the old version keeps what was said about it. A new licence is judged anew.
WITH edits AS (
    SELECT v.video_id, field, before, after
    FROM edited e JOIN videos v USING (video_id)
    CROSS JOIN LATERAL (VALUES
        ('title', v.title, e.title), ('license', v.license, e.license), ('uploader', v.uploader, e.uploader),
        ('uploaded_on', v.uploaded_on::text, e.uploaded_on::text),
        ('published', v.published::text, (v.published || e.published)::text)
    ) AS f (field, before, after)
    WHERE after IS NOT NULL AND after IS DISTINCT FROM before
), applied AS (
    UPDATE videos v
    SET title = coalesce(e.title, v.title), license = coalesce(e.license, v.license),
        uploader = coalesce(e.uploader, v.uploader), uploaded_on = coalesce(e.uploaded_on, v.uploaded_on),
        published = v.published || e.published, channel_id = coalesce(v.channel_id, e.channel_id),
        canonical_uri = coalesce(v.canonical_uri, e.canonical_uri), duration_s = coalesce(v.duration_s, e.duration_s),
        extractor = CASE WHEN v.extractor_id IS NULL THEN coalesce(e.extractor, v.extractor) ELSE v.extractor END,
        extractor_id = coalesce(v.extractor_id, e.extractor_id)
    FROM edited e
    WHERE v.video_id = e.video_id AND NOT e.changed
), forgotten AS (
    DELETE FROM outcomes o USING edits
    WHERE o.stage = 'fetch' AND o.subject_id = edits.video_id AND edits.field = 'license'
      AND o.reason IN ('license_denied', 'license_review')
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, field, before, after, :partition_key FROM edits WHERE before IS NOT NULL;

-- name: insert_new_versions^
-- Entries that are new, or whose content changed. The id is that of humannet_ops.domain.identifiers.video_id. In the
-- order of their addresses, because an index that grows at its end grows faster.
WITH inserted AS (
    INSERT INTO videos (video_id, source, origin_uri, version, signature, title, license, partition_key, canonical_uri,
                        extractor, extractor_id, channel_id, uploader, uploaded_on, terms, published, duration_s)
    SELECT 'v' || left(encode(sha256(
               convert_to('video', 'UTF8') || '\x00'::bytea || convert_to(:source, 'UTF8') || '\x00'::bytea
               || convert_to(e.origin_uri, 'UTF8') || '\x00'::bytea
               || convert_to(n.version::text, 'UTF8')), 'hex'), 20),
           :source, e.origin_uri, n.version, e.signature, e.title, e.license, :partition_key,
           e.canonical_uri, e.extractor, e.extractor_id, e.channel_id, e.uploader, e.uploaded_on, :terms,
           coalesce(e.published, '{}'), e.duration_s
    FROM entries e
    JOIN (
        SELECT origin_uri, 1 AS version FROM unknown UNION ALL SELECT origin_uri, version + 1 FROM latest WHERE changed
    ) n USING (origin_uri)
    ORDER BY e.origin_uri
    RETURNING version
), noticed AS (
    INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
    SELECT l.video_id, 'content', l.signature, e.signature, :partition_key
    FROM latest l JOIN entries e USING (origin_uri) WHERE l.changed
)
SELECT count(*) FILTER (WHERE version = 1) AS new, count(*) FILTER (WHERE version > 1) AS changed FROM inserted;

-- name: analyse_videos#
-- After so many new rows the planner's figures are of another table; autovacuum would see to it later.
ANALYZE videos;

-- name: insert_aliases!
-- An address that became a video of its own is an alias no more.
WITH own AS (
    DELETE FROM video_aliases x
    USING unknown u
    WHERE x.source = :source AND x.origin_uri = u.origin_uri
      AND NOT EXISTS (SELECT FROM aliases a WHERE a.origin_uri = u.origin_uri)
)
INSERT INTO video_aliases (source, origin_uri, video_id, partition_key)
SELECT :source, a.origin_uri, coalesce(a.video_id, v.video_id), :partition_key
FROM aliases a
LEFT JOIN LATERAL (
    SELECT v.video_id FROM videos v
    WHERE a.video_id IS NULL AND v.source = :source AND v.origin_uri = a.first_uri
    ORDER BY v.version DESC LIMIT 1
) v ON true
ON CONFLICT (source, origin_uri) DO NOTHING;

-- name: count_latest$
SELECT count(*) FROM latest;

-- name: mark_gone!
-- A complete pass that does not see an item, under none of its addresses, says that it is gone.
WITH gone AS (
    UPDATE videos v SET gone_at = now()
    WHERE v.source = :source AND v.gone_at IS NULL AND v.takedown_id IS NULL
      AND NOT EXISTS (SELECT FROM entries e WHERE e.origin_uri = v.origin_uri)
      AND NOT EXISTS (SELECT FROM aliases a WHERE a.video_id = v.video_id)
      AND NOT EXISTS (
          SELECT FROM videos n WHERE n.source = v.source AND n.origin_uri = v.origin_uri AND n.version > v.version
      )
    RETURNING v.video_id
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, 'offered', 'yes', 'no', :partition_key FROM gone;

-- name: mark_back!
-- What a pass missed and is offered again; what was not there to fetch meanwhile is due again. An item that a fetch
-- found to be gone is not back because a list goes on naming it.
WITH back AS (
    UPDATE videos v SET gone_at = NULL
    FROM entries e
    WHERE v.source = :source AND v.gone_at IS NOT NULL AND e.origin_uri = v.origin_uri
      AND NOT EXISTS (
          SELECT FROM outcomes o
          WHERE o.stage = 'fetch' AND o.subject_id = v.video_id AND o.reason = 'gone' AND o.recorded_at <= v.gone_at
      )
    RETURNING v.video_id
), forgotten AS (
    DELETE FROM outcomes o USING back
    WHERE o.stage = 'fetch' AND o.subject_id = back.video_id AND o.reason IN ('gone', 'missing')
    RETURNING o.stage, o.subject_id, o.stage_version
), untried AS (
    DELETE FROM attempts a USING forgotten f
    WHERE (a.stage, a.subject_id, a.stage_version) = (f.stage, f.subject_id, f.stage_version)
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, 'offered', 'no', 'yes', :partition_key FROM back;

-- name: last_crawl^
SELECT seen, offered, faults FROM crawls WHERE source = :source ORDER BY ended_at DESC LIMIT 1;

-- name: record_crawl!
-- What is found adds up over the passes of a day; what was seen is the last pass's.
INSERT INTO crawls (source, partition_key, started_at, dag_id, run_id, seen, new, changed, known, aliases, gone,
                    barred, watermark, offered, faults, unchanged)
VALUES (:source, :partition_key, :started_at, :dag_id, :run_id, :seen, :new, :changed, :known, :aliases, :gone,
        :barred, :watermark, :offered, :faults, :unchanged)
ON CONFLICT (source, partition_key) DO UPDATE SET
    started_at = greatest(crawls.started_at, excluded.started_at), ended_at = now(), dag_id = excluded.dag_id,
    run_id = excluded.run_id, passes = crawls.passes + 1, seen = excluded.seen, new = crawls.new + excluded.new,
    changed = crawls.changed + excluded.changed, known = excluded.known,
    aliases = crawls.aliases + excluded.aliases, gone = crawls.gone + excluded.gone, barred = excluded.barred,
    watermark = greatest(crawls.watermark, excluded.watermark), offered = excluded.offered,
    faults = excluded.faults, unchanged = excluded.unchanged;

-- name: forget_faults!
DELETE FROM listing_faults WHERE source = :source;

-- name: insert_faults!
INSERT INTO listing_faults (source, line, reason, partition_key) VALUES %s ON CONFLICT (source, line) DO NOTHING;

-- name: listing_faults
SELECT source, line, reason, partition_key FROM listing_faults
WHERE :source::text IS NULL OR source = :source ORDER BY source, line;

-- name: watermark$
SELECT max(watermark) FROM crawls WHERE source = :source;

-- name: remembered
SELECT key, value FROM crawl_memory WHERE source = :source;

-- name: remember!
INSERT INTO crawl_memory (source, key, value) VALUES (:source, :key, :value)
ON CONFLICT (source, key) DO UPDATE SET value = excluded.value, updated_at = now();
