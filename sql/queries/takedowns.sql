-- name: lock_takedowns
-- Takedowns take turns, and no fetch records what it brought in the middle of one.
SELECT pg_advisory_xact_lock(hashtext('takedowns'));

-- name: share_takedowns
-- Many may record at the same time, but not while a takedown is being written.
SELECT pg_advisory_xact_lock_shared(hashtext('takedowns'));

-- name: find_target$
-- A video by its id or by any address of it; a channel or a source by its name.
SELECT CASE :scope
    WHEN 'video' THEN (
        SELECT video_id FROM (
            SELECT video_id, 1 AS place, 0 AS version FROM videos WHERE video_id = :target
            UNION ALL
            SELECT v.video_id, 2, v.version
            FROM sources s JOIN videos v ON v.source = s.source AND v.origin_uri = :target
            UNION ALL
            SELECT video_id, 3, version FROM videos WHERE canonical_uri = :target
            UNION ALL
            SELECT a.video_id, 4, 0 FROM sources s JOIN video_aliases a ON a.source = s.source AND a.origin_uri = :target
        ) found ORDER BY place, version DESC, video_id LIMIT 1)
    WHEN 'channel' THEN (
        SELECT channel_id FROM (
            SELECT channel_id FROM channels WHERE channel_id = :target
            UNION ALL
            SELECT channel_id FROM videos WHERE channel_id = :target
        ) found LIMIT 1)
    ELSE (SELECT source FROM sources WHERE source = :target)
END;

-- name: known_targets
-- Names that a mistyped one may have meant. Of videos and channels those that begin alike, because there may be millions.
(SELECT source AS name FROM sources WHERE :scope = 'source')
UNION
(SELECT video_id FROM videos WHERE :scope = 'video' AND video_id >= left(:target, 4) ORDER BY video_id LIMIT 2000)
UNION
(SELECT video_id FROM videos WHERE :scope = 'video' AND video_id < :target ORDER BY video_id DESC LIMIT 2000)
UNION
(SELECT DISTINCT channel_id FROM videos WHERE :scope = 'channel' AND channel_id IS NOT NULL LIMIT 20000)
UNION
(SELECT channel_id FROM channels WHERE :scope = 'channel' LIMIT 20000);

-- name: insert_takedown$
-- No row back means that it was asked for before.
INSERT INTO takedowns (takedown_id, scope, target, reason, requested_by)
VALUES (:takedown_id, :scope, :target, :reason, :requested_by)
ON CONFLICT (takedown_id) DO NOTHING
RETURNING takedown_id;

-- name: find_items!
-- What is named, and the same items elsewhere: other versions under their address, and what has the site's own id or the
-- canonical address in common, unless the site says by its ids that it is not the same.
CREATE TEMP TABLE items ON COMMIT DROP AS
WITH named AS (
    SELECT video_id, source, origin_uri, canonical_uri, extractor, extractor_id
    FROM videos v
    WHERE (:scope = 'video' AND v.video_id = :target) OR (:scope = 'channel' AND v.channel_id = :target)
       OR (:scope = 'source' AND v.source = :target)
)
SELECT video_id FROM named
UNION
SELECT v.video_id FROM named n JOIN videos v ON v.source = n.source AND v.origin_uri = n.origin_uri
UNION
SELECT v.video_id FROM named n JOIN videos v ON v.extractor = n.extractor AND v.extractor_id = n.extractor_id
UNION
SELECT v.video_id FROM named n JOIN videos v ON v.canonical_uri = n.canonical_uri
WHERE (v.extractor = n.extractor AND v.extractor_id <> n.extractor_id) IS NOT TRUE;
ANALYZE items;

-- name: drop_items!
DROP TABLE items;

-- name: insert_scope!
-- A channel or a source is barred as such, with all that it brings later.
INSERT INTO tombstones (kind, value, takedown_id) SELECT :scope, :target, :takedown_id WHERE :scope <> 'video'
ON CONFLICT (kind, value) DO NOTHING;

-- name: mark_items!
-- This alone takes them out of every view and every plan: the items, and whatever has the same bytes.
UPDATE videos SET takedown_id = :takedown_id
WHERE takedown_id IS NULL AND video_id IN (
    SELECT video_id FROM items
    UNION
    SELECT same.video_id FROM items JOIN videos v USING (video_id) JOIN videos same ON same.sha256 = v.sha256
);

