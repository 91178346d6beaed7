-- Edited copies are looked for by every shard side by side, and written down: which of them stays is decided from the table.
CREATE TABLE outcomes_find_copies PARTITION OF outcomes FOR VALUES IN ('find_copies');

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

GRANT SELECT ON copies TO crawler, worker;
GRANT INSERT, UPDATE (similarity, overlap_s, mirrored) ON copies TO worker;
GRANT DELETE ON copies TO crawler, reviewer;
