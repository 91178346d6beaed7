-- The catalog's database and its owner, the role that migrates it and makes the other roles (sql/roles.sql). For psql as a
-- superuser; changes nothing twice, and sets the password anew each time: CATALOG_OWNER_PASSWORD of the environment.
\set ON_ERROR_STOP on
\getenv password CATALOG_OWNER_PASSWORD

SELECT 'CREATE ROLE catalog' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'catalog')
\gexec
ALTER ROLE catalog LOGIN NOSUPERUSER NOCREATEDB CREATEROLE PASSWORD :'password';

SELECT 'CREATE DATABASE catalog OWNER catalog' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'catalog')
\gexec
REVOKE ALL ON DATABASE postgres FROM PUBLIC;

\connect catalog
-- making it asks for a superuser
CREATE EXTENSION IF NOT EXISTS vector;
-- nobody writes large objects, whatever the role
REVOKE EXECUTE ON FUNCTION lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) FROM PUBLIC;
