-- name: name_login^
-- For allow_login: ALTER ROLE takes no parameters.
SELECT set_config('humannet.role', :role, true), set_config('humannet.verifier', :verifier, true);

-- name: allow_login#
DO $$
BEGIN
    EXECUTE 'ALTER ROLE ' || quote_ident(current_setting('humannet.role'))
        || ' LOGIN PASSWORD ' || quote_literal(current_setting('humannet.verifier'));
END $$;
