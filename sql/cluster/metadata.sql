-- The server that holds Airflow's database and Celery's results: a role and a database each, so that a worker, which
-- reports results, cannot read or change what Airflow knows. For psql as a superuser; changes nothing twice, and sets the
-- passwords anew each time: METADATA_PASSWORD and CELERY_PASSWORD of the environment.
\set ON_ERROR_STOP on
\getenv airflow_password METADATA_PASSWORD
\getenv celery_password CELERY_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', wanted)
FROM unnest(ARRAY['airflow', 'celery']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted)
\gexec
ALTER ROLE airflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'airflow_password';
ALTER ROLE celery LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 200 PASSWORD :'celery_password';

SELECT format('CREATE DATABASE %I OWNER %I', wanted, wanted)
FROM unnest(ARRAY['airflow', 'celery']) AS wanted
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = wanted)
\gexec
-- its owner alone may connect to a database
REVOKE ALL ON DATABASE airflow, celery, postgres FROM PUBLIC;
