-- Marks Airflow's jobs of a kind (a LIKE pattern) as dead when none of them is alive: what their metadata still calls
-- running was killed. The scheduler then resets the tasks of such a job as soon as it starts, instead of after a timeout.
UPDATE job SET state = 'failed', end_date = now() WHERE state = 'running' AND job_type LIKE :'kind';
