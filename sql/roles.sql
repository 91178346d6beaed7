-- The roles of the catalog, one a kind of work; grants.sql says what each may. Roles belong to the whole server and are
-- made once. Migrations run this; where the catalog's owner may not create roles, a superuser runs it before (psql -f).
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['crawler', 'worker', 'reviewer', 'reader'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
        BEGIN
            EXECUTE 'CREATE ROLE ' || quote_ident(wanted) || ' NOLOGIN';
            IF wanted = 'reader' THEN
                -- who asks questions reads and does nothing else, and not for ever, whatever the statement says
                ALTER ROLE reader SET default_transaction_read_only = on;
                ALTER ROLE reader SET statement_timeout = '10min';
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            -- whoever migrates another database of this server was first
            NULL;
        END;
    END LOOP;
END $$;
