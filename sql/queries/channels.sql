-- name: pause_poor_channels
-- Channels of a source of which too little is kept. What a person pinned or banned stays so; after a release only videos
-- found since then count.
WITH judged AS (
    SELECT v.channel_id, max(v.uploader) AS title, count(*) AS videos, count(*) FILTER (WHERE y.kept_s > 0) AS kept
    FROM videos v
    JOIN video_yields y USING (video_id)
    LEFT JOIN channels c ON c.channel_id = v.channel_id
    WHERE v.channel_id IS NOT NULL AND y.fetched AND y.decided AND v.takedown_id IS NULL
      AND (c.channel_id IS NULL OR (c.status = 'active' AND v.discovered_at > c.updated_at))
    GROUP BY v.channel_id
)
INSERT INTO channels (channel_id, title, status, reason, decided_by)
SELECT channel_id, title, 'paused',
       'kept ' || kept || ' of ' || videos || ' videos, less than ' || round(100 * :kept_share_below::numeric, 1)
       || ' in a hundred after ' || :after_videos,
       'its yield'
FROM judged
WHERE videos >= :after_videos AND kept < :kept_share_below * videos
  AND EXISTS (SELECT FROM videos s WHERE s.channel_id = judged.channel_id AND s.source = :source)
ON CONFLICT (channel_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, decided_by = excluded.decided_by, updated_at = now()
WHERE channels.status = 'active'
RETURNING channel_id, reason;

-- name: is_channel_known$
SELECT EXISTS (SELECT FROM channels WHERE channel_id = :channel_id)
    OR EXISTS (SELECT FROM videos WHERE channel_id = :channel_id);

-- name: decide_channel!
INSERT INTO channels (channel_id, title, status, reason, decided_by)
VALUES (:channel_id, (SELECT max(uploader) FROM videos WHERE channel_id = :channel_id), :status, :reason, :decided_by)
ON CONFLICT (channel_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, decided_by = excluded.decided_by, updated_at = now();

-- name: forget_channel_rejections!
-- Candidates that were rejected for their channel become due again, with all their attempts.
WITH chosen AS (
    SELECT o.stage, o.subject_id, o.stage_version
    FROM videos v
    JOIN outcomes o ON o.stage = 'fetch' AND o.subject_id = v.video_id AND o.reason = 'channel_rejected'
    WHERE v.channel_id = :channel_id
), reset AS (
    DELETE FROM attempts a USING chosen c
    WHERE (a.stage, a.subject_id, a.stage_version) = (c.stage, c.subject_id, c.stage_version)
)
DELETE FROM outcomes o USING chosen c
WHERE (o.stage, o.subject_id, o.stage_version) = (c.stage, c.subject_id, c.stage_version);

-- name: channels
-- Channels with what is kept of their videos, and what was decided about them.
WITH yields AS (
    SELECT v.channel_id, max(v.uploader) AS title, count(*) AS videos, count(*) FILTER (WHERE y.fetched) AS fetched,
           count(*) FILTER (WHERE y.fetched AND y.decided) AS decided, count(*) FILTER (WHERE y.kept_s > 0) AS kept,
           coalesce(sum(y.kept_s), 0) / 3600 AS kept_hours, string_agg(DISTINCT v.source, ', ') AS sources
    FROM videos v LEFT JOIN video_yields y USING (video_id)
    WHERE v.channel_id IS NOT NULL AND v.takedown_id IS NULL GROUP BY v.channel_id
)
SELECT coalesce(y.channel_id, c.channel_id) AS channel_id, coalesce(y.title, c.title) AS title,
       coalesce(c.status, 'active') AS status, coalesce(y.videos, 0) AS videos, coalesce(y.fetched, 0) AS fetched,
       coalesce(y.kept, 0) AS kept, y.kept::float8 / nullif(y.decided, 0) AS kept_share,
       coalesce(y.kept_hours, 0) AS kept_hours, y.sources, c.reason, c.decided_by, c.updated_at AS decided_at
FROM yields y FULL JOIN channels c ON c.channel_id = y.channel_id
WHERE (:status::text IS NULL OR coalesce(c.status, 'active') = :status)
  AND (:source::text IS NULL
       OR EXISTS (SELECT FROM videos v WHERE v.channel_id = y.channel_id AND v.source = :source))
ORDER BY coalesce(c.status, 'active') = 'active', kept_share NULLS LAST, channel_id;
