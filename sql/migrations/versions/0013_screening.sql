-- What a person must look at.
SELECT 1;
