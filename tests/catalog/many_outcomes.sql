-- Five thousand clips of five hundred videos, for the planner to choose by; kept by fetch, analyse and decide.
INSERT INTO videos (video_id, source, origin_uri, version, signature, partition_key)
SELECT 'vmany' || n, source, 'file:///many/' || n, 1, '1', '2026-01-01'
FROM sources CROSS JOIN generate_series(1, 500) n;
INSERT INTO clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)
SELECT 'c' || v.video_id || '-' || n, v.video_id, n, n, n + 1, n, n + 1, s.version
FROM videos v CROSS JOIN generate_series(1, 10) n JOIN stages s ON s.stage = 'analyse'
WHERE v.video_id LIKE 'vmany%';
INSERT INTO outcomes (stage, stage_version, subject_id, video_id, outcome, scores, stage_run_id, started_at, seconds)
SELECT s.stage, s.version, x.subject_id, x.video_id, 'kept', '{"value": 1}', (SELECT min(stage_run_id) FROM stage_runs), now(), 1
FROM stages s
JOIN (
    SELECT 'video' AS subject, video_id AS subject_id, video_id FROM videos
    UNION ALL
    SELECT 'clip', clip_id, video_id FROM clips
) x ON x.subject = s.subject
WHERE s.stage <> 'cut' AND x.video_id LIKE 'vmany%';
ANALYZE videos, clips, outcomes, stages, stage_runs;
