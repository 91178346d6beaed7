-- name: source_yields
-- What each source has brought, and its last crawl.
SELECT s.source, coalesce(v.videos, 0) AS videos, coalesce(v.kept, 0) AS kept, coalesce(v.rejected, 0) AS rejected,
       coalesce(v.failed, 0) AS failed, coalesce(v.pending, 0) AS pending, coalesce(v.hours, 0) AS hours,
       coalesce(c.kept_hours, 0) AS kept_hours,
       last.partition_key AS last_partition, last.ended_at AS last_ended_at, last.seen AS last_seen, last.new AS last_new,
       last.changed AS last_changed, last.gone AS last_gone, crawls.watermark, waiting.waiting, waiting.waiting_until,
       waiting.waiting_for
FROM sources s
LEFT JOIN (
    SELECT source, count(*) AS videos, count(*) FILTER (WHERE status = 'kept') AS kept,
           count(*) FILTER (WHERE status = 'rejected') AS rejected, count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'pending') AS pending, coalesce(sum(duration_s), 0) / 3600 AS hours
    FROM v_videos GROUP BY source
) v ON v.source = s.source
LEFT JOIN (
    SELECT source, sum(duration_s) / 3600 AS kept_hours FROM v_clips WHERE status = 'kept' GROUP BY source
) c ON c.source = s.source
LEFT JOIN LATERAL (
    SELECT * FROM crawls WHERE crawls.source = s.source ORDER BY ended_at DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT max(watermark) AS watermark FROM crawls WHERE crawls.source = s.source
) crawls ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS waiting, min(p.until) AS waiting_until, string_agg(DISTINCT p.cause, ', ') AS waiting_for
    FROM postponements p
    LEFT JOIN clips c ON c.clip_id = p.subject_id
    JOIN videos w ON w.video_id = coalesce(c.video_id, p.subject_id)
    WHERE w.source = s.source AND p.until > now() AND w.takedown_id IS NULL
) waiting ON true
WHERE (:source::text IS NULL OR s.source = :source)
ORDER BY s.source;

-- name: source_crawls
SELECT partition_key, ended_at, passes, seen, new, changed, known, aliases, gone, barred, watermark, dag_id, run_id
FROM crawls WHERE source = :source ORDER BY partition_key DESC LIMIT :most;

-- name: source_videos
SELECT v.video_id, v.title, v.origin_uri, v.license, v.duration_s, v.status, v.reason, w.uploaded_on, w.uploader,
       w.partition_key, w.gone_at, p.until AS waits_until, p.message AS waits_for
FROM v_videos v
JOIN videos w USING (video_id)
LEFT JOIN postponements p ON p.subject_id = v.video_id AND p.until > now()
WHERE v.source = :source
ORDER BY w.partition_key DESC, w.discovered_at DESC, v.video_id
LIMIT :most;

-- name: source_changes
SELECT c.video_id, v.title, c.field, c.before, c.after, c.partition_key, c.noticed_at
FROM upstream_changes c JOIN videos v USING (video_id)
WHERE v.source = :source AND v.takedown_id IS NULL ORDER BY c.change_id DESC LIMIT :most;