-- name: insert_tombstones!
-- All addresses of the items, their names and their bytes. A canonical address that the site uses for several items bars
-- none of them.
INSERT INTO tombstones (kind, value, takedown_id)
SELECT DISTINCT kind, value, :takedown_id FROM (
    SELECT 'origin' AS kind, v.origin_uri AS value FROM items JOIN videos v USING (video_id)
    UNION ALL
    SELECT 'origin', a.origin_uri FROM items JOIN video_aliases a USING (video_id)
    UNION ALL
    SELECT 'origin', v.canonical_uri FROM items JOIN videos v USING (video_id)
    WHERE NOT EXISTS (
        SELECT FROM videos other
        WHERE other.canonical_uri = v.canonical_uri AND other.extractor = v.extractor
          AND other.extractor_id <> v.extractor_id
    )
    UNION ALL
    SELECT 'item', v.extractor || ':' || v.extractor_id FROM items JOIN videos v USING (video_id)
    UNION ALL
    SELECT 'sha256', v.sha256 FROM items JOIN videos v USING (video_id)
) found
WHERE value IS NOT NULL
ON CONFLICT (kind, value) DO NOTHING;

-- name: mark_videos!
-- What has an address or the bytes that are barred now, and came or was fetched since the items were marked.
UPDATE videos SET takedown_id = :takedown_id
WHERE takedown_id IS NULL AND video_id IN (
    SELECT v.video_id FROM tombstones t JOIN videos v ON v.sha256 = t.value
    WHERE t.takedown_id = :takedown_id AND t.kind = 'sha256'
    UNION
    SELECT v.video_id FROM tombstones t JOIN videos v ON v.canonical_uri = t.value
    WHERE t.takedown_id = :takedown_id AND t.kind = 'origin'
    UNION
    SELECT v.video_id FROM tombstones t CROSS JOIN sources s JOIN videos v ON v.source = s.source AND v.origin_uri = t.value
    WHERE t.takedown_id = :takedown_id AND t.kind = 'origin'
);

-- name: seal_takedown!
UPDATE takedowns SET sealed_at = now() WHERE takedown_id = :takedown_id AND sealed_at IS NULL;

-- name: forget_channel!
-- What a channel calls itself may be a person's name.
UPDATE channels SET title = NULL WHERE :scope = 'channel' AND channel_id = :target AND title IS NOT NULL;

-- name: unsealed_takedowns
SELECT takedown_id, scope, target FROM takedowns WHERE sealed_at IS NULL ORDER BY requested_at, takedown_id;

-- name: recall_releases!
INSERT INTO release_recalls (release, takedown_id, clips)
SELECT r.release, v.takedown_id, count(*)
FROM release_clips r JOIN clips c USING (clip_id) JOIN videos v USING (video_id)
WHERE v.takedown_id IS NOT NULL AND (:takedown_id::text IS NULL OR v.takedown_id = :takedown_id)
GROUP BY r.release, v.takedown_id
ON CONFLICT (release, takedown_id) DO UPDATE SET clips = excluded.clips
WHERE release_recalls.clips <> excluded.clips;

-- name: takedown^
SELECT * FROM v_takedowns WHERE takedown_id = :takedown_id;

-- name: takedowns
SELECT * FROM v_takedowns ORDER BY requested_at DESC, takedown_id;

-- name: takedown_releases
SELECT release, clips FROM release_recalls WHERE takedown_id = :takedown_id ORDER BY release;

-- name: count_objects^
-- What clearing would queue now: see queue_objects.
SELECT count(*) AS objects, coalesce(sum(f.bytes), 0) AS bytes
FROM artifacts f
WHERE f.uri IN (
    SELECT a.uri FROM videos v JOIN outcomes o USING (video_id) JOIN outcome_artifacts a USING (stage, subject_id, stage_version)
    WHERE v.takedown_id = :takedown_id AND v.cleared_at IS NULL
    UNION
    SELECT n.uri FROM videos v JOIN clips c USING (video_id) JOIN annotations n USING (clip_id)
    WHERE v.takedown_id = :takedown_id AND v.cleared_at IS NULL AND n.uri IS NOT NULL
) AND NOT EXISTS (
    SELECT FROM outcome_artifacts a JOIN outcomes o USING (stage, subject_id, stage_version) JOIN videos v USING (video_id)
    WHERE a.uri = f.uri AND v.takedown_id IS NULL
) AND NOT EXISTS (
    SELECT FROM annotations n JOIN clips c USING (clip_id) JOIN videos v USING (video_id)
    WHERE n.uri = f.uri AND v.takedown_id IS NULL
);

