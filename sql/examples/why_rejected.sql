-- Why was footage refused, and how much of it?
SELECT reason, count(*) AS clips, round(sum(duration_s)::numeric, 1) AS seconds
FROM v_clips
WHERE status = 'rejected'
GROUP BY reason
ORDER BY seconds DESC;
