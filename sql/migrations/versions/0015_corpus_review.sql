-- v_corpus has what v_clips has: where a clip's review stands, and what was made of it for privacy.
CREATE OR REPLACE VIEW v_corpus AS
SELECT
    c.clip_id,
    c.video_id,
    c.source,
    c.origin_uri,
    c.start_s,
    c.end_s,
    c.duration_s,
    c.status,
    c.reason,
    c.viewpoint,
    c.scores,
    c.artifact_uri,
    c.license,
    s.kind,
    v.channel_id AS channel,
    v.partition_key AS crawl_day,
    nullif(lower(split_part(replace(v.published ->> 'language', '_', '-'), '-', 1)), '') AS language,
    nullif(upper(v.published ->> 'country'), '') AS country,
    v.width,
    v.height,
    v.fps,
    CASE
        WHEN v.width IS NULL OR v.height IS NULL THEN NULL
        WHEN least(v.width, v.height) < 360 THEN 'under 360p'
        WHEN least(v.width, v.height) < 480 THEN '360p'
        WHEN least(v.width, v.height) < 720 THEN '480p'
        WHEN least(v.width, v.height) < 1080 THEN '720p'
        WHEN least(v.width, v.height) < 1440 THEN '1080p'
        WHEN least(v.width, v.height) < 2160 THEN '1440p'
        ELSE '2160p'
    END AS resolution,
    label.motion,
    nullif(split_part(label.motion, '/', 1), '') AS l1,
    nullif(split_part(label.motion, '/', 2), '') AS l2,
    nullif(split_part(label.motion, '/', 3), '') AS l3,
    label.motion_origin,
    label.motion_confidence,
    label.scene,
    nullif(split_part(label.scene, '/', 1), '') AS scene_l1,
    nullif(split_part(label.scene, '/', 2), '') AS scene_l2,
    label.scene_origin,
    label.scene_confidence,
    label.source_type,
    label.task_structure,
    ARRAY(
        SELECT DISTINCT l.path FROM labels l JOIN stages g ON g.stage = l.stage AND g.version = l.stage_version
        WHERE l.clip_id = c.clip_id AND l.facet = 'interaction' ORDER BY l.path
    ) AS interactions,
    c.review,
    c.redacted_uri
FROM v_clips c
JOIN videos v ON v.video_id = c.video_id
JOIN sources s ON s.source = c.source
LEFT JOIN LATERAL (
    SELECT
        max(path) FILTER (WHERE facet = 'motion') AS motion,
        max(origin) FILTER (WHERE facet = 'motion') AS motion_origin,
        max(confidence) FILTER (WHERE facet = 'motion') AS motion_confidence,
        max(path) FILTER (WHERE facet = 'scene') AS scene,
        max(origin) FILTER (WHERE facet = 'scene') AS scene_origin,
        max(confidence) FILTER (WHERE facet = 'scene') AS scene_confidence,
        max(path) FILTER (WHERE facet = 'source_type') AS source_type,
        max(path) FILTER (WHERE facet = 'task_structure') AS task_structure
    FROM (
        -- who looked at the clip goes before who described it, both before who compared words or applied a rule
        SELECT DISTINCT ON (l.facet) l.facet, l.path, l.origin, l.confidence
        FROM labels l JOIN stages g ON g.stage = l.stage AND g.version = l.stage_version
        WHERE l.clip_id = c.clip_id AND l.facet <> 'interaction'
        ORDER BY l.facet, array_position(ARRAY['endpoint', 'inherited', 'offline', 'pseudo'], l.origin),
                 l.confidence DESC, l.path DESC
    ) surest
) label ON true;