-- name: near_duplicates
-- Videos that stay and were found to be edited copies of what is taken down, or it of them. A person decides.
WITH taken AS (
    SELECT video_id FROM videos WHERE takedown_id = :takedown_id
), pairs AS (
    SELECT DISTINCT subject_id AS copy, detail ->> 'survivor' AS survivor
    FROM outcomes WHERE stage = 'deduplicate_near' AND reason = 'near_duplicate'
), originals AS (
    SELECT video_id FROM taken
    UNION
    SELECT p.survivor FROM pairs p JOIN taken t ON t.video_id = p.copy
)
SELECT v.video_id, v.source, v.title, v.origin_uri
FROM (
    SELECT video_id FROM originals
    UNION
    SELECT p.copy FROM pairs p JOIN originals o ON o.video_id = p.survivor
) near JOIN videos v USING (video_id)
WHERE v.takedown_id IS NULL
ORDER BY v.source, v.origin_uri, v.video_id;

-- name: lock_uncleared
-- Videos that are taken down but not cleared, less those about which a stage is writing right now: they come next time.
-- Not before every tombstone is written, which needs what is cleared.
SELECT video_id FROM videos
WHERE takedown_id IS NOT NULL AND cleared_at IS NULL AND (:takedown_id::text IS NULL OR takedown_id = :takedown_id)
  AND EXISTS (SELECT FROM takedowns t WHERE t.takedown_id = videos.takedown_id AND t.sealed_at IS NOT NULL)
ORDER BY video_id LIMIT :most
FOR UPDATE OF videos SKIP LOCKED;

-- name: queue_objects!
-- Objects are named by their content, so two videos may share one: it goes when the last of them does.
INSERT INTO object_removals (uri, takedown_id, kind, bytes)
SELECT f.uri, min(mine.takedown_id), f.kind, f.bytes
FROM (
    SELECT a.uri, v.takedown_id
    FROM videos v JOIN outcomes o USING (video_id) JOIN outcome_artifacts a USING (stage, subject_id, stage_version)
    WHERE v.video_id = ANY(:video_ids)
    UNION
    SELECT n.uri, v.takedown_id FROM videos v JOIN clips c USING (video_id) JOIN annotations n USING (clip_id)
    WHERE v.video_id = ANY(:video_ids) AND n.uri IS NOT NULL
) mine JOIN artifacts f USING (uri)
WHERE NOT EXISTS (
    SELECT FROM outcome_artifacts a JOIN outcomes o USING (stage, subject_id, stage_version) JOIN videos v USING (video_id)
    WHERE a.uri = f.uri AND v.takedown_id IS NULL
) AND NOT EXISTS (
    SELECT FROM annotations n JOIN clips c USING (clip_id) JOIN videos v USING (video_id)
    WHERE n.uri = f.uri AND v.takedown_id IS NULL
)
GROUP BY f.uri, f.kind, f.bytes
ON CONFLICT (uri, takedown_id) DO UPDATE SET queued_at = now(), attempts = 0, tried_at = NULL, error = NULL, removed_at = NULL
WHERE object_removals.removed_at IS NOT NULL;

-- name: queue_object!
-- An object that a stage had stored when it learnt that its video is taken down.
INSERT INTO object_removals (uri, takedown_id, kind, bytes) VALUES (:uri, :takedown_id, :kind, :bytes)
ON CONFLICT (uri, takedown_id) DO UPDATE SET queued_at = now(), attempts = 0, tried_at = NULL, error = NULL, removed_at = NULL
WHERE object_removals.removed_at IS NOT NULL;

-- name: clear_annotations!
DELETE FROM annotations n USING clips c WHERE c.clip_id = n.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_language_answers!
DELETE FROM language_answers a USING clips c WHERE c.clip_id = a.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_language_calls!
DELETE FROM language_calls l USING clips c WHERE c.clip_id = l.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_clip_labels!
DELETE FROM labels l USING clips c WHERE c.clip_id = l.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_embeddings!
DELETE FROM embeddings e USING clips c WHERE c.clip_id = e.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_review_causes!
DELETE FROM review_causes r USING clips c WHERE c.clip_id = r.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_reviews!
DELETE FROM reviews r USING clips c WHERE c.clip_id = r.clip_id AND c.video_id = ANY(:video_ids);

-- name: clear_artifacts!
DELETE FROM outcome_artifacts a USING outcomes o
WHERE o.video_id = ANY(:video_ids)
  AND (a.stage, a.subject_id, a.stage_version) = (o.stage, o.subject_id, o.stage_version);

