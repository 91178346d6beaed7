-- Which models, runs and code made what is kept?
SELECT l.stage, l.stage_version, l.model_releases, l.code_revision, count(DISTINCT l.clip_id) AS clips
FROM v_lineage l JOIN v_clips c USING (clip_id)
WHERE c.status = 'kept'
GROUP BY l.stage, l.stage_version, l.model_releases, l.code_revision
ORDER BY min(l.started_at), l.stage;
