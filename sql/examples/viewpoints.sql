-- How much is seen in first person, how much in third?
SELECT viewpoint, count(*) AS clips, round((sum(duration_s) / 3600)::numeric, 4) AS hours
FROM v_clips WHERE status = 'kept' GROUP BY viewpoint ORDER BY viewpoint;
