-- name: queued_removals$
SELECT count(*) FROM object_removals WHERE removed_at IS NULL;

-- name: count_elsewhere^
-- Artifacts that are not below an address yet.
SELECT count(*) AS objects, coalesce(sum(bytes), 0)::bigint AS bytes FROM artifacts WHERE NOT starts_with(uri, :base);

-- name: artifacts_elsewhere
SELECT uri, sha256, kind, bytes, media_type FROM artifacts
WHERE uri > :after AND NOT starts_with(uri, :base) ORDER BY uri LIMIT :most;

-- name: insert_moved!
INSERT INTO artifacts (uri, sha256, kind, bytes, media_type, stored_at)
SELECT m.new, f.sha256, f.kind, f.bytes, f.media_type, f.stored_at
FROM unnest(:old::text[], :new::text[]) AS m (old, new) JOIN artifacts f ON f.uri = m.old
ON CONFLICT (uri) DO NOTHING;

-- name: repoint_outcome_artifacts!
UPDATE outcome_artifacts a SET uri = m.new
FROM unnest(:old::text[], :new::text[]) AS m (old, new) WHERE a.uri = m.old;

-- name: repoint_annotations!
UPDATE annotations n SET uri = m.new
FROM unnest(:old::text[], :new::text[]) AS m (old, new) WHERE n.uri = m.old;

-- name: forget_lost!
-- Outcomes that name lost objects are due again, with all their attempts; what else they stored is stored again then.
-- What is taken down stays as it is: its objects were to go.
WITH named AS (
    SELECT stage, subject_id, stage_version FROM outcome_artifacts WHERE uri = ANY(:uris)
    UNION
    SELECT stage, clip_id, stage_version FROM annotations WHERE uri = ANY(:uris)
), lost AS (
    SELECT n.* FROM named n
    JOIN outcomes o USING (stage, subject_id, stage_version) JOIN videos v USING (video_id)
    WHERE v.takedown_id IS NULL
), unlinked AS (
    DELETE FROM outcome_artifacts a USING lost l
    WHERE (a.stage, a.subject_id, a.stage_version) = (l.stage, l.subject_id, l.stage_version)
), unannotated AS (
    DELETE FROM annotations n USING lost l
    WHERE (n.stage, n.clip_id, n.stage_version) = (l.stage, l.subject_id, l.stage_version)
), unlabelled AS (
    DELETE FROM labels n USING lost l
    WHERE (n.stage, n.clip_id, n.stage_version) = (l.stage, l.subject_id, l.stage_version)
), unembedded AS (
    DELETE FROM embeddings e USING lost l
    WHERE (e.stage, e.clip_id, e.stage_version) = (l.stage, l.subject_id, l.stage_version)
), uncaused AS (
    DELETE FROM review_causes r USING lost l
    WHERE (r.stage, r.clip_id, r.stage_version) = (l.stage, l.subject_id, l.stage_version)
), reset AS (
    DELETE FROM attempts t USING lost l
    WHERE (t.stage, t.subject_id, t.stage_version) = (l.stage, l.subject_id, l.stage_version)
)
DELETE FROM outcomes o USING lost l
WHERE (o.stage, o.subject_id, o.stage_version) = (l.stage, l.subject_id, l.stage_version);

-- name: delete_unnamed!
-- Of these objects those that nothing names any more.
DELETE FROM artifacts f WHERE f.uri = ANY(:uris)
  AND NOT EXISTS (SELECT FROM outcome_artifacts a WHERE a.uri = f.uri)
  AND NOT EXISTS (SELECT FROM annotations n WHERE n.uri = f.uri);
