-- Where does the time go? Seconds of work for each second of video, by stage, at the versions that count now.
SELECT o.stage, o.subject AS unit, count(*) AS subjects, round(sum(o.seconds)::numeric, 1) AS seconds,
       round((sum(o.seconds) / nullif(sum(CASE o.subject WHEN 'video' THEN v.duration_s ELSE c.duration_s END), 0))
             ::numeric, 3) AS seconds_per_video_second
FROM current_outcomes o
JOIN v_videos v USING (video_id)
LEFT JOIN v_clips c ON c.clip_id = o.subject_id
WHERE o.subject = 'video' OR c.clip_id IS NOT NULL
GROUP BY o.stage, o.subject
ORDER BY seconds DESC;
