-- name: fold_tallies$
-- Counts marked videos anew: see the function.
SELECT fold_tallies(:most);
