-- Copies are looked up by the beginnings of their hashes, no more in a graph. The table is written anew once.
DROP INDEX fingerprints_bits;
ALTER TABLE fingerprints
    ADD COLUMN turned_8 bigint GENERATED ALWAYS AS (((bits << 8) | (bits >> 56))::bigint) STORED,
    ADD COLUMN turned_24 bigint GENERATED ALWAYS AS (((bits << 24) | (bits >> 40))::bigint) STORED,
    ADD COLUMN turned_40 bigint GENERATED ALWAYS AS (((bits << 40) | (bits >> 24))::bigint) STORED,
    ADD COLUMN turned_56 bigint GENERATED ALWAYS AS (((bits << 56) | (bits >> 8))::bigint) STORED;
COMMENT ON COLUMN fingerprints.turned_8 IS 'The hash turned left by 8 bits, as a number; so are the others. From 8 on, the lowest frequencies, which depend on each other, are in two of the four.';
CREATE INDEX fingerprints_turned_8 ON fingerprints (turned_8) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_24 ON fingerprints (turned_24) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_40 ON fingerprints (turned_40) INCLUDE (video_id) WHERE searchable;
CREATE INDEX fingerprints_turned_56 ON fingerprints (turned_56) INCLUDE (video_id) WHERE searchable;
