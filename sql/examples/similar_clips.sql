-- Which clips of other videos look most like a clip that has an embedding? The similarity is a cosine: 1 for the same
-- pictures, about 0 for clips that have nothing to do with each other. `humannet similar CLIP_ID` asks it for any clip.
SELECT n.clip_id, v.title, round(n.similarity::numeric, 3) AS similarity
FROM (SELECT clip_id, video_id FROM v_annotations JOIN v_clips USING (clip_id) WHERE kind = 'embed' LIMIT 1) asked
CROSS JOIN LATERAL similar_clips(asked.clip_id) n
JOIN v_videos v ON v.video_id = n.video_id
WHERE n.video_id <> asked.video_id
ORDER BY n.similarity DESC, n.clip_id LIMIT 10;
