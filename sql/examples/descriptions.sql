-- What is to be seen in each kept clip, in words?
SELECT c.clip_id, c.viewpoint, a.value ->> 'semantic' AS motion, a.value ->> 'source' AS made_from
FROM v_clips c JOIN v_annotations a USING (clip_id)
WHERE c.status = 'kept' AND a.kind = 'motion_text'
ORDER BY c.clip_id;
