-- The catalog, whole. sql/migrations/ leads to the same place step by step; tests/catalog proves it.
-- Tables are ours to change; the views in views.sql are the contract.

CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE sources (
    source      text PRIMARY KEY,
    kind        text NOT NULL,
    uri         text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sources IS 'Where video comes from: one row a YAML file in dags/sources.';

CREATE TABLE reasons (
    reason      text PRIMARY KEY,
    outcome     text NOT NULL CHECK (outcome IN ('rejected', 'failed')),
    description text NOT NULL
);
COMMENT ON TABLE reasons IS 'Every reason code. The same list as humannet_ops.domain.outcome.Reason.';

CREATE TABLE stages (
    stage       text PRIMARY KEY,
    ordinal     int NOT NULL UNIQUE,
    subject     text NOT NULL CHECK (subject IN ('video', 'clip')),
    queue       text NOT NULL,
    needs       text[] NOT NULL,
    version     text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stages IS 'The stages and the version of each that counts now.';

CREATE TABLE model_releases (
    model_release text PRIMARY KEY,
    role          text NOT NULL,
    sha256        text NOT NULL,
    license       text NOT NULL,
    origin        text NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model_releases IS 'Every model that made a value, as name@revision.';

CREATE TABLE videos (
    video_id      text PRIMARY KEY,
    source        text NOT NULL REFERENCES sources,
    origin_uri    text NOT NULL,
    version       int NOT NULL CHECK (version > 0),
    signature     text NOT NULL,
    title         text,
    license       text,
    partition_key text NOT NULL,
    discovered_at timestamptz NOT NULL DEFAULT now(),
    sha256        text,
    bytes         bigint,
    container     text,
    codec         text,
    duration_s    double precision,
    width         int,
    height        int,
    fps           double precision,
    has_audio     boolean,
    probe         jsonb,
    UNIQUE (source, origin_uri, version)
);
COMMENT ON TABLE videos IS 'One row for each content seen under each origin. Changed content under an old name is a new version.';
COMMENT ON COLUMN videos.signature IS 'What the source tells about the content without reading it; equal means unchanged.';
COMMENT ON COLUMN videos.partition_key IS 'The crawl day (YYYY-MM-DD) that discovered it.';
CREATE INDEX videos_partition_key ON videos (partition_key, video_id);
CREATE INDEX videos_sha256 ON videos (sha256);

CREATE TABLE clips (
    clip_id         text PRIMARY KEY,
    video_id        text NOT NULL REFERENCES videos,
    shot            int NOT NULL,
    start_frame     int NOT NULL,
    end_frame       int NOT NULL,
    start_s         double precision NOT NULL,
    end_s           double precision NOT NULL,
    analyse_version text NOT NULL,
    retired_at      timestamptz,
    CHECK (end_frame > start_frame AND end_s >= start_s)
);
COMMENT ON TABLE clips IS 'Parts of shots, end exclusive. A clip that a newer analysis no longer proposes is retired, not deleted.';
CREATE INDEX clips_video ON clips (video_id) WHERE retired_at IS NULL;

CREATE TABLE fingerprints (
    video_id      text NOT NULL REFERENCES videos,
    ordinal       int NOT NULL,
    t_s           double precision NOT NULL,
    bits          bit(64) NOT NULL,
    mirrored_bits bit(64) NOT NULL,
    searchable    boolean NOT NULL,
    PRIMARY KEY (video_id, ordinal)
);
COMMENT ON COLUMN fingerprints.searchable IS 'Differs from the last searchable one before it. A still picture is indexed once, not twice a second.';
CREATE INDEX fingerprints_bits ON fingerprints USING hnsw (bits bit_hamming_ops) WHERE searchable;

CREATE TABLE shards (
    shard_id      text PRIMARY KEY,
    stage         text NOT NULL REFERENCES stages,
    stage_version text NOT NULL,
    partition_key text NOT NULL,
    label         text NOT NULL,
    dag_id        text,
    run_id        text,
    planned_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE shards IS 'A batch of subjects, fixed when planned: what one mapped Airflow task works on.';

CREATE TABLE shard_subjects (
    shard_id   text NOT NULL REFERENCES shards ON DELETE CASCADE,
    ordinal    int NOT NULL,
    subject_id text NOT NULL,
    PRIMARY KEY (shard_id, ordinal)
);

CREATE TABLE stage_runs (
    stage_run_id  text PRIMARY KEY,
    shard_id      text NOT NULL REFERENCES shards,
    stage         text NOT NULL REFERENCES stages,
    stage_version text NOT NULL,
    dag_id        text,
    run_id        text,
    task_id       text,
    map_index     int,
    try_number    int,
    worker        text NOT NULL,
    queue         text,
    code_revision text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    status        text NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'succeeded', 'failed')),
    error         text
);
COMMENT ON TABLE stage_runs IS 'One execution of one stage over one shard: who, where, when, by which code.';
CREATE INDEX stage_runs_task ON stage_runs (dag_id, run_id, task_id, map_index);

CREATE TABLE attempts (
    stage         text NOT NULL REFERENCES stages,
    stage_version text NOT NULL,
    subject_id    text NOT NULL,
    attempts      int NOT NULL DEFAULT 1,
    last_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stage, subject_id, stage_version)
);
COMMENT ON TABLE attempts IS 'Counted before the work begins, so that a subject that kills its worker is known and quarantined.';

CREATE TABLE outcomes (
    stage          text NOT NULL REFERENCES stages,
    stage_version  text NOT NULL,
    subject_id     text NOT NULL,
    video_id       text NOT NULL REFERENCES videos,
    outcome        text NOT NULL CHECK (outcome IN ('kept', 'rejected', 'failed')),
    reason         text REFERENCES reasons,
    retryable      boolean NOT NULL DEFAULT false,
    scores         jsonb NOT NULL DEFAULT '{}',
    detail         jsonb NOT NULL DEFAULT '{}',
    policy_version text,
    model_releases text[] NOT NULL DEFAULT '{}',
    stage_run_id   text NOT NULL REFERENCES stage_runs,
    started_at     timestamptz NOT NULL,
    seconds        double precision NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stage, subject_id, stage_version),
    CHECK ((outcome = 'kept') = (reason IS NULL))
) PARTITION BY LIST (stage);
COMMENT ON TABLE outcomes IS 'Exactly one row for each subject, stage and stage version. What is due is what has none.';
CREATE INDEX outcomes_video ON outcomes (video_id);
CREATE TABLE outcomes_fetch PARTITION OF outcomes FOR VALUES IN ('fetch');
CREATE TABLE outcomes_deduplicate_exact PARTITION OF outcomes FOR VALUES IN ('deduplicate_exact');
CREATE TABLE outcomes_analyse PARTITION OF outcomes FOR VALUES IN ('analyse');
CREATE TABLE outcomes_deduplicate_near PARTITION OF outcomes FOR VALUES IN ('deduplicate_near');
CREATE TABLE outcomes_detect PARTITION OF outcomes FOR VALUES IN ('detect');
CREATE TABLE outcomes_decide PARTITION OF outcomes FOR VALUES IN ('decide');
CREATE TABLE outcomes_cut PARTITION OF outcomes FOR VALUES IN ('cut');
CREATE TABLE outcomes_annotate PARTITION OF outcomes FOR VALUES IN ('annotate');
CREATE TABLE outcomes_other PARTITION OF outcomes DEFAULT;

