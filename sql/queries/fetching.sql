-- name: bar
-- What forbids fetching a video, the strongest first.
SELECT 'taken_down' AS reason, t.requested_at::date || ': ' || t.reason AS message
FROM videos v
JOIN tombstones x ON (x.kind, x.value) IN (
    ('origin', v.origin_uri), ('origin', v.canonical_uri), ('item', v.extractor || ':' || v.extractor_id),
    ('sha256', v.sha256), ('channel', v.channel_id), ('source', v.source))
JOIN takedowns t ON t.takedown_id = x.takedown_id
WHERE v.video_id = :video_id
UNION ALL
SELECT 'channel_rejected', 'its channel ' || c.channel_id || ' is ' || c.status || coalesce(': ' || c.reason, '')
FROM videos v JOIN channels c USING (channel_id)
WHERE v.video_id = :video_id AND c.status IN ('paused', 'banned')
LIMIT 1;

-- name: is_content_taken_down$
SELECT EXISTS (SELECT FROM tombstones WHERE kind = 'sha256' AND value = :sha256);

-- name: is_any_content_taken_down$
SELECT EXISTS (SELECT FROM tombstones WHERE kind = 'sha256');

-- name: is_approved$
SELECT EXISTS (SELECT FROM approvals WHERE video_id = :video_id);

-- name: postpone!
INSERT INTO postponements (stage, subject_id, until, cause, message)
VALUES (:stage, :subject_id, :until, :cause, :message)
ON CONFLICT (stage, subject_id) DO UPDATE SET
    until = excluded.until, cause = excluded.cause, message = excluded.message, times = postponements.times + 1,
    recorded_at = now();

-- name: undo_attempt!
-- Work that was postponed was not tried.
UPDATE attempts SET attempts = attempts - 1
WHERE stage = :stage AND stage_version = :version AND subject_id = :subject_id AND attempts > 0;
