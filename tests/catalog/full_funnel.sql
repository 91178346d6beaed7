-- v_funnel as one count over all outcomes: what the kept totals must be equal to at every moment.
SELECT o.stage, o.outcome, o.reason, count(DISTINCT o.video_id) AS videos, count(c.clip_id) AS clips,
       sum(round(coalesce(c.end_s - c.start_s, v.duration_s, 0) * 1e6))::double precision / 3.6e9 AS hours
FROM current_outcomes o
JOIN videos v USING (video_id)
LEFT JOIN clips c ON c.clip_id = o.subject_id
WHERE c.retired_at IS NULL AND v.takedown_id IS NULL
GROUP BY o.ordinal, o.stage, o.outcome, o.reason
ORDER BY o.ordinal, o.outcome, o.reason
