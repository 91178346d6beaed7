-- name: create_entries#
-- What a crawl saw, for the length of its transaction.
CREATE TEMP TABLE entries (
    origin_uri text PRIMARY KEY, signature text NOT NULL, title text, license text
) ON COMMIT DROP;

-- name: lock_source
-- Two crawls of one source take turns.
SELECT pg_advisory_xact_lock(hashtext('source'), hashtext(:source));

-- name: changed_entries
-- Entries whose signature is not that of the latest version we know, with what we know of that version.
SELECT e.origin_uri, e.signature, latest.video_id, latest.sha256, (fetched.subject_id IS NOT NULL) AS fetched
FROM entries e
JOIN LATERAL (
    SELECT v.video_id, v.sha256, v.signature FROM videos v
    WHERE v.source = :source AND v.origin_uri = e.origin_uri
    ORDER BY v.version DESC LIMIT 1
) latest ON latest.signature <> e.signature
LEFT JOIN LATERAL (
    SELECT o.subject_id FROM outcomes o WHERE o.stage = 'fetch' AND o.subject_id = latest.video_id LIMIT 1
) fetched ON true
ORDER BY e.origin_uri;

-- name: update_signature!
UPDATE videos SET signature = :signature WHERE video_id = :video_id;

-- name: count_known$
SELECT count(*) FROM entries e
WHERE EXISTS (SELECT FROM videos v WHERE v.source = :source AND v.origin_uri = e.origin_uri);

-- name: new_versions
-- Entries that are new, or whose content changed, with the version number each gets.
SELECT e.origin_uri, coalesce(latest.version, 0) + 1 AS version
FROM entries e
LEFT JOIN LATERAL (
    SELECT v.version, v.signature FROM videos v
    WHERE v.source = :source AND v.origin_uri = e.origin_uri
    ORDER BY v.version DESC LIMIT 1
) latest ON true
WHERE latest.signature IS DISTINCT FROM e.signature
ORDER BY e.origin_uri;

-- name: create_identified#
CREATE TEMP TABLE identified (
    origin_uri text PRIMARY KEY, video_id text NOT NULL, version int NOT NULL
) ON COMMIT DROP;

-- name: insert_videos!
INSERT INTO videos (video_id, source, origin_uri, version, signature, title, license, partition_key)
SELECT i.video_id, :source, i.origin_uri, i.version, e.signature, e.title, e.license, :partition_key
FROM identified i JOIN entries e USING (origin_uri);
