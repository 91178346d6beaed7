-- What each role may: what the queries of its work touch, and no more. The owner (who runs migrations) may everything.
-- crawler: discover, fetch, plan, clear and remove what was taken down. worker: every other stage. reviewer: what people
-- decide. reader: questions. A later migration grants what its tables need beside the reading that is granted here for
-- all tables to come. Identity columns need no privilege on their sequences.

-- Reading.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader, reviewer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader, reviewer;
-- why a person must look at a clip, and what people decided: v_review_queue shows readers the rest
REVOKE SELECT ON review_causes, reviews, review_states, clip_reviews FROM reader;
GRANT SELECT ON
    stages, shards, shard_subjects, stage_runs, attempts, outcomes, artifacts, outcome_artifacts, videos, clips,
    fingerprints, copies, annotations, labels, embeddings, taxonomy_nodes, postponements, object_removals
    TO crawler, worker;
GRANT SELECT ON
    sources, reasons, model_releases, crawls, listing_faults, crawl_memory, video_aliases, keywords, keyword_budgets,
    video_keywords, upstream_changes, channels, approvals, takedowns, tombstones, hosts, visits, host_leases,
    source_days, release_clips, release_recalls, v_videos, video_yields
    TO crawler;

-- Running a shard: crawler those of fetch, worker all others.
GRANT INSERT, UPDATE (ended_at, status, error) ON stage_runs TO crawler, worker;
GRANT INSERT, UPDATE (attempts, last_at) ON attempts TO crawler, worker;
GRANT INSERT, UPDATE (outcome, reason, retryable, scores, detail, policy_version, model_releases, stage_run_id,
    started_at, seconds, recorded_at) ON outcomes TO crawler, worker;
GRANT INSERT, DELETE, UPDATE (until, cause, message, times, recorded_at) ON postponements TO crawler, worker;
-- an object's row is locked, not changed, by who records the object: that asks for a column that may be updated
GRANT INSERT, UPDATE (kind) ON artifacts TO crawler, worker;
GRANT INSERT, UPDATE (uri) ON outcome_artifacts TO crawler, worker;
-- what was stored for a video that was taken down meanwhile
GRANT INSERT, UPDATE (queued_at, attempts, tried_at, error, removed_at) ON object_removals TO crawler, worker;
GRANT INSERT ON task_failures TO crawler, worker;
GRANT INSERT, UPDATE (shot, start_s, end_s, analyse_version, retired_at) ON clips TO worker;
GRANT INSERT, DELETE ON fingerprints TO worker;
GRANT INSERT, UPDATE (similarity, overlap_s, mirrored) ON copies TO worker;
GRANT INSERT, UPDATE (value, uri) ON annotations TO worker;
GRANT INSERT, UPDATE (confidence, model_release) ON labels TO worker;
GRANT INSERT, UPDATE (model_release, vector) ON embeddings TO worker;
GRANT INSERT, UPDATE (score, note) ON review_causes TO worker;
-- counting the corpus
GRANT INSERT ON statistics TO worker;
GRANT SELECT ON statistics, v_corpus, v_labels, v_annotations, current_outcomes TO worker;
-- of what kind a video's source is
GRANT SELECT (source, kind) ON sources TO worker;
-- as above: a worker locks a video's row while it records (FOR KEY SHARE) and changes none
GRANT UPDATE (has_audio) ON videos TO worker;

-- Discovering and fetching.
GRANT INSERT, UPDATE (kind, uri, updated_at) ON sources TO crawler;
GRANT INSERT, UPDATE (started_at, ended_at, dag_id, run_id, passes, seen, new, changed, known, aliases, gone, watermark,
    barred, offered, faults, unchanged) ON crawls TO crawler;
GRANT INSERT, DELETE ON listing_faults TO crawler;
GRANT INSERT, UPDATE (value, updated_at) ON crawl_memory TO crawler;
GRANT INSERT, UPDATE (signature, title, license, sha256, bytes, container, codec, duration_s, width, height, fps,
    has_audio, probe, canonical_uri, extractor, extractor_id, channel_id, uploader, uploaded_on, published, gone_at,
    takedown_id, cleared_at) ON videos TO crawler;
