-- name: begin_visit^
INSERT INTO visits (visit_id, source, worker, day, expires_at)
VALUES (:visit_id, :source, :worker, (clock_timestamp() AT TIME ZONE 'UTC')::date,
        clock_timestamp() + :lease_s * interval '1 second')
RETURNING day, clock_timestamp() AS now;

-- name: renew_visit!
-- No row: it ran out and is gone.
UPDATE visits SET expires_at = clock_timestamp() + :lease_s * interval '1 second', received = :received
WHERE visit_id = :visit_id;

-- name: reap_visits!
-- What a killed worker left: its reservations are free again, what it received is spent.
WITH ended AS (
    DELETE FROM visits WHERE visit_id IN (
        SELECT visit_id FROM visits WHERE expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED
    )
    RETURNING source, day, received
)
INSERT INTO source_days (source, day, bytes)
SELECT source, day, sum(received) FROM ended GROUP BY source, day ORDER BY source, day
ON CONFLICT (source, day) DO UPDATE SET bytes = source_days.bytes + excluded.bytes;

-- name: end_visit!
WITH ended AS (
    DELETE FROM visits WHERE visit_id = :visit_id RETURNING source, day
)
INSERT INTO source_days (source, day, items, bytes)
SELECT source, day, :items, :received FROM ended WHERE :items > 0 OR :received > 0
ON CONFLICT (source, day) DO UPDATE SET
    items = source_days.items + excluded.items, bytes = source_days.bytes + excluded.bytes;

-- name: know_host!
INSERT INTO hosts (host) VALUES (:host) ON CONFLICT (host) DO NOTHING;

-- name: lock_host^
SELECT host FROM hosts WHERE host = :host FOR UPDATE;

-- name: wait_for_host^
-- Until when the host must be left alone, and why; null where it need not. A visit that is at the host already keeps its
-- place there.
SELECT CASE
           WHEN h.closed_until > now.now THEN h.closed_until
           WHEN l.others >= :concurrent AND NOT l.mine THEN now.now + :again_s * interval '1 second'
           WHEN h.next_at > now.now THEN h.next_at
       END AS until,
       CASE
           WHEN h.closed_until > now.now THEN coalesce(h.closed_because, 'it is left alone')
           WHEN l.others >= :concurrent AND NOT l.mine THEN l.others || ' downloads from it are under way'
           WHEN h.next_at > now.now THEN 'an item was begun there a moment ago'
       END AS why,
       now.now
FROM hosts h
CROSS JOIN (SELECT clock_timestamp() AS now) now
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE v.visit_id <> :visit_id) AS others,
           coalesce(bool_or(v.visit_id = :visit_id), false) AS mine
    FROM host_leases x JOIN visits v USING (visit_id)
    WHERE x.host = h.host AND v.expires_at > now.now
) l
WHERE h.host = :host;

-- name: lease_host!
WITH begun AS (
    UPDATE hosts SET next_at = clock_timestamp() + :gap_s * interval '1 second' WHERE host = :host
)
INSERT INTO host_leases (host, visit_id) VALUES (:host, :visit_id) ON CONFLICT DO NOTHING;

-- name: leave_hosts!
DELETE FROM host_leases WHERE visit_id = :visit_id;

-- name: host_answered!
UPDATE hosts SET failures = 0 WHERE host = :host AND failures > 0;

-- name: host_failed!
-- The first failure is one item's; from the second in a row the host is left alone, twice as long each time.
UPDATE hosts SET
    failures = failures + 1,
    closed_until = CASE WHEN failures = 0 THEN closed_until ELSE greatest(closed_until, clock_timestamp()
        + least(:first_s * 2 ^ least(failures - 1, 30), :most_s) * interval '1 second') END,
    closed_because = CASE WHEN failures = 0 THEN closed_because ELSE :because END
WHERE host = :host;

-- name: close_host^
-- The host asked to be left alone: for as long as it says, or, where it does not say, twice as long each time.
UPDATE hosts SET
    failures = failures + 1,
    closed_until = greatest(closed_until, clock_timestamp()
        + coalesce(:seconds::float8, least(:first_s * 2 ^ least(failures, 30), :most_s)) * interval '1 second'),
    closed_because = :because
WHERE host = :host
RETURNING closed_until;

-- name: robots^
SELECT robots, robots_at > clock_timestamp() - interval '1 day' AS fresh FROM hosts WHERE host = :host;

-- name: save_robots!
UPDATE hosts SET robots = :robots, robots_at = clock_timestamp() WHERE host = :host;

-- name: lock_budget
SELECT pg_advisory_xact_lock(hashtext('budget'), hashtext(:source));

-- name: budget_used^
-- What a source has spent today, and what others have reserved besides.
SELECT coalesce(sum(items) FILTER (WHERE spent), 0)::int AS items,
       coalesce(sum(bytes) FILTER (WHERE spent), 0)::bigint AS bytes,
       coalesce(sum(items) FILTER (WHERE NOT spent), 0)::int AS reserved_items,
       coalesce(sum(bytes) FILTER (WHERE NOT spent), 0)::bigint AS reserved_bytes
FROM (
    SELECT items, bytes, true AS spent FROM source_days WHERE source = :source AND day = :day
    UNION ALL
    SELECT items, greatest(bytes, received), false FROM visits
    WHERE source = :source AND day = :day AND visit_id <> :visit_id AND expires_at > clock_timestamp()
) used;

-- name: reserve_budget!
UPDATE visits SET items = :items, bytes = :bytes WHERE visit_id = :visit_id;

-- name: lock_volume
SELECT pg_advisory_xact_lock(hashtext('volume'), hashtext(:volume));

-- name: disk_reserved$
-- What others have reserved on a disk and not written yet.
SELECT coalesce(sum(greatest(disk_bytes - received, 0)), 0)::bigint FROM visits
WHERE volume = :volume AND visit_id <> :visit_id AND expires_at > clock_timestamp();

-- name: reserve_disk!
UPDATE visits SET volume = :volume, disk_bytes = :bytes WHERE visit_id = :visit_id;

-- name: known_entries
-- Which of these a source has already, by address or by the site's own name, and the crawl day that brought each. What
-- was taken down counts as known: nobody looks at its page again.
SELECT n.ordinal, max(v.partition_key) AS partition_key
FROM unnest(:uris::text[], :extractors::text[], :ids::text[]) WITH ORDINALITY AS n (uri, extractor, id, ordinal)
JOIN LATERAL (
    SELECT partition_key FROM videos WHERE source = :source AND origin_uri = n.uri
    UNION ALL
    SELECT partition_key FROM videos WHERE source = :source AND extractor = n.extractor AND extractor_id = n.id
    UNION ALL
    SELECT partition_key FROM video_aliases WHERE source = :source AND origin_uri = n.uri
    UNION ALL
    SELECT '' FROM tombstones WHERE (kind, value) IN (('origin', n.uri), ('item', n.extractor || ':' || n.id))
) v ON true
GROUP BY n.ordinal;
