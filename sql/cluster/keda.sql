-- KEDA, which starts workers on Kubernetes (infra/helm): a role that may count what waits in a queue of Airflow's, and see
-- nothing else of its database. For psql as a superuser, in the database airflow, once it has its tables; changes nothing
-- twice, and sets the password anew each time: KEDA_PASSWORD of the environment.
\set ON_ERROR_STOP on
\getenv keda_password KEDA_PASSWORD

SELECT 'CREATE ROLE keda LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keda')
\gexec
ALTER ROLE keda LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 20 PASSWORD :'keda_password';
GRANT CONNECT ON DATABASE airflow TO keda;
GRANT SELECT (state, queue) ON task_instance TO keda;
