-- Which phrases pay, and which were proposed from which?
SELECT source, keyword, parent, proposed_by, fetched_hours, kept_hours, yield,
       cost / nullif(kept_hours, 0) AS seconds_per_kept_hour
FROM v_keywords
WHERE fetched > 0
ORDER BY yield DESC NULLS LAST, kept_hours DESC
LIMIT 50;
