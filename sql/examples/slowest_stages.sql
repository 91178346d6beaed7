-- Where does the time go? Seconds of work for each second of video, by stage, at the versions that count now.
WITH work AS (
    SELECT DISTINCT ON (l.stage, subject) l.stage, s.ordinal, s.subject AS unit,
           CASE s.subject WHEN 'video' THEN c.video_id ELSE c.clip_id END AS subject, l.seconds,
           CASE s.subject WHEN 'video' THEN v.duration_s ELSE c.duration_s END AS video_seconds
    FROM v_lineage l
    JOIN stages s ON s.stage = l.stage AND s.version = l.stage_version
    JOIN v_clips c USING (clip_id)
    JOIN v_videos v USING (video_id)
)
SELECT stage, unit, count(*) AS subjects, round(sum(seconds)::numeric, 1) AS seconds,
       round((sum(seconds) / nullif(sum(video_seconds), 0))::numeric, 3) AS seconds_per_video_second
FROM work
GROUP BY stage, unit, ordinal
ORDER BY seconds DESC;
