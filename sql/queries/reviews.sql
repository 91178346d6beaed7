-- name: review_queue
-- Clips that wait for a person, who waits longest first.
SELECT q.*, v.title, v.origin_uri, count(*) OVER () AS total
FROM v_review_queue q JOIN videos v USING (video_id)
WHERE (:source::text IS NULL OR q.source = :source) AND (:cause::text IS NULL OR :cause = ANY(q.causes))
ORDER BY q.since, q.clip_id
LIMIT :most;

-- name: reviewed
-- What was decided, the latest first. For those who may read reviews.
SELECT r.clip_id, v.source, v.title, r.decision, r.causes, r.decided_by, r.note, r.decided_at
FROM reviews r JOIN clips c USING (clip_id) JOIN videos v USING (video_id)
WHERE v.takedown_id IS NULL AND (:source::text IS NULL OR v.source = :source)
ORDER BY r.review_id DESC
LIMIT :most;

-- name: reviewable_clips
SELECT c.clip_id FROM clips c JOIN videos v USING (video_id)
WHERE c.clip_id = ANY(:clip_ids) AND c.retired_at IS NULL AND v.takedown_id IS NULL;

-- name: insert_reviews!
INSERT INTO reviews (clip_id, decision, causes, decided_by, note)
SELECT c.clip_id, :decision, coalesce(found.causes, '{}'), :decided_by, :note
FROM unnest(:clip_ids::text[]) AS c (clip_id)
CROSS JOIN LATERAL (
    -- as in clip_reviews, of which the whole would be grouped
    SELECT array_agg(DISTINCT r.cause ORDER BY r.cause) AS causes
    FROM review_causes r JOIN stages s ON s.stage = r.stage AND s.version = r.stage_version
    WHERE r.clip_id = c.clip_id
) found
ORDER BY c.clip_id;
