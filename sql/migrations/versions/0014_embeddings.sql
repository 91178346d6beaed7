-- What a clip looks like, and what looks like it.
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

-- The clips that look most like one: candidates by the signs of their vectors, ranked by the cosine of the whole vectors.
-- What is taken down, retired or embedded by another stage version is left out, and the clip itself too. ``most`` is how
-- many candidates are ranked: the more, the surer that none is missed.
CREATE FUNCTION similar_clips(asked text, most int DEFAULT 400)
RETURNS TABLE (clip_id text, video_id text, similarity double precision)
LANGUAGE plpgsql STABLE ROWS 400
SET hnsw.ef_search = 400
SET hnsw.iterative_scan = relaxed_order
SET hnsw.max_scan_tuples = 200000
AS $$
DECLARE
    mine record;
    dimensions int;
BEGIN
    SELECT e.vector, e.stage, e.stage_version INTO mine
    FROM embeddings e
    JOIN stages s ON s.stage = e.stage AND s.version = e.stage_version
    JOIN clips c ON c.clip_id = e.clip_id AND c.retired_at IS NULL
    JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
    WHERE e.clip_id = asked;
    dimensions := vector_dims(mine.vector);
    IF dimensions IS NULL THEN
        RETURN;
    END IF;
    -- the length is part of the index, so it must be part of the question's text
    RETURN QUERY EXECUTE replace($query$
        WITH candidates AS MATERIALIZED (
            SELECT e.clip_id, e.vector FROM embeddings e
            WHERE vector_dims(e.vector) = LENGTH AND e.stage = $2 AND e.stage_version = $3
            ORDER BY binary_quantize(e.vector)::bit(LENGTH) <~> binary_quantize($1)::bit(LENGTH)
            LIMIT $4
        )
        SELECT e.clip_id, c.video_id, - (e.vector <#> $1) AS similarity
        FROM candidates e
        JOIN clips c ON c.clip_id = e.clip_id AND c.retired_at IS NULL
        JOIN videos v ON v.video_id = c.video_id AND v.takedown_id IS NULL
        WHERE e.clip_id <> $5
        ORDER BY similarity DESC, e.clip_id
        $query$, 'LENGTH', dimensions::text) USING mine.vector, mine.stage, mine.stage_version, most + 1, asked;
END $$;

GRANT SELECT ON embeddings TO crawler, worker;
GRANT INSERT, UPDATE (model_release, vector) ON embeddings TO worker;
GRANT DELETE ON embeddings TO crawler, reviewer;
