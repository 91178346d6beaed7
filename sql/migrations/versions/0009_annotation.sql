-- Annotation in stages: an outcome may be skipped, and a stage may be retired.
SELECT 1;
