-- The taxonomy and the labels of clips.
SELECT 1;
