-- The catalog, whole. sql/migrations/ leads to the same place step by step; tests/catalog proves it.
-- Tables are ours to change; the views in views.sql are the contract. Roles come before (roles.sql), what each may after
-- (grants.sql).

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
    outcome     text NOT NULL CHECK (outcome IN ('rejected', 'failed', 'skipped')),
    description text NOT NULL
);
COMMENT ON TABLE reasons IS 'Every reason code. The same list as humannet_ops.domain.outcome.Reason.';

CREATE TABLE stages (
    stage       text PRIMARY KEY,
    ordinal     int UNIQUE DEFERRABLE INITIALLY DEFERRED,
    subject     text NOT NULL CHECK (subject IN ('video', 'clip')),
    queue       text NOT NULL,
    needs       text[] NOT NULL,
    version     text NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE stages IS 'The stages and the version of each that counts now.';
COMMENT ON COLUMN stages.ordinal IS 'Its place on the way; none for a stage that this code has no more: its outcomes stay, as history.';

CREATE TABLE model_releases (
    model_release text PRIMARY KEY,
    role          text NOT NULL,
    sha256        text NOT NULL,
    license       text NOT NULL,
    origin        text NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model_releases IS 'Every model that made a value, as name@revision.';

CREATE TABLE takedowns (
    takedown_id  text PRIMARY KEY,
    scope        text NOT NULL CHECK (scope IN ('video', 'channel', 'source')),
    target       text NOT NULL,
    reason       text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    sealed_at    timestamptz
);
COMMENT ON COLUMN takedowns.sealed_at IS 'When every tombstone of it was written; its videos were out of every view before.';
COMMENT ON TABLE takedowns IS 'What somebody asked to be removed. It stays, with its tombstones, so that it can be proved and is not crawled again.';

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
    canonical_uri text,
    extractor     text,
    extractor_id  text,
    channel_id    text,
    uploader      text,
    uploaded_on   date,
    terms         text,
    published     jsonb NOT NULL DEFAULT '{}',
    gone_at       timestamptz,
    takedown_id   text REFERENCES takedowns,
    cleared_at    timestamptz,
    UNIQUE (source, origin_uri, version)
);
COMMENT ON TABLE videos IS 'One row for each content seen under each origin. Changed content under an old name is a new version.';
COMMENT ON COLUMN videos.signature IS 'What the source tells about the content without reading it; equal means unchanged.';
COMMENT ON COLUMN videos.partition_key IS 'The crawl day (YYYY-MM-DD) that discovered it.';
CREATE INDEX videos_partition_key ON videos (partition_key, video_id);
CREATE INDEX videos_sha256 ON videos (sha256) WHERE sha256 IS NOT NULL;
COMMENT ON COLUMN videos.canonical_uri IS 'The item''s address without what does not name it (tracking parameters, fragments): equal means the same item.';
COMMENT ON COLUMN videos.channel_id IS 'Who published it: extractor and channel, as in channels.';
COMMENT ON COLUMN videos.published IS 'What the source says about it: description, tags, segments, and so on.';
COMMENT ON COLUMN videos.gone_at IS 'When a complete pass, or a fetch, found that the source offers it no more.';
CREATE INDEX videos_canonical_uri ON videos (canonical_uri) WHERE canonical_uri IS NOT NULL;
CREATE INDEX videos_extractor_id ON videos (extractor, extractor_id) WHERE extractor_id IS NOT NULL;
CREATE INDEX videos_channel_id ON videos (channel_id) WHERE channel_id IS NOT NULL;
COMMENT ON COLUMN videos.takedown_id IS 'The takedown that covers it. From that moment it is in no view, no export and no plan.';
COMMENT ON COLUMN videos.cleared_at IS 'When what described it was deleted and its objects were queued for removal.';
CREATE INDEX videos_takedown ON videos (takedown_id) WHERE takedown_id IS NOT NULL;
CREATE INDEX videos_uncleared ON videos (video_id) WHERE takedown_id IS NOT NULL AND cleared_at IS NULL;

CREATE TABLE crawls (
    source        text NOT NULL REFERENCES sources,
    partition_key text NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz NOT NULL DEFAULT now(),
    dag_id        text,
    run_id        text,
    passes        int NOT NULL DEFAULT 1,
    seen          bigint NOT NULL,
    new           bigint NOT NULL,
    changed       bigint NOT NULL,
    known         bigint NOT NULL,
    aliases       bigint NOT NULL,
    gone          bigint NOT NULL,
    watermark     text,
    barred        bigint NOT NULL DEFAULT 0,
    offered       bigint NOT NULL DEFAULT 0,
    faults        bigint NOT NULL DEFAULT 0,
    unchanged     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (source, partition_key)
);
COMMENT ON TABLE crawls IS 'The last pass of a source for each crawl day, written in one transaction with what it found.';
COMMENT ON COLUMN crawls.watermark IS 'The upload day through which this pass looked. A source''s watermark is the greatest of them, so a backfill cannot move it back.';
COMMENT ON COLUMN crawls.barred IS 'Entries that a takedown covers: they are not recorded.';
COMMENT ON COLUMN crawls.offered IS 'Items that the last pass named: what it saw, without repetitions and other addresses of the same.';
COMMENT ON COLUMN crawls.faults IS 'Rows of its listing that could not be read as they should; the first are in listing_faults.';
COMMENT ON COLUMN crawls.unchanged IS 'The source offers exactly what it did at the pass before, so nothing was listed again.';

CREATE TABLE listing_faults (
    source        text NOT NULL REFERENCES sources,
    line          bigint NOT NULL,
    reason        text NOT NULL,
    partition_key text NOT NULL,
    noticed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, line)
);
COMMENT ON TABLE listing_faults IS 'What is wrong with rows of a source''s listing, as of the last pass that read it: at most a thousand.';

