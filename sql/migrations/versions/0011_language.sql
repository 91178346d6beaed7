-- What language models answered, and what that cost.
SELECT 1;
