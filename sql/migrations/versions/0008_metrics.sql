-- Indexes by time, so that metrics are asked of a window and not of the whole catalog (sql/queries/metrics.sql).
-- Outcomes come in the order of their time: a block range index finds a window of them, and costs next to nothing.
CREATE INDEX outcomes_recorded ON outcomes USING brin (recorded_at) WITH (pages_per_range = 32);
CREATE INDEX stage_runs_started ON stage_runs (started_at);
CREATE INDEX stage_runs_running ON stage_runs (started_at) WHERE status = 'running';
CREATE INDEX stage_runs_shard ON stage_runs (shard_id);
CREATE INDEX shards_planned ON shards (planned_at);
