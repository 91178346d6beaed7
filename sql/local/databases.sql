-- The databases of the embedded Postgres, each with its own owner. Run at every start by psql; changes nothing the second time.
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
\connect catalog
-- pgvector is not a trusted extension: only the superuser may create it.
CREATE EXTENSION IF NOT EXISTS vector;
