-- What the corpus counts. One statement, so that every number is of one moment and v_corpus, the dear part, is read once:
-- everything else reads `chosen`, some thirty narrow columns a clip. All of it is linear in the clips that are looked at.
-- Each row is a section's name and one entry of it. Percentiles are percentile_cont (between the two nearest values);
-- variance is the population's (divided by n): the clips are all there are, not a sample.

-- name: corpus_statistics
WITH chosen AS MATERIALIZED (
    SELECT clip_id, video_id, start_s, end_s, duration_s, source, kind, channel, crawl_day, language, country, license,
           viewpoint, resolution, motion, l1, l2, l3, scene, scene_l1, scene_l2, source_type, task_structure,
           interactions,
           (scores ->> 'pose_score')::float8 AS pose_score,
           (scores ->> 'motion_score')::float8 AS motion_score,
           (scores ->> 'motion_frames')::float8 AS motion_frames,
           (scores ->> 'retarget_error_mm_mean')::float8 AS retarget_error_mm,
           (scores ->> 'robot_ready')::boolean AS robot_ready,
           scores ? 'needs_review' AS screened, review,
           coalesce((scores ->> 'persons')::bigint, 0) AS persons,
           coalesce((scores ->> 'things')::bigint, 0) AS things,
           (scores ->> 'label_motion_abstained')::boolean AS motion_abstained,
           (scores ->> 'label_motion_confidence')::float8 AS motion_sure,
           (scores ->> 'label_scene_abstained')::boolean AS scene_abstained,
           (scores ->> 'label_scene_confidence')::float8 AS scene_sure,
           (scores ->> 'label_interaction_abstained')::boolean AS interaction_abstained,
           (scores ->> 'label_interaction_confidence')::float8 AS interaction_sure,
           (scores ->> 'label_source_type_abstained')::boolean AS source_type_abstained,
           (scores ->> 'label_source_type_confidence')::float8 AS source_type_sure,
           (scores ->> 'label_task_structure_abstained')::boolean AS task_structure_abstained,
           (scores ->> 'label_task_structure_confidence')::float8 AS task_structure_sure
    FROM v_corpus
    WHERE status = 'kept' AND ((:condition))
),
-- a task instance: kept clips of one video that follow each other within a second and have the same motion
follows AS (
    SELECT motion, lag(motion) OVER one_after_another AS before,
           start_s - lag(end_s) OVER one_after_another AS gap_s
    FROM chosen WHERE motion IS NOT NULL
    WINDOW one_after_another AS (PARTITION BY video_id ORDER BY start_s, clip_id)
),
totals AS (
    SELECT now() AS counted_at, count(*) AS clips, coalesce(sum(duration_s), 0) / 3600 AS hours,
           count(DISTINCT video_id) AS videos,
           coalesce(sum(persons), 0)::bigint AS persons, coalesce(sum(things), 0)::bigint AS things,
           (SELECT count(*) FROM follows WHERE before IS DISTINCT FROM motion OR gap_s > 1) AS task_instances,
           count(*) FILTER (WHERE screened) AS screened, count(*) FILTER (WHERE review = 'waiting') AS waiting
    FROM chosen
),
measured AS (
    SELECT m.measure, m.value, c.l1, c.viewpoint
    FROM chosen c CROSS JOIN LATERAL (VALUES
        ('pose_score', c.pose_score), ('motion_score', c.motion_score), ('motion_frames', c.motion_frames),
        ('duration_s', c.duration_s), ('retarget_error_mm', c.retarget_error_mm)
    ) AS m (measure, value)
    WHERE m.value IS NOT NULL
),
summaries AS (
    SELECT measure,
           CASE WHEN grouping(l1) = 0 THEN 'l1' WHEN grouping(viewpoint) = 0 THEN 'viewpoint' END AS "by",
           coalesce(l1, viewpoint) AS value,
           count(*) AS count, avg(m.value) AS mean, var_pop(m.value) AS variance, stddev_pop(m.value) AS std,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY m.value) AS p50,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY m.value) AS p99,
           min(m.value) AS minimum, max(m.value) AS maximum
    FROM measured m
    GROUP BY GROUPING SETS ((measure), (measure, l1), (measure, viewpoint))
),
-- forty bins from 0 to P99; what lies beyond is counted apart
bins AS (
    SELECT m.measure, m.viewpoint, least(0, s.minimum) AS low, s.p99 AS high,
           CASE WHEN m.value > s.p99 THEN 41 WHEN s.p99 <= least(0, s.minimum) THEN 1
                ELSE least(width_bucket(m.value, least(0, s.minimum), s.p99, 40), 40) END AS bin,
           count(*) AS clips
    FROM measured m JOIN summaries s ON s.measure = m.measure AND s."by" IS NULL
    GROUP BY m.measure, m.viewpoint, s.minimum, s.p99, bin
),
-- each dimension's values, first a video at a time, so that clips and videos are counted without sorting
valued AS (
    SELECT d.dimension, d.value, sum(clips) AS clips, sum(seconds) AS seconds, count(*) AS videos
    FROM (
        SELECT d.dimension, d.value, c.video_id, count(*) AS clips, sum(c.duration_s) AS seconds
        FROM chosen c CROSS JOIN LATERAL (VALUES
            ('viewpoint', c.viewpoint), ('source', c.source), ('kind', c.kind), ('crawl_day', c.crawl_day),
            ('channel', c.channel), ('language', c.language), ('country', c.country), ('resolution', c.resolution),
            ('license', c.license), ('video', c.video_id)
        ) AS d (dimension, value)
        GROUP BY d.dimension, d.value, c.video_id
    ) d
    GROUP BY d.dimension, d.value
),
-- how evenly: exp of the entropy is the number of equally large classes that would be as mixed
dimensions AS (
    SELECT v.dimension, count(v.value) AS classes, coalesce(sum(v.clips) FILTER (WHERE v.value IS NOT NULL), 0) AS known,
           exp(-sum(v.clips / k.known * ln(v.clips / k.known)) FILTER (WHERE v.value IS NOT NULL)) AS effective,
           max(v.clips) FILTER (WHERE v.value IS NOT NULL) AS most_clips,
           max(v.seconds) FILTER (WHERE v.value IS NOT NULL)
               / nullif(sum(v.seconds) FILTER (WHERE v.value IS NOT NULL), 0) AS top_hours_share
    FROM valued v
    LEFT JOIN (
        SELECT dimension, sum(clips) AS known FROM valued WHERE value IS NOT NULL GROUP BY dimension
    ) k ON k.dimension = v.dimension
    GROUP BY v.dimension
),
-- who publishes and which video it is says how concentrated the corpus is, and is told of nobody by name
shares AS (
    SELECT dimension, value, clips, seconds / 3600 AS hours, videos
    FROM (
        SELECT v.*, row_number() OVER (PARTITION BY dimension ORDER BY clips DESC, value) AS place
        FROM valued v WHERE dimension NOT IN ('channel', 'video')
    ) ranked
    WHERE value IS NULL OR place <= 60 OR dimension = 'crawl_day'
),
labelled AS (
    SELECT n.facet, n.path, sum(n.clips) AS clips, sum(n.seconds) AS seconds, count(*) AS videos
    FROM (
        SELECT n.facet, n.path, c.video_id, count(*) AS clips, sum(c.duration_s) AS seconds
        FROM chosen c CROSS JOIN LATERAL (
            VALUES ('motion', c.l1), ('motion', c.l1 || '/' || c.l2), ('motion', c.l1 || '/' || c.l2 || '/' || c.l3),
                   ('scene', c.scene_l1), ('scene', c.scene_l1 || '/' || c.scene_l2),
                   ('source_type', c.source_type), ('task_structure', c.task_structure)
            UNION ALL
            SELECT 'interaction', unnest(c.interactions)
        ) AS n (facet, path)
        WHERE n.path IS NOT NULL
        GROUP BY n.facet, n.path, c.video_id
    ) n
    GROUP BY n.facet, n.path
),
-- every class of the taxonomy, those without a clip too
classes AS (
    SELECT facet, path, coalesce(t.level, cardinality(string_to_array(path, '/'))) AS level,
           coalesce(t.name, path) AS name, coalesce(l.clips, 0) AS clips, coalesce(l.seconds, 0) / 3600 AS hours,
           coalesce(l.videos, 0) AS videos
    FROM taxonomy_nodes t FULL JOIN labelled l USING (facet, path)
    WHERE t.retired_at IS NULL OR l.clips > 0
),
facets AS (
    SELECT f.facet, count(*) AS judged, count(*) FILTER (WHERE f.abstained) AS abstained,
           avg(f.sure) FILTER (WHERE NOT f.abstained) AS mean_confidence,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY f.sure) FILTER (WHERE NOT f.abstained) AS p50_confidence
    FROM chosen c CROSS JOIN LATERAL (VALUES
        ('motion', c.motion_abstained, c.motion_sure), ('scene', c.scene_abstained, c.scene_sure),
        ('interaction', c.interaction_abstained, c.interaction_sure),
        ('source_type', c.source_type_abstained, c.source_type_sure),
        ('task_structure', c.task_structure_abstained, c.task_structure_sure)
    ) AS f (facet, abstained, sure)
    WHERE f.abstained IS NOT NULL
    GROUP BY f.facet
),
origins AS (
    SELECT l.facet, l.origin, count(*) AS labels, count(DISTINCT l.clip_id) AS clips, avg(l.confidence) AS mean_confidence
    FROM chosen c JOIN v_labels l ON l.clip_id = c.clip_id
    GROUP BY l.facet, l.origin
),
objects AS (
    SELECT o.label, sum(o.tracks)::bigint AS tracks, count(*) AS clips
    FROM (
        SELECT things.key AS label, things.value::bigint AS tracks
        FROM chosen c
        JOIN v_annotations a ON a.clip_id = c.clip_id AND a.kind = 'track_people'
        CROSS JOIN LATERAL jsonb_each_text(a.value -> 'objects') AS things
        UNION ALL
        SELECT 'person', persons FROM chosen WHERE persons > 0
    ) o
    GROUP BY o.label
),
robots AS (
    SELECT CASE WHEN grouping(l1) = 0 THEN 'l1' WHEN grouping(viewpoint) = 0 THEN 'viewpoint' END AS "by",
           coalesce(l1, viewpoint) AS value, count(*) AS clips, count(robot_ready) AS judged,
           count(*) FILTER (WHERE robot_ready) AS ready,
           coalesce(sum(duration_s) FILTER (WHERE robot_ready), 0) / 3600 AS ready_hours
    FROM chosen
    GROUP BY GROUPING SETS ((), (l1), (viewpoint))
),
coverage AS (
    SELECT o.stage, o.ordinal, o.outcome, o.reason, count(*) AS clips
    FROM chosen c JOIN current_outcomes o ON o.subject_id = c.clip_id
    WHERE o.subject = 'clip' AND o.ordinal > (SELECT ordinal FROM stages WHERE stage = 'cut')
    GROUP BY o.stage, o.ordinal, o.outcome, o.reason
)
SELECT 'totals' AS section, to_jsonb(t) AS entry FROM totals t
UNION ALL SELECT 'summaries', to_jsonb(s) FROM summaries s
UNION ALL SELECT 'bins', to_jsonb(b) FROM bins b
UNION ALL SELECT 'dimensions', to_jsonb(d) FROM dimensions d
UNION ALL SELECT 'shares', to_jsonb(s) FROM shares s
UNION ALL SELECT 'classes', to_jsonb(c) FROM classes c
UNION ALL SELECT 'facets', to_jsonb(f) FROM facets f
UNION ALL SELECT 'origins', to_jsonb(o) FROM origins o
UNION ALL SELECT 'objects', to_jsonb(o) FROM objects o
UNION ALL SELECT 'robots', to_jsonb(r) FROM robots r
UNION ALL SELECT 'coverage', to_jsonb(c) FROM coverage c;

-- name: check_condition
-- Whether a person's condition is one truth a clip. A text that closes brackets to mean more cannot be right both here,
-- inside one bracket, and above, inside two.
SELECT CASE WHEN (:condition) THEN 1 END AS chosen FROM v_corpus LIMIT 0;

-- name: save_statistics!
INSERT INTO statistics (begun_at, partition_key, dag_id, run_id, code_revision, numbers)
VALUES (:begun_at, :partition_key, :dag_id, :run_id, :code_revision, :numbers);

-- name: latest_statistics^
SELECT statistics_id, begun_at, partition_key, code_revision, numbers FROM statistics
ORDER BY begun_at DESC, statistics_id DESC LIMIT 1;

-- name: counted_already$
-- Whether the last time that the corpus was counted covers all that was recorded about a crawl day.
SELECT EXISTS (SELECT FROM statistics s WHERE s.begun_at > (
    SELECT coalesce(max(r.ended_at), 'infinity') FROM shards d JOIN stage_runs r USING (shard_id)
    WHERE d.partition_key = :partition_key
));
