-- What was taken down, at whose request, and is all of it gone?
SELECT scope, target, reason, requested_by, requested_at::date AS requested_on, videos, clips, releases_recalled,
       videos = videos_cleared AND objects = objects_removed AS is_gone
FROM v_takedowns
ORDER BY requested_at DESC;
