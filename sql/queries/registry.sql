-- name: upsert_stage!
INSERT INTO stages (stage, ordinal, subject, queue, needs, version)
VALUES (:stage, :ordinal, :subject, :queue, :needs, :version)
ON CONFLICT (stage) DO UPDATE
SET ordinal = excluded.ordinal, subject = excluded.subject, queue = excluded.queue,
    needs = excluded.needs, version = excluded.version, updated_at = now()
WHERE (stages.ordinal, stages.subject, stages.queue, stages.needs, stages.version)
    IS DISTINCT FROM (excluded.ordinal, excluded.subject, excluded.queue, excluded.needs, excluded.version);

-- name: retire_stages!
-- Stages that this code has no more. No outcome has their version, so nothing of them counts any more.
UPDATE stages SET ordinal = NULL, version = 'retired', updated_at = now()
WHERE stage <> ALL (:stages) AND ordinal IS NOT NULL;

-- name: upsert_reason!
INSERT INTO reasons (reason, outcome, description) VALUES (:reason, :outcome, :description)
ON CONFLICT (reason) DO UPDATE SET outcome = excluded.outcome, description = excluded.description
WHERE (reasons.outcome, reasons.description) IS DISTINCT FROM (excluded.outcome, excluded.description);

-- name: upsert_model_release!
INSERT INTO model_releases (model_release, role, sha256, license, origin)
VALUES (:model_release, :role, :sha256, :license, :origin)
ON CONFLICT (model_release) DO NOTHING;

-- name: upsert_source!
INSERT INTO sources (source, kind, uri) VALUES (:source, :kind, :uri)
ON CONFLICT (source) DO UPDATE SET kind = excluded.kind, uri = excluded.uri, updated_at = now()
WHERE (sources.kind, sources.uri) IS DISTINCT FROM (excluded.kind, excluded.uri);
