-- The databases of the embedded Postgres, each with its own owner. Run at every start by psql; changes nothing the second time.
\set ON_ERROR_STOP on
SELECT format('CREATE ROLE %I LOGIN', name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
SELECT format('CREATE DATABASE %I OWNER %I', name, name) FROM (VALUES ('catalog'), ('airflow')) AS wanted(name)
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name)
\gexec
\connect catalog
-- The catalog's migrations make its roles; `humannet sql` connects as one of them, here without a password.
ALTER ROLE catalog CREATEROLE;
SET ROLE catalog;
\ir ../roles.sql
RESET ROLE;
ALTER ROLE reader LOGIN;
-- where an older version made it
GRANT reader TO catalog WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
-- Functions that write although they are only asked for; they belong to the superuser.
REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
-- pgvector is not a trusted extension: only the superuser may create it.
CREATE EXTENSION IF NOT EXISTS vector;