CREATE TABLE crawl_memory (
    source     text NOT NULL REFERENCES sources,
    key        text NOT NULL,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, key)
);
COMMENT ON TABLE crawl_memory IS 'What a pass leaves for the next one of its source, such as the ETag of a manifest.';

CREATE TABLE video_aliases (
    source        text NOT NULL REFERENCES sources,
    origin_uri    text NOT NULL,
    video_id      text NOT NULL REFERENCES videos,
    partition_key text NOT NULL,
    noticed_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, origin_uri)
);
COMMENT ON TABLE video_aliases IS 'Other addresses under which a known video was offered: it is not fetched again.';
CREATE INDEX video_aliases_video ON video_aliases (video_id);

CREATE TABLE keywords (
    keyword_id  text PRIMARY KEY,
    source      text NOT NULL REFERENCES sources,
    phrase      text NOT NULL,
    normalised  text NOT NULL,
    parent      text REFERENCES keywords,
    proposed_by text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'retired')),
    reason      text,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (source, normalised),
    CHECK ((status = 'active') = (reason IS NULL))
);
COMMENT ON TABLE keywords IS 'What a source searches for: its seeds, what a person added, and what was proposed from what these brought.';
COMMENT ON COLUMN keywords.normalised IS 'The phrase without what does not change a search: case, spacing, punctuation around it.';
COMMENT ON COLUMN keywords.parent IS 'The keyword that it was proposed from.';
COMMENT ON COLUMN keywords.proposed_by IS 'seed, a strategy of expansion (with its model), or a person.';

CREATE TABLE keyword_budgets (
    keyword_id    text NOT NULL REFERENCES keywords,
    partition_key text NOT NULL,
    items         int NOT NULL CHECK (items > 0),
    PRIMARY KEY (keyword_id, partition_key)
);
COMMENT ON TABLE keyword_budgets IS 'How many items a crawl day may take from each keyword. Fixed by the day''s first crawl, so that another one of the same day repeats it.';

CREATE TABLE video_keywords (
    video_id      text NOT NULL REFERENCES videos,
    keyword_id    text NOT NULL REFERENCES keywords,
    partition_key text NOT NULL,
    brought       boolean NOT NULL,
    PRIMARY KEY (video_id, keyword_id)
);
COMMENT ON TABLE video_keywords IS 'Which keywords found a video, and on which crawl day first.';
COMMENT ON COLUMN video_keywords.brought IS 'It was this keyword that made the video known; true for at most one.';
CREATE INDEX video_keywords_keyword ON video_keywords (keyword_id);

CREATE TABLE upstream_changes (
    change_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id      text NOT NULL REFERENCES videos,
    field         text NOT NULL,
    before        text,
    after         text,
    partition_key text,
    noticed_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE upstream_changes IS 'What a source changed about an item after we knew it: its title, its licence, its content, that it is there.';
CREATE INDEX upstream_changes_video ON upstream_changes (video_id);

CREATE TABLE postponements (
    stage       text NOT NULL REFERENCES stages,
    subject_id  text NOT NULL,
    until       timestamptz NOT NULL,
    cause       text NOT NULL,
    message     text NOT NULL,
    times       int NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stage, subject_id)
);
COMMENT ON TABLE postponements IS 'Work that is due but must wait: for a host, a budget, quiet hours, disk space. It is no failure.';

