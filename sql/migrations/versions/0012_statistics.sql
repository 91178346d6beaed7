-- What the corpus statistics are asked of.
SELECT 1;