-- name: clear_outcomes!
-- That a stage ran, when, with which models and how it ended stays; what it measured goes. Which video it was a copy of
-- stays too: it says whom else to ask about.
UPDATE outcomes SET
    scores = '{}',
    detail = CASE WHEN detail ? 'survivor' THEN jsonb_build_object('survivor', detail -> 'survivor') ELSE '{}' END
WHERE video_id = ANY(:video_ids) AND (scores <> '{}' OR detail <> '{}');

-- name: clear_fingerprints!
DELETE FROM fingerprints WHERE video_id = ANY(:video_ids);

-- name: clear_copies!
DELETE FROM copies WHERE video_id = ANY(:video_ids) OR other_id = ANY(:video_ids);

-- name: clear_changes!
DELETE FROM upstream_changes WHERE video_id = ANY(:video_ids);

-- name: clear_postponements!
DELETE FROM postponements
WHERE subject_id = ANY(:video_ids) OR subject_id IN (SELECT clip_id FROM clips WHERE video_id = ANY(:video_ids));

-- name: clear_labels!
-- A shard is labelled with the title of its first video.
UPDATE shards s SET label = 'taken down'
FROM videos v JOIN outcomes o USING (video_id) JOIN stage_runs r USING (stage_run_id)
WHERE v.video_id = ANY(:video_ids) AND s.shard_id = r.shard_id AND s.label <> 'taken down'
  AND starts_with(s.label, left(btrim(regexp_replace(coalesce(v.title, v.origin_uri), '\s+', ' ', 'g')), 80));

-- name: clear_videos!
UPDATE videos SET title = NULL, uploader = NULL, published = '{}', probe = NULL, cleared_at = now()
WHERE video_id = ANY(:video_ids);

-- name: lock_removals
-- Objects whose turn it is. One that could not be removed waits longer each time, up to a day.
SELECT r.uri, r.takedown_id
FROM object_removals r
WHERE r.removed_at IS NULL AND (:takedown_id::text IS NULL OR r.takedown_id = :takedown_id)
  AND (r.tried_at IS NULL OR r.tried_at < now() - least(interval '1 day', interval '1 minute' * power(2, least(r.attempts, 11))))
ORDER BY r.queued_at, r.uri LIMIT :most
FOR UPDATE SKIP LOCKED;

-- name: lock_artifacts
-- Whoever records an object locks its row too, so that none is removed while it is being recorded.
SELECT uri FROM artifacts WHERE uri = ANY(:uris) ORDER BY uri FOR UPDATE;

-- name: referenced_objects
-- Objects that something names again, or still: a video that stays, or one that is not cleared yet.
SELECT uri, bool_or(stays) AS stays FROM (
    SELECT a.uri, v.takedown_id IS NULL AS stays
    FROM outcome_artifacts a JOIN outcomes o USING (stage, subject_id, stage_version) JOIN videos v USING (video_id)
    WHERE a.uri = ANY(:uris)
    UNION ALL
    SELECT n.uri, v.takedown_id IS NULL
    FROM annotations n JOIN clips c USING (clip_id) JOIN videos v USING (video_id)
    WHERE n.uri = ANY(:uris)
) found GROUP BY uri;

-- name: release_removals!
DELETE FROM object_removals WHERE uri = ANY(:uris) AND removed_at IS NULL;

-- name: end_removals!
UPDATE object_removals SET removed_at = clock_timestamp(), tried_at = clock_timestamp(), attempts = attempts + 1, error = NULL
WHERE uri = ANY(:uris) AND removed_at IS NULL;

-- name: delete_artifacts!
DELETE FROM artifacts WHERE uri = ANY(:uris);

-- name: fail_removal!
UPDATE object_removals SET tried_at = clock_timestamp(), attempts = attempts + 1, error = :error
WHERE uri = :uri AND removed_at IS NULL;

-- name: hold_videos
-- Those of these videos that a takedown covers. The locks last until the transaction ends: a video may be taken down
-- meanwhile, but it is not cleared, so nothing that is recorded now outlives it.
WITH held AS (
    SELECT video_id, takedown_id FROM videos WHERE video_id = ANY(:video_ids) ORDER BY video_id FOR KEY SHARE
)
SELECT video_id, takedown_id FROM held WHERE takedown_id IS NOT NULL;

-- name: find_contents
SELECT value AS sha256, takedown_id FROM tombstones WHERE kind = 'sha256' AND value = ANY(:contents);

