-- name: start_run!
INSERT INTO stage_runs
    (stage_run_id, shard_id, stage, stage_version, dag_id, run_id, task_id, map_index, try_number, worker, queue,
     code_revision)
VALUES
    (:stage_run_id, :shard_id, :stage, :version, :dag_id, :run_id, :task_id, :map_index, :try_number, :worker, :queue,
     :code_revision);

-- name: end_run!
UPDATE stage_runs SET ended_at = now(), status = :status, error = :error WHERE stage_run_id = :stage_run_id;

-- name: begin_attempt$
-- No row back means that the subject was taken down. An attempt is counted against workers that die, not against a server
-- that does: its commit need not wait for the disk.
INSERT INTO attempts (stage, stage_version, subject_id)
SELECT :stage, :version, :subject_id
FROM (SELECT set_config('synchronous_commit', 'off', true)) unsynced
WHERE NOT EXISTS (
    SELECT FROM videos
    WHERE video_id = coalesce((SELECT video_id FROM clips WHERE clip_id = :subject_id), :subject_id)
      AND takedown_id IS NOT NULL
)
ON CONFLICT (stage, subject_id, stage_version)
DO UPDATE SET attempts = attempts.attempts + 1, last_at = now()
RETURNING attempts;

-- name: record_outcomes
-- The first final outcome stands; only a failure is ever replaced. No row back means that another run was first.
INSERT INTO outcomes
    (stage, stage_version, subject_id, video_id, outcome, reason, retryable, scores, detail, policy_version,
     model_releases, stage_run_id, started_at, seconds)
VALUES %s
ON CONFLICT (stage, subject_id, stage_version) DO UPDATE SET
    outcome = excluded.outcome, reason = excluded.reason, retryable = excluded.retryable, scores = excluded.scores,
    detail = excluded.detail, policy_version = excluded.policy_version, model_releases = excluded.model_releases,
    stage_run_id = excluded.stage_run_id, started_at = excluded.started_at, seconds = excluded.seconds,
    recorded_at = now()
WHERE outcomes.outcome = 'failed'
RETURNING subject_id;

-- name: mark_gone_upstream!
-- A fetch found that the source offers it no more.
WITH gone AS (
    UPDATE videos SET gone_at = now() WHERE video_id = :video_id AND gone_at IS NULL RETURNING video_id, partition_key
)
INSERT INTO upstream_changes (video_id, field, before, after, partition_key)
SELECT video_id, 'offered', 'yes', 'no', partition_key FROM gone;

-- name: end_postponements!
DELETE FROM postponements WHERE stage = :stage AND subject_id = ANY(:subject_ids);

-- name: insert_artifact!
-- One of insert_artifacts.
INSERT INTO artifacts (uri, sha256, kind, bytes, media_type)
VALUES (:uri, :sha256, :kind, :bytes, :media_type)
ON CONFLICT (uri) DO UPDATE SET kind = excluded.kind WHERE false;

-- name: insert_artifacts!
-- The row of an object that is there already is locked, not written: nobody removes the object meanwhile.
INSERT INTO artifacts (uri, sha256, kind, bytes, media_type) VALUES %s
ON CONFLICT (uri) DO UPDATE SET kind = excluded.kind WHERE false;

-- name: insert_outcome_artifacts!
INSERT INTO outcome_artifacts (stage, subject_id, stage_version, kind, uri) VALUES %s
ON CONFLICT (stage, subject_id, stage_version, kind) DO UPDATE SET uri = excluded.uri;

-- name: update_video_file!
UPDATE videos
SET sha256 = :sha256, bytes = :bytes, container = :container, codec = :codec, duration_s = :duration_s,
    width = :width, height = :height, fps = :fps, has_audio = :has_audio, probe = :probe
WHERE video_id = :video_id;

-- name: insert_clips!
INSERT INTO clips (clip_id, video_id, shot, start_frame, end_frame, start_s, end_s, analyse_version)
VALUES %s
ON CONFLICT (clip_id) DO UPDATE
SET shot = excluded.shot, start_s = excluded.start_s, end_s = excluded.end_s,
    analyse_version = excluded.analyse_version, retired_at = NULL;

-- name: retire_clips!
UPDATE clips SET retired_at = now()
WHERE video_id = ANY(:video_ids) AND analyse_version <> :version AND retired_at IS NULL;

-- name: delete_fingerprints!
DELETE FROM fingerprints WHERE video_id = ANY(:video_ids);

-- name: copy_fingerprints!
COPY fingerprints (video_id, ordinal, t_s, bits, mirrored_bits, searchable) FROM STDIN (FORMAT csv);

-- name: insert_copies!
INSERT INTO copies (video_id, other_id, similarity, overlap_s, mirrored, stage, stage_version)
VALUES %s
ON CONFLICT (video_id, other_id, stage, stage_version)
DO UPDATE SET similarity = excluded.similarity, overlap_s = excluded.overlap_s, mirrored = excluded.mirrored;

-- name: insert_annotations!
INSERT INTO annotations (clip_id, kind, stage, stage_version, model_release, value, uri)
VALUES %s
ON CONFLICT (clip_id, kind, stage_version, model_release) DO UPDATE SET value = excluded.value, uri = excluded.uri;

-- name: insert_labels!
INSERT INTO labels (clip_id, facet, path, origin, confidence, model_release, stage, stage_version)
VALUES %s
ON CONFLICT (clip_id, facet, path, origin, stage, stage_version)
DO UPDATE SET confidence = excluded.confidence, model_release = excluded.model_release;

-- name: insert_embeddings!
INSERT INTO embeddings (clip_id, stage, stage_version, model_release, vector)
VALUES %s
ON CONFLICT (clip_id, stage, stage_version)
DO UPDATE SET model_release = excluded.model_release, vector = excluded.vector;

-- name: insert_review_causes!
INSERT INTO review_causes (clip_id, cause, score, note, stage, stage_version)
VALUES %s
ON CONFLICT (clip_id, cause, stage, stage_version) DO UPDATE SET score = excluded.score, note = excluded.note;

-- name: insert_task_failure!
INSERT INTO task_failures (dag_id, run_id, task_id, map_index, try_number, error)
VALUES (:dag_id, :run_id, :task_id, :map_index, :try_number, :error);

-- name: fail_open_runs!
-- A task that Airflow declared dead left its stage run open.
UPDATE stage_runs SET ended_at = now(), status = 'failed', error = :error
WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = :task_id AND map_index = :map_index AND status = 'running';
