-- What was taken down, and the objects that follow.
SELECT 1;