-- name: find_content$
SELECT takedown_id FROM tombstones WHERE kind = 'sha256' AND value = :sha256;

-- name: mark_video$
UPDATE videos SET takedown_id = :takedown_id WHERE video_id = :video_id AND takedown_id IS NULL RETURNING takedown_id;

-- name: find_barring$
-- The takedown whose tombstones cover a video by its addresses, its name, its channel or its source.
SELECT x.takedown_id
FROM videos v
JOIN tombstones x ON (x.kind, x.value) IN (
    ('origin', v.origin_uri), ('origin', v.canonical_uri), ('item', v.extractor || ':' || v.extractor_id),
    ('channel', v.channel_id), ('source', v.source))
WHERE v.video_id = :video_id
ORDER BY x.takedown_id LIMIT 1;

-- name: removed_meanwhile$
-- An object that was removed after an attempt that names it began: it may have been found in the store and not written
-- again.
SELECT min(r.uri)
FROM unnest(:subject_ids::text[], :uris::text[]) AS named (subject_id, uri)
JOIN object_removals r ON r.uri = named.uri
JOIN attempts a ON a.stage = :stage AND a.stage_version = :version AND a.subject_id = named.subject_id
WHERE r.removed_at >= a.last_at;

-- name: is_source_taken_down$
SELECT EXISTS (SELECT FROM tombstones WHERE kind = 'source' AND value = :source);

-- name: bar_entries!
-- Leaves out entries of a pass that a takedown covers; also those whose video was taken down for its bytes, while the
-- source does not say that they changed.
DELETE FROM entries WHERE origin_uri IN (
    SELECT e.origin_uri FROM entries e JOIN tombstones t ON t.kind = 'origin' AND t.value = e.origin_uri
    UNION ALL
    SELECT e.origin_uri FROM entries e JOIN tombstones t ON t.kind = 'origin' AND t.value = e.canonical_uri
    UNION ALL
    SELECT e.origin_uri FROM entries e
    JOIN tombstones t ON t.kind = 'item' AND t.value = e.extractor || ':' || e.extractor_id
    UNION ALL
    SELECT e.origin_uri FROM entries e JOIN tombstones t ON t.kind = 'channel' AND t.value = e.channel_id
    UNION ALL
    SELECT e.origin_uri FROM entries e JOIN tombstones t ON t.kind = 'source' AND t.value = :source
    UNION ALL
    SELECT e.origin_uri
    FROM entries e JOIN videos v ON v.source = :source AND v.origin_uri = e.origin_uri
    WHERE v.takedown_id IS NOT NULL AND (v.signature = e.signature OR '' IN (v.signature, e.signature))
      AND NOT EXISTS (
          SELECT FROM videos n WHERE n.source = v.source AND n.origin_uri = v.origin_uri AND n.version > v.version
      )
);

-- name: mark_inserted!
-- Videos of this pass that a takedown covers which was written while the pass was.
UPDATE videos v SET takedown_id = b.takedown_id
FROM (
    SELECT e.origin_uri, t.takedown_id
    FROM takedowns d JOIN tombstones t USING (takedown_id) JOIN entries e ON t.kind = 'origin' AND t.value = e.origin_uri
    WHERE d.requested_at > now() - interval '1 hour'
    UNION ALL
    SELECT e.origin_uri, t.takedown_id
    FROM takedowns d JOIN tombstones t USING (takedown_id) JOIN entries e ON t.kind = 'origin' AND t.value = e.canonical_uri
    WHERE d.requested_at > now() - interval '1 hour'
    UNION ALL
    SELECT e.origin_uri, t.takedown_id
    FROM takedowns d JOIN tombstones t USING (takedown_id)
    JOIN entries e ON t.kind = 'item' AND t.value = e.extractor || ':' || e.extractor_id
    WHERE d.requested_at > now() - interval '1 hour'
    UNION ALL
    SELECT e.origin_uri, t.takedown_id
    FROM takedowns d JOIN tombstones t USING (takedown_id) JOIN entries e ON t.kind = 'channel' AND t.value = e.channel_id
    WHERE d.requested_at > now() - interval '1 hour'
    UNION ALL
    SELECT e.origin_uri, t.takedown_id
    FROM takedowns d JOIN tombstones t USING (takedown_id) JOIN entries e ON t.kind = 'source' AND t.value = :source
    WHERE d.requested_at > now() - interval '1 hour'
) b
WHERE v.source = :source AND v.origin_uri = b.origin_uri AND v.discovered_at = now() AND v.takedown_id IS NULL;
