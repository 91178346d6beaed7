-- What was taken down, and the objects that follow.
ALTER TABLE videos
    ADD COLUMN takedown_id text REFERENCES takedowns,
    ADD COLUMN cleared_at  timestamptz;
COMMENT ON COLUMN videos.takedown_id IS 'The takedown that covers it. From that moment it is in no view, no export and no plan.';
COMMENT ON COLUMN videos.cleared_at IS 'When what described it was deleted and its objects were queued for removal.';
CREATE INDEX videos_takedown ON videos (takedown_id) WHERE takedown_id IS NOT NULL;
CREATE INDEX videos_uncleared ON videos (video_id) WHERE takedown_id IS NOT NULL AND cleared_at IS NULL;
ALTER TABLE crawls ADD COLUMN barred bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN crawls.barred IS 'Entries that a takedown covers: they are not recorded.';
ALTER TABLE takedowns ADD COLUMN sealed_at timestamptz;
COMMENT ON COLUMN takedowns.sealed_at IS 'When every tombstone of it was written; its videos were out of every view before.';
COMMENT ON TABLE takedowns IS 'What somebody asked to be removed. It stays, with its tombstones, so that it can be proved and is not crawled again.';
CREATE INDEX tombstones_takedown ON tombstones (takedown_id);
-- A release may hold clips that a newer analysis retired.
DROP INDEX clips_video;
CREATE INDEX clips_video ON clips (video_id);
CREATE INDEX annotations_uri ON annotations (uri) WHERE uri IS NOT NULL;

CREATE TABLE object_removals (
    uri         text NOT NULL,
    takedown_id text NOT NULL REFERENCES takedowns,
    kind        text NOT NULL,
    bytes       bigint NOT NULL,
    queued_at   timestamptz NOT NULL DEFAULT now(),
    attempts    int NOT NULL DEFAULT 0,
    tried_at    timestamptz,
    error       text,
    removed_at  timestamptz,
    PRIMARY KEY (uri, takedown_id)
);
COMMENT ON TABLE object_removals IS 'The ledger of objects that takedowns remove from the store: queued, then removed or tried again later.';
COMMENT ON COLUMN object_removals.error IS 'Why the last try failed.';
CREATE INDEX object_removals_takedown ON object_removals (takedown_id);
CREATE INDEX object_removals_queue ON object_removals (queued_at) WHERE removed_at IS NULL;

CREATE TABLE releases (
    release      text PRIMARY KEY,
    published_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE releases IS 'Named, frozen snapshots. The publish stage fills it, in one transaction with release_clips.';

CREATE TABLE release_clips (
    release text NOT NULL REFERENCES releases,
    clip_id text NOT NULL REFERENCES clips,
    PRIMARY KEY (release, clip_id)
);
CREATE INDEX release_clips_clip ON release_clips (clip_id);

CREATE TABLE release_recalls (
    release     text NOT NULL REFERENCES releases,
    takedown_id text NOT NULL REFERENCES takedowns,
    clips       int NOT NULL,
    recalled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (release, takedown_id)
);
COMMENT ON TABLE release_recalls IS 'Releases that hold what was taken down: a release with a row here is to be replaced.';

-- What is taken down is in no view.

CREATE OR REPLACE VIEW v_clips AS
SELECT
    c.clip_id,
    c.video_id,
    v.source,
    v.origin_uri,
    c.start_s,
    c.end_s,
    c.end_s - c.start_s AS duration_s,
    CASE
        WHEN verdict.outcome IS NOT NULL THEN verdict.outcome
        WHEN ended.outcome IS NOT NULL THEN ended.outcome
        WHEN passed.stages = (SELECT count(*) FROM stages) THEN 'kept'
        ELSE 'pending'
    END AS status,
    CASE WHEN verdict.outcome IS NOT NULL THEN verdict.reason ELSE ended.reason END AS reason,
    decide.detail ->> 'viewpoint' AS viewpoint,
    coalesce(decide.scores, '{}') || coalesce(annotate.scores, '{}') AS scores,
    clip_file.uri AS artifact_uri,
    v.license
FROM clips c
JOIN videos v USING (video_id)
LEFT JOIN video_verdicts verdict ON verdict.video_id = c.video_id
LEFT JOIN LATERAL (
    SELECT o.outcome, o.reason FROM current_outcomes o
    WHERE o.subject_id = c.clip_id AND o.outcome <> 'kept'
    ORDER BY o.ordinal LIMIT 1
) ended ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS stages FROM current_outcomes o
    WHERE o.subject_id IN (c.clip_id, c.video_id) AND o.outcome = 'kept'
) passed ON true
LEFT JOIN current_outcomes decide ON decide.stage = 'decide' AND decide.subject_id = c.clip_id
LEFT JOIN current_outcomes annotate ON annotate.stage = 'annotate' AND annotate.subject_id = c.clip_id
LEFT JOIN current_outcomes cut ON cut.stage = 'cut' AND cut.subject_id = c.clip_id
LEFT JOIN outcome_artifacts clip_file
    ON clip_file.stage = 'cut' AND clip_file.subject_id = c.clip_id
    AND clip_file.stage_version = cut.stage_version AND clip_file.kind = 'clip'
