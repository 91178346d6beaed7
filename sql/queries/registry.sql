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

-- name: upsert_taxonomy!
-- The nodes of the taxonomy that this code has; one that it has no more is retired. Writes nothing where nothing changed.
WITH known AS (
    SELECT * FROM unnest(:facets::text[], :paths::text[], :levels::int[], :names::text[], :definitions::text[])
        AS node (facet, path, level, name, definition)
), retired AS (
    UPDATE taxonomy_nodes t SET retired_at = now()
    WHERE t.retired_at IS NULL AND NOT EXISTS (SELECT FROM known k WHERE (k.facet, k.path) = (t.facet, t.path))
)
INSERT INTO taxonomy_nodes (facet, path, level, name, definition, version)
SELECT facet, path, level, name, definition, :version FROM known
ON CONFLICT (facet, path) DO UPDATE
SET level = excluded.level, name = excluded.name, definition = excluded.definition, version = excluded.version,
    retired_at = NULL
WHERE (taxonomy_nodes.level, taxonomy_nodes.name, taxonomy_nodes.definition, taxonomy_nodes.version)
    IS DISTINCT FROM (excluded.level, excluded.name, excluded.definition, excluded.version)
    OR taxonomy_nodes.retired_at IS NOT NULL;

-- name: upsert_source!
INSERT INTO sources (source, kind, uri) VALUES (:source, :kind, :uri)
ON CONFLICT (source) DO UPDATE SET kind = excluded.kind, uri = excluded.uri, updated_at = now()
WHERE (sources.kind, sources.uri) IS DISTINCT FROM (excluded.kind, excluded.uri);
