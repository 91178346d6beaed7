-- The clips with the most reliable body pose and some motion, best first.
SELECT clip_id, (scores ->> 'pose_score')::float AS pose_score, (scores ->> 'motion_score')::float AS motion_score,
       duration_s, artifact_uri
FROM v_clips
WHERE status = 'kept' AND scores ? 'pose_score'
ORDER BY pose_score DESC
LIMIT 20;