WHERE c.retired_at IS NULL AND v.takedown_id IS NULL;

CREATE OR REPLACE VIEW v_videos AS
SELECT
    v.video_id,
    v.source,
    v.origin_uri,
    v.title,
    v.license,
    v.sha256,
    v.duration_s,
    v.width,
    v.height,
    v.fps,
    CASE
        WHEN verdict.outcome IS NOT NULL THEN verdict.outcome
        WHEN coalesce(clip.pending, 1) > 0 THEN 'pending'
        WHEN clip.kept > 0 THEN 'kept'
        WHEN clip.failed > 0 THEN 'failed'
        ELSE 'rejected'
    END AS status,
    CASE
        WHEN verdict.outcome IS NOT NULL THEN verdict.reason
        WHEN coalesce(clip.pending, 1) > 0 OR clip.kept > 0 THEN NULL
        ELSE main.reason
    END AS reason
FROM videos v
LEFT JOIN video_verdicts verdict USING (video_id)
LEFT JOIN LATERAL (
    SELECT
        CASE WHEN count(*) = 0 THEN 1 ELSE count(*) FILTER (WHERE status = 'pending') END AS pending,
        count(*) FILTER (WHERE status = 'kept') AS kept,
        count(*) FILTER (WHERE status = 'failed') AS failed
    FROM v_clips WHERE v_clips.video_id = v.video_id
) clip ON verdict.outcome IS NULL
LEFT JOIN LATERAL (
    -- what ended most of its seconds; a failure before a rejection, because a failure asks for a person
    SELECT c.reason FROM v_clips c
    WHERE c.video_id = v.video_id AND c.status IN ('rejected', 'failed')
    GROUP BY c.status, c.reason
    ORDER BY c.status, sum(c.duration_s) DESC, c.reason LIMIT 1
) main ON verdict.outcome IS NULL
WHERE v.takedown_id IS NULL;

CREATE OR REPLACE VIEW v_lineage AS
SELECT
    c.clip_id,
    row_number() OVER (PARTITION BY c.clip_id ORDER BY s.ordinal, o.recorded_at, a.kind) AS seq,
    o.stage,
    o.stage_version,
    o.outcome,
    o.reason,
    o.scores,
    o.policy_version,
    o.model_releases,
    r.dag_id,
    r.run_id,
    r.task_id,
    r.try_number,
    r.worker,
    r.queue,
    o.started_at,
    o.seconds,
    r.code_revision,
    a.uri AS artifact_uri,
    f.sha256 AS artifact_sha256
FROM clips c
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN outcomes o ON o.video_id = c.video_id AND o.subject_id IN (c.clip_id, c.video_id)
JOIN stages s ON s.stage = o.stage
JOIN stage_runs r USING (stage_run_id)
LEFT JOIN outcome_artifacts a
    ON a.stage = o.stage AND a.subject_id = o.subject_id AND a.stage_version = o.stage_version
LEFT JOIN artifacts f ON f.uri = a.uri;

