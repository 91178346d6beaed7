-- name: approve_videos^
-- Let videos pass that their licence policy asks about; those that it rejected are due again, with all their attempts.
WITH chosen AS (
    SELECT v.video_id FROM videos v
    WHERE v.takedown_id IS NULL
      AND (v.video_id = :video_id OR (v.source = :source AND EXISTS (
          SELECT FROM outcomes o
          WHERE o.stage = 'fetch' AND o.subject_id = v.video_id AND o.reason = 'license_review'
      )))
), approved AS (
    INSERT INTO approvals (video_id, approved_by, note)
    SELECT video_id, :approved_by, :note FROM chosen
    ON CONFLICT (video_id) DO UPDATE SET approved_by = excluded.approved_by, note = excluded.note, approved_at = now()
    RETURNING video_id
), forgotten AS (
    DELETE FROM outcomes o USING approved a
    WHERE o.stage = 'fetch' AND o.subject_id = a.video_id AND o.reason = 'license_review'
    RETURNING o.stage, o.subject_id, o.stage_version
), untried AS (
    DELETE FROM attempts t USING forgotten f
    WHERE (t.stage, t.subject_id, t.stage_version) = (f.stage, f.subject_id, f.stage_version)
)
SELECT (SELECT count(*) FROM approved) AS approved, (SELECT count(*) FROM forgotten) AS due;

-- name: waiting_for_approval
-- Videos that ask for a person, by source and licence.
SELECT v.source, v.license, count(*) AS videos
FROM videos v JOIN outcomes o ON o.stage = 'fetch' AND o.subject_id = v.video_id AND o.reason = 'license_review'
WHERE v.takedown_id IS NULL AND (:source::text IS NULL OR v.source = :source)
GROUP BY v.source, v.license ORDER BY v.source, videos DESC, v.license;
