-- What a listing held that could not be read, and a view of where everything comes from.
ALTER TABLE crawls
    ADD COLUMN offered bigint NOT NULL DEFAULT 0,
    ADD COLUMN faults bigint NOT NULL DEFAULT 0,
    ADD COLUMN unchanged boolean NOT NULL DEFAULT false;
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

-- A million new videos have no content yet, and most no channel: their NULLs need no place in an index.
DROP INDEX videos_sha256, videos_canonical_uri, videos_extractor_id, videos_channel_id;
CREATE INDEX videos_sha256 ON videos (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX videos_canonical_uri ON videos (canonical_uri) WHERE canonical_uri IS NOT NULL;
CREATE INDEX videos_extractor_id ON videos (extractor, extractor_id) WHERE extractor_id IS NOT NULL;
CREATE INDEX videos_channel_id ON videos (channel_id) WHERE channel_id IS NOT NULL;

-- Where each video comes from, under which terms, and what was fetched, from where, when and by whom.
CREATE VIEW v_provenance AS
SELECT
    v.video_id,
    v.source,
    v.origin_uri,
    v.canonical_uri,
    v.extractor,
    v.extractor_id,
    v.uploader,
    v.uploaded_on,
    v.license,
    v.terms,
    (f.detail ->> 'fetched_at')::timestamptz AS fetched_at,
    f.detail ->> 'fetched_from' AS fetched_from,
    f.detail ->> 'client' AS client,
    v.sha256,
    v.bytes,
    m.uri AS metadata_uri,
    v.gone_at
FROM videos v
LEFT JOIN LATERAL (
    SELECT o.stage_version, o.detail FROM outcomes o
    WHERE o.stage = 'fetch' AND o.subject_id = v.video_id AND o.outcome = 'kept'
    ORDER BY o.recorded_at DESC LIMIT 1
) f ON true
LEFT JOIN outcome_artifacts m
    ON m.stage = 'fetch' AND m.subject_id = v.video_id AND m.stage_version = f.stage_version AND m.kind = 'metadata'
WHERE v.takedown_id IS NULL;
