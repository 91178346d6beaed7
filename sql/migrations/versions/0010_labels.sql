-- The taxonomy and the labels of clips.
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

CREATE VIEW v_labels AS
SELECT
    l.clip_id,
    l.facet,
    l.path,
    split_part(l.path, '/', 1) AS l1,
    nullif(split_part(l.path, '/', 2), '') AS l2,
    nullif(split_part(l.path, '/', 3), '') AS l3,
    l.confidence,
    l.origin,
    l.model_release
FROM labels l
JOIN clips c ON c.clip_id = l.clip_id AND c.retired_at IS NULL
JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
JOIN stages s ON s.stage = l.stage AND s.version = l.stage_version;

GRANT SELECT ON taxonomy_nodes, labels TO crawler, worker;
GRANT INSERT, UPDATE (level, name, definition, version, retired_at) ON taxonomy_nodes TO crawler;
GRANT INSERT, UPDATE (confidence, model_release) ON labels TO worker;
GRANT DELETE ON labels TO crawler, reviewer;
-- of what kind a video's source is
GRANT SELECT (source, kind) ON sources TO worker;
