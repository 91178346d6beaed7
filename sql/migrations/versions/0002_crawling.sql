-- What crawling the network needs to know about a video, and about a pass of a source.
ALTER TABLE videos
    ADD COLUMN canonical_uri text,
    ADD COLUMN extractor     text,
    ADD COLUMN extractor_id  text,
    ADD COLUMN channel_id    text,
    ADD COLUMN uploader      text,
    ADD COLUMN uploaded_on   date,
    ADD COLUMN terms         text,
    ADD COLUMN published     jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN gone_at       timestamptz;
COMMENT ON COLUMN videos.canonical_uri IS 'The item''s address without what does not name it (tracking parameters, fragments): equal means the same item.';
COMMENT ON COLUMN videos.channel_id IS 'Who published it: extractor and channel, as in channels.';
COMMENT ON COLUMN videos.published IS 'What the source says about it: description, tags, segments, and so on.';
COMMENT ON COLUMN videos.gone_at IS 'When a complete pass, or a fetch, found that the source offers it no more.';
CREATE INDEX videos_canonical_uri ON videos (canonical_uri);
CREATE INDEX videos_extractor_id ON videos (extractor, extractor_id);
CREATE INDEX videos_channel_id ON videos (channel_id);

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
    PRIMARY KEY (source, partition_key)
);
COMMENT ON TABLE crawls IS 'The last pass of a source for each crawl day, written in one transaction with what it found.';
COMMENT ON COLUMN crawls.watermark IS 'The upload day through which this pass looked. A source''s watermark is the greatest of them, so a backfill cannot move it back.';

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

CREATE TABLE takedowns (
    takedown_id  text PRIMARY KEY,
    scope        text NOT NULL CHECK (scope IN ('video', 'channel', 'source')),
    target       text NOT NULL,
    reason       text NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tombstones (
    kind        text NOT NULL CHECK (kind IN ('origin', 'item', 'sha256', 'channel', 'source')),
    value       text NOT NULL,
    takedown_id text NOT NULL REFERENCES takedowns,
    PRIMARY KEY (kind, value)
);
COMMENT ON TABLE tombstones IS 'What is never fetched again: addresses, items (<extractor>:<id>), contents, channels, sources.';
