-- Which clips may I train on, and where are they?
SELECT clip_id, viewpoint, round(duration_s::numeric, 2) AS seconds, license, artifact_uri
FROM v_clips
WHERE status = 'kept'
ORDER BY source, origin_uri, start_s;
