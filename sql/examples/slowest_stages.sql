-- Where does the time go? Seconds of work for each second of video, by stage.
SELECT l.stage, count(*) AS outcomes, round(sum(l.seconds)::numeric, 1) AS seconds,
       round((sum(l.seconds) / nullif(sum(c.duration_s), 0))::numeric, 3) AS seconds_per_video_second
FROM (SELECT DISTINCT ON (clip_id, stage, stage_version) * FROM v_lineage) l
JOIN v_clips c USING (clip_id)
GROUP BY l.stage
ORDER BY seconds DESC;