GRANT INSERT, DELETE ON video_aliases TO crawler;
GRANT DELETE ON outcomes, attempts TO crawler;
GRANT INSERT ON upstream_changes, video_keywords, keyword_budgets TO crawler;
GRANT INSERT, UPDATE (status, reason, updated_at) ON keywords TO crawler;
GRANT INSERT, UPDATE (title, status, reason, decided_by, updated_at) ON channels TO crawler;
GRANT INSERT, UPDATE (next_at, closed_until, closed_because, failures, robots, robots_at) ON hosts TO crawler;
GRANT INSERT, DELETE, UPDATE (items, bytes, received, volume, disk_bytes, expires_at) ON visits TO crawler;
GRANT INSERT, DELETE ON host_leases TO crawler;
GRANT INSERT, UPDATE (items, bytes) ON source_days TO crawler;

-- Planning, which registers this code's stages, reasons, models and taxonomy.
GRANT INSERT, UPDATE (ordinal, subject, queue, needs, version, updated_at) ON stages TO crawler;
GRANT INSERT, UPDATE (outcome, description) ON reasons TO crawler;
GRANT INSERT ON model_releases TO crawler;
GRANT INSERT, UPDATE (level, name, definition, version, retired_at) ON taxonomy_nodes TO crawler;
GRANT INSERT ON shards, shard_subjects TO crawler;
GRANT SELECT, INSERT, UPDATE (run_id, next_run_id, since) ON turns TO crawler;

-- After a takedown: sealing, clearing, removing. `humannet takedown` does it at once for whoever takes down.
GRANT INSERT ON tombstones TO crawler, reviewer;
GRANT UPDATE (sealed_at) ON takedowns TO crawler, reviewer;
GRANT INSERT, UPDATE (clips) ON release_recalls TO crawler, reviewer;
GRANT DELETE ON
    annotations, labels, embeddings, outcome_artifacts, fingerprints, copies, upstream_changes, object_removals, artifacts
    TO crawler, reviewer;
GRANT UPDATE (label) ON shards TO crawler, reviewer;
GRANT UPDATE (title, uploader, published, probe, takedown_id, cleared_at) ON videos TO reviewer;
GRANT UPDATE (scores, detail) ON outcomes TO reviewer;
GRANT DELETE ON postponements TO reviewer;
GRANT DELETE ON review_causes, reviews TO crawler, reviewer;
GRANT SELECT ON review_causes, reviews TO crawler, worker;
GRANT INSERT, UPDATE (queued_at, attempts, tried_at, error, removed_at) ON object_removals TO reviewer;
GRANT UPDATE (kind) ON artifacts TO reviewer;

-- Deciding: takedowns, approvals, retries, channels, keywords (which make their source known).
GRANT INSERT ON takedowns, reviews TO reviewer;
GRANT INSERT, UPDATE (approved_by, note, approved_at) ON approvals TO reviewer;
GRANT DELETE ON outcomes, attempts TO reviewer;
GRANT INSERT, UPDATE (title, status, reason, decided_by, updated_at) ON channels TO reviewer;
GRANT INSERT, UPDATE (status, reason, updated_at) ON keywords TO reviewer;
GRANT INSERT, UPDATE (kind, uri, updated_at) ON sources TO reviewer;

-- Asking language models, and clearing what was said after a takedown.
GRANT SELECT, INSERT ON language_answers TO worker;
GRANT INSERT ON language_calls TO worker;
GRANT SELECT, DELETE ON language_answers, language_calls TO crawler, reviewer;

-- Counting as outcomes are recorded: who changes something marks it, who records folds, who plans settles days.
GRANT INSERT ON tally_marks, day_marks TO crawler, worker, reviewer;
GRANT SELECT ON tally_marks, video_tallies, funnel_totals, settled_days, day_marks TO crawler, worker;
GRANT DELETE ON tally_marks TO crawler, worker;
GRANT INSERT, DELETE, UPDATE (clips, microseconds) ON video_tallies TO crawler, worker;
GRANT INSERT, UPDATE (videos, clips, microseconds) ON funnel_totals TO crawler, worker;
GRANT SELECT, INSERT, DELETE, UPDATE (fetched, decided, kept_s, cost_s) ON yields TO crawler, worker;
GRANT INSERT, DELETE, UPDATE (versions, settled_at) ON settled_days TO crawler;
GRANT DELETE ON day_marks TO crawler;

DO $$
BEGIN
    -- what a pass saw, and what a takedown covers, are temporary tables
    EXECUTE 'REVOKE TEMPORARY ON DATABASE ' || quote_ident(current_database()) || ' FROM PUBLIC';
    EXECUTE 'GRANT TEMPORARY ON DATABASE ' || quote_ident(current_database()) || ' TO crawler, reviewer';
    -- ANALYZE after a large pass; before Postgres 17 only the owner may, and autovacuum sees to it
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON videos TO crawler';
    END IF;
END $$;
