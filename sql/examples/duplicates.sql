-- Which videos are copies?
SELECT v.title, v.reason, v.width, v.height, v.origin_uri
FROM v_videos v WHERE v.reason IN ('duplicate', 'near_duplicate') ORDER BY v.title;
