-- The databases of the embedded Postgres, each with its own owner. Run at every start by psql; changes nothing the second time.
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
\connect catalog
-- Who asks questions (`humannet sql`) reads and does nothing else, whatever the statement says.
SELECT 'CREATE ROLE reader LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader')
\gexec
ALTER ROLE reader SET default_transaction_read_only = on;
ALTER ROLE reader SET statement_timeout = '10min';
REVOKE TEMPORARY ON DATABASE catalog FROM PUBLIC;
GRANT TEMPORARY ON DATABASE catalog TO catalog;
REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE catalog IN SCHEMA public GRANT SELECT ON TABLES TO reader;
-- pgvector is not a trusted extension: only the superuser may create it.
CREATE EXTENSION IF NOT EXISTS vector;
