-- What is to be seen in each kept clip, in words, and whose words they are?
SELECT c.clip_id, c.viewpoint, a.value ->> 'short' AS caption, m.value ->> 'spatial' AS motion, a.value ->> 'source' AS made_from,
       a.model_release
FROM v_clips c
JOIN v_annotations a ON a.clip_id = c.clip_id AND a.kind = 'caption'
JOIN v_annotations m ON m.clip_id = c.clip_id AND m.kind = 'motion_text'
WHERE c.status = 'kept'
ORDER BY c.clip_id;