CREATE OR REPLACE VIEW v_funnel AS
SELECT
    o.stage,
    o.outcome,
    o.reason,
    count(DISTINCT o.video_id) AS videos,
    count(c.clip_id) AS clips,
    coalesce(sum(CASE WHEN o.subject = 'clip' THEN c.end_s - c.start_s ELSE v.duration_s END), 0) / 3600 AS hours
FROM current_outcomes o
JOIN videos v USING (video_id)
LEFT JOIN clips c ON c.clip_id = o.subject_id
WHERE c.retired_at IS NULL AND v.takedown_id IS NULL
GROUP BY o.ordinal, o.stage, o.outcome, o.reason
ORDER BY o.ordinal, o.outcome, o.reason;

CREATE OR REPLACE VIEW v_annotations AS
SELECT a.clip_id, a.kind, a.model_release, a.value, a.uri AS artifact_uri
FROM annotations a
JOIN clips c ON c.clip_id = a.clip_id AND c.retired_at IS NULL
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version;

CREATE OR REPLACE VIEW v_keywords AS
SELECT
    k.phrase AS keyword,
    k.source,
    p.phrase AS parent,
    k.proposed_by,
    k.proposed_at,
    k.status,
    k.reason,
    coalesce(b.items, 0) AS items,
    coalesce(f.candidates, 0) AS candidates,
    coalesce(f.brought, 0) AS brought,
    coalesce(f.fetched, 0) AS fetched,
    coalesce(f.fetched_hours, 0) AS fetched_hours,
    coalesce(f.kept_hours, 0) AS kept_hours,
    coalesce(f.cost, 0) AS cost,
    f.decided_kept_hours / nullif(f.decided_hours, 0) AS yield
FROM keywords k
LEFT JOIN keywords p ON p.keyword_id = k.parent
LEFT JOIN (SELECT keyword_id, sum(items) AS items FROM keyword_budgets GROUP BY keyword_id) b
    ON b.keyword_id = k.keyword_id
LEFT JOIN (
    SELECT
        w.keyword_id,
        count(*) AS candidates,
        count(*) FILTER (WHERE w.brought) AS brought,
        count(*) FILTER (WHERE y.fetched) AS fetched,
        coalesce(sum(v.duration_s) FILTER (WHERE y.fetched), 0) / 3600 AS fetched_hours,
        coalesce(sum(v.duration_s) FILTER (WHERE y.fetched AND y.decided), 0) / 3600 AS decided_hours,
        coalesce(sum(y.kept_s), 0) / 3600 AS kept_hours,
        coalesce(sum(y.kept_s) FILTER (WHERE y.decided), 0) / 3600 AS decided_kept_hours,
        coalesce(sum(y.cost_s), 0) AS cost
    FROM video_keywords w JOIN videos v USING (video_id) LEFT JOIN video_yields y USING (video_id)
    WHERE v.takedown_id IS NULL
    GROUP BY w.keyword_id
) f ON f.keyword_id = k.keyword_id;

-- The ledger of what was taken down, and how far its removal has come.
CREATE VIEW v_takedowns AS
SELECT
    t.takedown_id,
    t.scope,
    t.target,
    t.reason,
    t.requested_by,
    t.requested_at,
    v.videos,
    v.videos_cleared,
    c.clips,
    v.hours,
    o.objects,
    o.objects_removed,
    o.objects_failed,
    r.releases_recalled
FROM takedowns t
CROSS JOIN LATERAL (
    SELECT count(*) AS videos, count(cleared_at) AS videos_cleared, coalesce(sum(duration_s), 0) / 3600 AS hours
    FROM videos WHERE videos.takedown_id = t.takedown_id
) v
CROSS JOIN LATERAL (
    SELECT count(*) AS clips FROM clips JOIN videos USING (video_id)
    WHERE videos.takedown_id = t.takedown_id AND clips.retired_at IS NULL
) c
CROSS JOIN LATERAL (
    SELECT count(*) AS objects, count(removed_at) AS objects_removed,
           count(*) FILTER (WHERE removed_at IS NULL AND error IS NOT NULL) AS objects_failed
    FROM object_removals WHERE object_removals.takedown_id = t.takedown_id
) o
CROSS JOIN LATERAL (
    SELECT count(*) AS releases_recalled FROM release_recalls WHERE release_recalls.takedown_id = t.takedown_id
) r;
