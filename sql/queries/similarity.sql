-- name: embedded^
-- Whether a clip is there, and has a vector at the stage version that counts.
SELECT c.video_id, EXISTS (
    SELECT FROM embeddings e JOIN stages s ON s.stage = e.stage AND s.version = e.stage_version
    WHERE e.clip_id = c.clip_id
) AS embedded
FROM clips c JOIN videos v USING (video_id)
WHERE c.clip_id = :clip_id AND c.retired_at IS NULL AND v.takedown_id IS NULL;

-- name: similar_clips
-- The candidates, the most similar first. A condition on other columns is for `similar_clips_where`.
SELECT n.clip_id, n.video_id, v.source, v.title, c.start_s, c.end_s, n.similarity, true AS wanted
FROM similar_clips(:clip_id, :candidates) n
JOIN clips c ON c.clip_id = n.clip_id
JOIN videos v ON v.video_id = n.video_id
ORDER BY n.similarity DESC, n.clip_id;

-- name: similar_clips_where
-- The same with a person's condition; those that do not meet it come too, so that who asks knows how many were looked at.
SELECT n.clip_id, n.video_id, n.source, v.title, n.start_s, n.end_s, n.similarity, n.wanted
FROM (
    SELECT v_corpus.*, similarity, ((:condition)) IS TRUE AS wanted
    FROM similar_clips(:clip_id, :candidates) near (near_clip_id, near_video_id, similarity)
    -- a clip at a time: joined as a set, what v_corpus counts would be counted of all clips
    CROSS JOIN LATERAL (SELECT * FROM v_corpus x WHERE x.clip_id = near.near_clip_id OFFSET 0) v_corpus
) n
JOIN videos v USING (video_id)
ORDER BY n.similarity DESC, n.clip_id;
