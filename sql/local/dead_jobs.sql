-- Run against Airflow's metadata when none of its components is alive: whatever it still calls running was killed.
-- The scheduler then resets the tasks of such a dead job as soon as it starts, instead of after a timeout.
UPDATE job SET state = 'failed', end_date = now() WHERE state = 'running';
