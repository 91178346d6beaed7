-- Hours of kept clips by motion class, with how sure the labels are. One label a clip: what a vision model says counts
-- before the offline models; what a data set says of itself is left out.
SELECT l1, l2, count(*) AS clips, round((sum(duration_s) / 3600)::numeric, 2) AS hours,
       round(avg(confidence)::numeric, 2) AS confidence
FROM (
    SELECT DISTINCT ON (l.clip_id) l.clip_id, l.l1, l.l2, l.confidence, c.duration_s
    FROM v_labels l JOIN v_clips c USING (clip_id)
    WHERE l.facet = 'motion' AND l.origin IN ('endpoint', 'offline') AND c.status = 'kept'
    ORDER BY l.clip_id, l.origin = 'offline', l.confidence DESC
) best
GROUP BY l1, l2
ORDER BY hours DESC, l1, l2;