CREATE TABLE artifacts (
    uri        text PRIMARY KEY,
    sha256     text NOT NULL,
    kind       text NOT NULL,
    bytes      bigint NOT NULL,
    media_type text NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE artifacts IS 'Objects in the store, named by their content. A row is written after its object.';
CREATE INDEX artifacts_sha256 ON artifacts (sha256);

CREATE TABLE outcome_artifacts (
    stage         text NOT NULL,
    subject_id    text NOT NULL,
    stage_version text NOT NULL,
    kind          text NOT NULL,
    uri           text NOT NULL REFERENCES artifacts,
    PRIMARY KEY (stage, subject_id, stage_version, kind),
    FOREIGN KEY (stage, subject_id, stage_version) REFERENCES outcomes
);
CREATE INDEX outcome_artifacts_uri ON outcome_artifacts (uri);

CREATE TABLE annotations (
    clip_id       text NOT NULL REFERENCES clips,
    kind          text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    model_release text NOT NULL,
    value         jsonb NOT NULL,
    uri           text REFERENCES artifacts,
    PRIMARY KEY (clip_id, kind, stage_version, model_release),
    FOREIGN KEY (stage, clip_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);

CREATE TABLE task_failures (
    failure_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id      text NOT NULL,
    run_id      text NOT NULL,
    task_id     text NOT NULL,
    map_index   int NOT NULL,
    try_number  int NOT NULL,
    error       text NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE task_failures IS 'Airflow tasks that failed, as their callbacks told it.';
-- The SQL contract, version 1. Columns are only ever added; see sql/README.md.

-- Outcomes at the stage versions that count now.
CREATE VIEW current_outcomes AS
SELECT o.*, s.ordinal, s.subject
FROM outcomes o
JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version;

-- The first thing that ended a video before it had clips to judge.
CREATE VIEW video_verdicts AS
SELECT DISTINCT ON (subject_id) subject_id AS video_id, outcome, reason
FROM current_outcomes
WHERE subject = 'video' AND outcome <> 'kept'
ORDER BY subject_id, ordinal;

CREATE VIEW v_clips AS
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
WHERE c.retired_at IS NULL;

CREATE VIEW v_videos AS
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
) main ON verdict.outcome IS NULL;

CREATE VIEW v_lineage AS
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
JOIN outcomes o ON o.video_id = c.video_id AND o.subject_id IN (c.clip_id, c.video_id)
JOIN stages s ON s.stage = o.stage
JOIN stage_runs r USING (stage_run_id)
LEFT JOIN outcome_artifacts a
    ON a.stage = o.stage AND a.subject_id = o.subject_id AND a.stage_version = o.stage_version
LEFT JOIN artifacts f ON f.uri = a.uri;

CREATE VIEW v_funnel AS
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
WHERE c.retired_at IS NULL
GROUP BY o.ordinal, o.stage, o.outcome, o.reason
ORDER BY o.ordinal, o.outcome, o.reason;

CREATE VIEW v_annotations AS
SELECT a.clip_id, a.kind, a.model_release, a.value, a.uri AS artifact_uri
FROM annotations a
JOIN clips c ON c.clip_id = a.clip_id AND c.retired_at IS NULL
JOIN stages s ON s.stage = a.stage AND s.version = a.stage_version;
