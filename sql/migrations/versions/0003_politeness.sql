-- How hosts are treated, and what may be fetched in a day.
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
