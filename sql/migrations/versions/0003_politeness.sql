-- How hosts are treated, and what may be fetched in a day.
SELECT 1;
