-- What is searched for, and what it brought.
SELECT 1;
