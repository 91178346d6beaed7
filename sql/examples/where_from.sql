-- Where does what was kept come from, and under which licence may it be used?
SELECT v.title, p.source, p.fetched_from, p.uploader, p.uploaded_on, p.license, p.terms, p.fetched_at, p.client,
       p.sha256, p.metadata_uri, p.gone_at IS NOT NULL AS gone_upstream
FROM v_provenance p
JOIN v_videos v USING (video_id)
WHERE v.status = 'kept'
ORDER BY p.source, p.fetched_at;