CREATE TABLE channels (
    channel_id text PRIMARY KEY,
    title      text,
    status     text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'pinned', 'banned')),
    reason     text,
    decided_by text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE channels IS 'Who publishes. Paused by its yield, pinned or banned by a person; what is paused or banned is not fetched.';

CREATE TABLE approvals (
    video_id    text PRIMARY KEY REFERENCES videos,
    approved_by text NOT NULL,
    note        text,
    approved_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE approvals IS 'Videos that a person let pass although the licence policy asks for review.';

CREATE TABLE tombstones (
    kind        text NOT NULL CHECK (kind IN ('origin', 'item', 'sha256', 'channel', 'source')),
    value       text NOT NULL,
    takedown_id text NOT NULL REFERENCES takedowns,
    PRIMARY KEY (kind, value)
);
COMMENT ON TABLE tombstones IS 'What is never fetched again: addresses, items (<extractor>:<id>), contents, channels, sources.';
CREATE INDEX tombstones_takedown ON tombstones (takedown_id);

CREATE TABLE hosts (
    host           text PRIMARY KEY,
    next_at        timestamptz,
    closed_until   timestamptz,
    closed_because text,
    failures       int NOT NULL DEFAULT 0,
    robots         text,
    robots_at      timestamptz
);
COMMENT ON TABLE hosts IS 'What all workers know about a host together: when it may be asked again, and its robots.txt.';
COMMENT ON COLUMN hosts.next_at IS 'When the next item of the host may be begun.';
COMMENT ON COLUMN hosts.closed_until IS 'Nobody asks the host before: it said so (Retry-After), or failed again and again.';
COMMENT ON COLUMN hosts.failures IS 'How often in a row it did not answer as it should.';

CREATE TABLE visits (
    visit_id   text PRIMARY KEY,
    source     text NOT NULL,
    worker     text NOT NULL,
    day        date NOT NULL,
    items      int NOT NULL DEFAULT 0,
    bytes      bigint NOT NULL DEFAULT 0,
    received   bigint NOT NULL DEFAULT 0,
    volume     text,
    disk_bytes bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE visits IS 'Who uses the network now: one row a listing or download, with what it has reserved. It runs out unless renewed, so a killed worker holds nothing for long.';
COMMENT ON COLUMN visits.items IS 'Items reserved of the day''s budget, with bytes.';
COMMENT ON COLUMN visits.volume IS 'The disk on which disk_bytes are reserved.';
CREATE INDEX visits_source ON visits (source, day);

CREATE TABLE host_leases (
    host     text NOT NULL,
    visit_id text NOT NULL REFERENCES visits ON DELETE CASCADE,
    PRIMARY KEY (host, visit_id)
);
COMMENT ON TABLE host_leases IS 'Which visits are at which hosts: their number is the concurrency that all workers share.';
CREATE INDEX host_leases_visit ON host_leases (visit_id);

CREATE TABLE source_days (
    source text NOT NULL,
    day    date NOT NULL,
    items  int NOT NULL DEFAULT 0,
    bytes  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (source, day)
);
COMMENT ON TABLE source_days IS 'What a source has fetched on a day (UTC): what counts against its daily budget.';

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
CREATE INDEX clips_video ON clips (video_id);

CREATE TABLE fingerprints (
    video_id      text NOT NULL REFERENCES videos,
    ordinal       int NOT NULL,
    t_s           double precision NOT NULL,
    bits          bit(64) NOT NULL,
    mirrored_bits bit(64) NOT NULL,
    searchable    boolean NOT NULL,
    turned_8      bigint GENERATED ALWAYS AS (((bits << 8) | (bits >> 56))::bigint) STORED,
    turned_24     bigint GENERATED ALWAYS AS (((bits << 24) | (bits >> 40))::bigint) STORED,
    turned_40     bigint GENERATED ALWAYS AS (((bits << 40) | (bits >> 24))::bigint) STORED,
    turned_56     bigint GENERATED ALWAYS AS (((bits << 56) | (bits >> 8))::bigint) STORED,
    PRIMARY KEY (video_id, ordinal)
);
COMMENT ON COLUMN fingerprints.searchable IS 'Differs from the last searchable one before it. A still picture is indexed once, not twice a second.';
COMMENT ON COLUMN fingerprints.turned_8 IS 'The hash turned left by 8 bits, as a number; so are the others. From 8 on, the lowest frequencies, which depend on each other, are in two of the four.';
-- Sorted, hashes that begin with the same bits lie together, so each turn of a hash is found by as many of its first bits
-- as the size of the corpus asks for, from the index alone: infra/decisions/0023.
CREATE INDEX fingerprints_turned_8 ON fingerprints (turned_8) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_24 ON fingerprints (turned_24) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_40 ON fingerprints (turned_40) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_56 ON fingerprints (turned_56) INCLUDE (video_id) WHERE searchable;

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
CREATE INDEX shards_planned ON shards (planned_at);

CREATE TABLE turns (
    dag_id        text NOT NULL,
    partition_key text NOT NULL,
    run_id        text NOT NULL,
    next_run_id   text,
    since         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (dag_id, partition_key)
);
COMMENT ON TABLE turns IS 'Which Airflow run of a DAG may plan a crawl day. The next takes it over when Airflow says that this one runs no more; more than one need not wait.';

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
CREATE INDEX stage_runs_started ON stage_runs (started_at);
CREATE INDEX stage_runs_running ON stage_runs (started_at) WHERE status = 'running';
CREATE INDEX stage_runs_shard ON stage_runs (shard_id);

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
    outcome        text NOT NULL CHECK (outcome IN ('kept', 'rejected', 'failed', 'skipped')),
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
CREATE TABLE outcomes_find_copies PARTITION OF outcomes FOR VALUES IN ('find_copies');
CREATE TABLE outcomes_deduplicate_near PARTITION OF outcomes FOR VALUES IN ('deduplicate_near');
CREATE TABLE outcomes_detect PARTITION OF outcomes FOR VALUES IN ('detect');
CREATE TABLE outcomes_decide PARTITION OF outcomes FOR VALUES IN ('decide');
CREATE TABLE outcomes_cut PARTITION OF outcomes FOR VALUES IN ('cut');
CREATE TABLE outcomes_track_people PARTITION OF outcomes FOR VALUES IN ('track_people');
CREATE TABLE outcomes_pose_body PARTITION OF outcomes FOR VALUES IN ('pose_body');
CREATE TABLE outcomes_pose_hands PARTITION OF outcomes FOR VALUES IN ('pose_hands');
CREATE TABLE outcomes_camera_trajectory PARTITION OF outcomes FOR VALUES IN ('camera_trajectory');
CREATE TABLE outcomes_retarget PARTITION OF outcomes FOR VALUES IN ('retarget');
CREATE TABLE outcomes_describe_motion PARTITION OF outcomes FOR VALUES IN ('describe_motion');
CREATE TABLE outcomes_caption PARTITION OF outcomes FOR VALUES IN ('caption');
CREATE TABLE outcomes_screen_content PARTITION OF outcomes FOR VALUES IN ('screen_content');
CREATE TABLE outcomes_embed PARTITION OF outcomes FOR VALUES IN ('embed');
CREATE TABLE outcomes_label_activity PARTITION OF outcomes FOR VALUES IN ('label_activity');
CREATE TABLE outcomes_label_scene PARTITION OF outcomes FOR VALUES IN ('label_scene');
CREATE TABLE outcomes_label_interactions PARTITION OF outcomes FOR VALUES IN ('label_interactions');
CREATE TABLE outcomes_redact PARTITION OF outcomes FOR VALUES IN ('redact');
CREATE TABLE outcomes_other PARTITION OF outcomes DEFAULT;
CREATE INDEX outcomes_recorded ON outcomes USING brin (recorded_at) WITH (pages_per_range = 32);

CREATE TABLE copies (
    video_id      text NOT NULL REFERENCES videos,
    other_id      text NOT NULL REFERENCES videos,
    similarity    double precision NOT NULL,
    overlap_s     double precision NOT NULL,
    mirrored      boolean NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    PRIMARY KEY (video_id, other_id, stage, stage_version),
    FOREIGN KEY (stage, video_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);
COMMENT ON TABLE copies IS 'Two videos of which one is an edited copy of the other, written by whichever was looked up and met it; by both where both did.';
COMMENT ON COLUMN copies.similarity IS '1 for equal pictures, 0 for what unrelated ones have.';
CREATE INDEX copies_other ON copies (other_id);

-- The funnel is counted as outcomes are recorded. Who changes a video's outcomes only leaves a mark, which nobody waits for;
-- folding (catalog/counting.py) counts marked videos anew and moves the totals by the difference. What is not folded yet is
-- counted when it is asked for, so the funnel is exact at every moment.
CREATE TABLE tally_marks (
    mark_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    video_id text NOT NULL
);
COMMENT ON TABLE tally_marks IS 'Videos whose outcomes changed since they were counted.';

CREATE TABLE video_tallies (
    video_id      text NOT NULL,
    source        text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    outcome       text NOT NULL,
    reason        text NOT NULL,
    clips         bigint NOT NULL,
    microseconds  bigint NOT NULL,
    PRIMARY KEY (video_id, stage, stage_version, outcome, reason)
);
COMMENT ON TABLE video_tallies IS 'What each video adds to funnel_totals.';
COMMENT ON COLUMN video_tallies.reason IS 'Empty where there is none.';
COMMENT ON COLUMN video_tallies.microseconds IS 'Of video. A whole number: sums of it do not depend on their order.';

CREATE TABLE funnel_totals (
    source        text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    outcome       text NOT NULL,
    reason        text NOT NULL,
    videos        bigint NOT NULL,
    clips         bigint NOT NULL,
    microseconds  bigint NOT NULL,
    PRIMARY KEY (source, stage, stage_version, outcome, reason)
);
COMMENT ON TABLE funnel_totals IS 'The sums of video_tallies.';

CREATE TABLE yields (
    video_id text PRIMARY KEY,
    fetched  boolean NOT NULL,
    decided  boolean NOT NULL,
    kept_s   double precision NOT NULL,
    cost_s   double precision NOT NULL
);
COMMENT ON TABLE yields IS 'What became of each video, as of when fold_tallies counted it last: the view video_yields adds what changed since. A version that is raised changes nothing here before the video is looked at again.';

-- A crawl day is settled when nothing of it is on its way; until something of it changes, nobody looks again.
CREATE TABLE settled_days (
    partition_key text PRIMARY KEY,
    versions      text NOT NULL,
    settled_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN settled_days.versions IS 'Of the stages for which this holds, as one digest.';

CREATE TABLE day_marks (
    mark_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition_key text NOT NULL
);
COMMENT ON TABLE day_marks IS 'Crawl days of which something changed since they were looked at.';
CREATE INDEX day_marks_partition_key ON day_marks (partition_key);

CREATE FUNCTION count_outcomes(videos text[])
RETURNS TABLE (video_id text, source text, stage text, stage_version text, outcome text, reason text, clips bigint,
               microseconds bigint)
LANGUAGE sql STABLE AS $$
    SELECT o.video_id, v.source, o.stage, o.stage_version, o.outcome, coalesce(o.reason, ''), count(c.clip_id),
           sum(round(coalesce(c.end_s - c.start_s, v.duration_s, 0) * 1e6)::bigint)::bigint
    FROM outcomes o
    JOIN videos v USING (video_id)
    LEFT JOIN clips c ON c.clip_id = o.subject_id
    WHERE o.video_id = ANY (videos) AND v.takedown_id IS NULL AND c.retired_at IS NULL
    GROUP BY o.video_id, v.source, o.stage, o.stage_version, o.outcome, o.reason
$$;

-- What becomes of videos, which sources, channels and keywords are judged by: the same that v_videos and v_clips say.
CREATE FUNCTION count_yields(videos text[])
RETURNS TABLE (video_id text, fetched boolean, decided boolean, kept_s double precision, cost_s double precision)
LANGUAGE sql STABLE AS $$
    -- grouped twice and not joined: the planner does not know how many videos it is asked for
    WITH total AS (
        SELECT count(*) FILTER (WHERE subject = 'video') AS video_stages,
               count(*) FILTER (WHERE subject = 'clip') AS clip_stages
        FROM stages WHERE ordinal IS NOT NULL
    ), subjects AS (
        SELECT video_id, subject_id, subject_id = video_id AS is_video, sum(stages) AS stages, bool_or(ended) AS ended,
               bool_or(fetched) AS fetched, sum(cost_s) AS cost_s, max(length_s) AS length_s
        FROM (
            SELECT o.video_id, o.subject_id, 1 AS stages, o.outcome NOT IN ('kept', 'skipped') AS ended,
                   o.stage = 'fetch' AND o.outcome = 'kept' AS fetched, o.seconds AS cost_s, NULL::float8 AS length_s
            FROM outcomes o JOIN stages s ON s.stage = o.stage AND s.version = o.stage_version
            WHERE o.video_id = ANY (videos)
            UNION ALL
            SELECT c.video_id, c.clip_id, 0, false, false, 0, c.end_s - c.start_s
            FROM clips c WHERE c.video_id = ANY (videos) AND c.retired_at IS NULL
        ) told
        GROUP BY video_id, subject_id
    ), found AS (
        SELECT x.video_id, bool_or(x.fetched) AS fetched, bool_or(x.ended) FILTER (WHERE x.is_video) AS ended,
               max(x.stages) FILTER (WHERE x.is_video) AS stages,
               bool_and(x.ended OR x.stages = t.clip_stages) FILTER (WHERE x.length_s IS NOT NULL) AS clips_decided,
               sum(x.length_s) FILTER (WHERE NOT x.ended AND x.stages = t.clip_stages) AS kept_s,
               sum(x.cost_s) FILTER (WHERE x.is_video OR x.length_s IS NOT NULL) AS cost_s
        FROM subjects x CROSS JOIN total t
        GROUP BY x.video_id
    )
    SELECT f.video_id, f.fetched, f.ended OR (f.stages = t.video_stages AND f.clips_decided IS TRUE),
           CASE WHEN f.ended OR f.stages < t.video_stages THEN 0 ELSE coalesce(f.kept_s, 0) END, f.cost_s
    FROM found f CROSS JOIN total t
    JOIN videos v ON v.video_id = f.video_id AND v.takedown_id IS NULL
    WHERE f.stages IS NOT NULL
$$;

-- Folds up to ``most`` marks, unless somebody else is folding: they or the next do it then. Returns how many it took.
CREATE FUNCTION fold_tallies(most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    marked text[];
    taken bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('fold_tallies')) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM tally_marks WHERE mark_id IN (SELECT mark_id FROM tally_marks ORDER BY mark_id LIMIT most)
        RETURNING video_id
    )
    SELECT array_agg(DISTINCT video_id), count(*) INTO marked, taken FROM gone;
    -- a statement of its own: it sees at least what the marks were left for
    WITH changed AS MATERIALIZED (
        SELECT video_id, stage, stage_version, outcome, reason, coalesce(f.source, b.source) AS source,
               coalesce(f.clips, 0) AS clips, coalesce(f.microseconds, 0) AS microseconds,
               f.source IS NULL AS vanished,
               (f.source IS NOT NULL)::int - (b.source IS NOT NULL)::int AS more_videos,
               coalesce(f.clips, 0) - coalesce(b.clips, 0) AS more_clips,
               coalesce(f.microseconds, 0) - coalesce(b.microseconds, 0) AS more_microseconds
        FROM count_outcomes(marked) f
        FULL JOIN (SELECT * FROM video_tallies WHERE video_id = ANY (marked)) b
            USING (video_id, stage, stage_version, outcome, reason)
        WHERE (f.clips, f.microseconds) IS DISTINCT FROM (b.clips, b.microseconds)
    ), vanished AS (
        DELETE FROM video_tallies t USING changed c
        WHERE c.vanished AND (t.video_id, t.stage, t.stage_version, t.outcome, t.reason)
            = (c.video_id, c.stage, c.stage_version, c.outcome, c.reason)
    ), counted AS (
        INSERT INTO video_tallies (video_id, source, stage, stage_version, outcome, reason, clips, microseconds)
        SELECT video_id, source, stage, stage_version, outcome, reason, clips, microseconds
        FROM changed WHERE NOT vanished
        ON CONFLICT (video_id, stage, stage_version, outcome, reason)
        DO UPDATE SET clips = excluded.clips, microseconds = excluded.microseconds
    )
    INSERT INTO funnel_totals AS t (source, stage, stage_version, outcome, reason, videos, clips, microseconds)
    SELECT source, stage, stage_version, outcome, reason, sum(more_videos), sum(more_clips), sum(more_microseconds)
    FROM changed GROUP BY source, stage, stage_version, outcome, reason
    ON CONFLICT (source, stage, stage_version, outcome, reason)
    DO UPDATE SET videos = t.videos + excluded.videos, clips = t.clips + excluded.clips,
                  microseconds = t.microseconds + excluded.microseconds;
    WITH counted AS MATERIALIZED (
        SELECT * FROM count_yields(marked)
    ), vanished AS (
        DELETE FROM yields y WHERE y.video_id = ANY (marked) AND NOT EXISTS (SELECT FROM counted c WHERE c.video_id = y.video_id)
    )
    INSERT INTO yields AS y (video_id, fetched, decided, kept_s, cost_s) SELECT * FROM counted
    ON CONFLICT (video_id) DO UPDATE
    SET fetched = excluded.fetched, decided = excluded.decided, kept_s = excluded.kept_s, cost_s = excluded.cost_s
    WHERE (y.fetched, y.decided, y.kept_s, y.cost_s)
        IS DISTINCT FROM (excluded.fetched, excluded.decided, excluded.kept_s, excluded.cost_s);
    RETURN taken;
END $$;

CREATE FUNCTION mark_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id) SELECT DISTINCT video_id FROM changed;
    INSERT INTO day_marks (partition_key) SELECT DISTINCT v.partition_key FROM changed JOIN videos v USING (video_id);
    RETURN NULL;
END $$;
CREATE TRIGGER outcomes_inserted AFTER INSERT ON outcomes
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();
CREATE TRIGGER outcomes_updated AFTER UPDATE ON outcomes
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();
CREATE TRIGGER outcomes_deleted AFTER DELETE ON outcomes
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();

CREATE FUNCTION mark_clips() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id)
    SELECT DISTINCT n.video_id FROM before b JOIN changed n USING (clip_id)
    WHERE (n.start_s, n.end_s, n.retired_at) IS DISTINCT FROM (b.start_s, b.end_s, b.retired_at);
    INSERT INTO day_marks (partition_key)
    SELECT DISTINCT v.partition_key FROM before b JOIN changed n USING (clip_id) JOIN videos v ON v.video_id = n.video_id
    WHERE n.retired_at IS DISTINCT FROM b.retired_at;
    RETURN NULL;
END $$;
CREATE TRIGGER clips_updated AFTER UPDATE ON clips
    REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_clips();

CREATE FUNCTION mark_videos() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tally_marks (video_id)
    SELECT n.video_id FROM before b JOIN changed n USING (video_id)
    WHERE (n.duration_s, n.takedown_id) IS DISTINCT FROM (b.duration_s, b.takedown_id);
    INSERT INTO day_marks (partition_key)
    SELECT DISTINCT n.partition_key FROM before b JOIN changed n USING (video_id)
    WHERE n.takedown_id IS DISTINCT FROM b.takedown_id;
    RETURN NULL;
END $$;
CREATE TRIGGER videos_updated AFTER UPDATE ON videos
    REFERENCING OLD TABLE AS before NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_videos();

CREATE FUNCTION mark_days() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO day_marks (partition_key) SELECT DISTINCT partition_key FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER videos_inserted AFTER INSERT ON videos
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_days();

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
CREATE INDEX annotations_uri ON annotations (uri) WHERE uri IS NOT NULL;

CREATE TABLE taxonomy_nodes (
    facet      text NOT NULL,
    path       text NOT NULL,
    level      int NOT NULL,
    name       text NOT NULL,
    definition text NOT NULL,
    version    text NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (facet, path)
);
COMMENT ON TABLE taxonomy_nodes IS 'What clips may be labelled with: humannet_ops/domain/taxonomy.yaml. A node that it has no more is retired, not deleted.';
COMMENT ON COLUMN taxonomy_nodes.version IS 'The newest taxonomy that has the node.';

CREATE TABLE labels (
    clip_id       text NOT NULL REFERENCES clips,
    facet         text NOT NULL,
    path          text NOT NULL,
    origin        text NOT NULL CHECK (origin IN ('endpoint', 'offline', 'inherited', 'pseudo')),
    confidence    double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    model_release text NOT NULL,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    PRIMARY KEY (clip_id, facet, path, origin, stage, stage_version),
    FOREIGN KEY (facet, path) REFERENCES taxonomy_nodes,
    FOREIGN KEY (stage, clip_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);
COMMENT ON TABLE labels IS 'What a clip is labelled with. A path that is not in the taxonomy is refused.';
COMMENT ON COLUMN labels.origin IS 'Who says it: a vision endpoint, the offline models, the data set that the clip comes from, or a rule on signals.';
CREATE INDEX labels_path ON labels (facet, path);

CREATE TABLE embeddings (
    clip_id       text NOT NULL REFERENCES clips,
    stage         text NOT NULL,
    stage_version text NOT NULL,
    model_release text NOT NULL,
    vector        halfvec STORAGE MAIN NOT NULL,
    PRIMARY KEY (clip_id, stage, stage_version),
    FOREIGN KEY (stage, clip_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);
COMMENT ON TABLE embeddings IS 'What a clip looks like: a vector of length 1. Those of one stage version can be compared.';
COMMENT ON COLUMN embeddings.vector IS 'As long as the model makes it; kept in the row, because who ranks candidates reads hundreds.';
-- Candidates are found by the signs alone: an index of all numbers would be six times as large. A model of another length
-- gets an index of its own like this one; without it, a search reads the table.
CREATE INDEX embeddings_signs ON embeddings USING hnsw ((binary_quantize(vector)::bit(1280)) bit_hamming_ops)
    WHERE vector_dims(vector) = 1280;

CREATE TABLE language_answers (
    request_sha256 text PRIMARY KEY,
    clip_id        text NOT NULL REFERENCES clips,
    prompt         text NOT NULL,
    model          text NOT NULL,
    answer         jsonb NOT NULL,
    answered_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE language_answers IS 'What language models answered: the same question about the same pictures is not paid for twice.';
COMMENT ON COLUMN language_answers.request_sha256 IS 'Of the model, the prompt''s version, the words, the schema and the pictures.';
CREATE INDEX language_answers_clip ON language_answers (clip_id);

CREATE TABLE language_calls (
    call_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clip_id    text NOT NULL REFERENCES clips,
    stage      text NOT NULL,
    prompt     text NOT NULL,
    model      text NOT NULL,
    status     text NOT NULL CHECK (status IN ('answered', 'cached', 'refused', 'malformed', 'failed')),
    tokens_in  bigint NOT NULL,
    tokens_out bigint NOT NULL,
    cost       double precision NOT NULL,
    seconds    double precision NOT NULL,
    called_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE language_calls IS 'Each question to a language model, how it ended, and what it cost by the prices of the settings.';
CREATE INDEX language_calls_clip ON language_calls (clip_id);

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

CREATE TABLE statistics (
    statistics_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begun_at      timestamptz NOT NULL,
    ended_at      timestamptz NOT NULL DEFAULT now(),
    partition_key text,
    dag_id        text,
    run_id        text,
    code_revision text NOT NULL,
    numbers       jsonb NOT NULL
);
COMMENT ON TABLE statistics IS 'What the whole corpus counted each time it was compiled; numbers alone, no clip and no title.';
COMMENT ON COLUMN statistics.begun_at IS 'What was recorded before is in the numbers.';
COMMENT ON COLUMN statistics.partition_key IS 'The crawl day after which it was compiled.';
CREATE INDEX statistics_begun ON statistics (begun_at);

CREATE TABLE review_causes (
    clip_id       text NOT NULL REFERENCES clips,
    cause         text NOT NULL,
    score         double precision NOT NULL,
    note          text NOT NULL DEFAULT '',
    stage         text NOT NULL,
    stage_version text NOT NULL,
    PRIMARY KEY (clip_id, cause, stage, stage_version),
    FOREIGN KEY (stage, clip_id, stage_version) REFERENCES outcomes (stage, subject_id, stage_version)
);
COMMENT ON TABLE review_causes IS 'Why a person must look at a clip. Sensitive (a clip may show a child): not for the role reader.';
COMMENT ON COLUMN review_causes.score IS 'The measure that reached its limit (humannet_ops/domain/screening.yaml); 1 where there is none.';

CREATE TABLE reviews (
    review_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clip_id    text NOT NULL REFERENCES clips,
    decision   text NOT NULL CHECK (decision IN ('passed', 'withheld', 'reopened')),
    causes     text[] NOT NULL,
    decided_by text NOT NULL,
    note       text,
    decided_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE reviews IS 'What people decided about clips; the latest counts. Not for the role reader.';
COMMENT ON COLUMN reviews.causes IS 'What the person was shown: a clip that passed waits again when another cause is found.';
CREATE INDEX reviews_clip ON reviews (clip_id, review_id DESC);

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
