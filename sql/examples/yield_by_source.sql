-- Which source gives the most kept hours for each hour it brings?
SELECT v.source,
       round((sum(v.duration_s) / 3600)::numeric, 4) AS hours_in,
       round((coalesce(sum(c.kept_s), 0) / 3600)::numeric, 4) AS hours_kept,
       round((coalesce(sum(c.kept_s), 0) / nullif(sum(v.duration_s), 0))::numeric, 3) AS kept_share
FROM v_videos v
LEFT JOIN (
    SELECT video_id, sum(duration_s) AS kept_s FROM v_clips WHERE status = 'kept' GROUP BY video_id
) c USING (video_id)
GROUP BY v.source
ORDER BY kept_share DESC NULLS LAST;
