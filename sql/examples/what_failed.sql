-- Which videos failed, and why?
SELECT title, reason, origin_uri FROM v_videos WHERE status = 'failed' ORDER BY reason, title;
