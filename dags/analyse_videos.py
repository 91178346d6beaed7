"""Analyse new videos: exact duplicates, one decode pass, near duplicates.

Follows every crawl day that a crawl announces.

1. `deduplicate_exact` rejects a video whose bytes are in the catalog already.
2. `analyse` decodes each video once, for shot boundaries, motion, blur, exposure, static framing, fingerprints and the
   frames that detection will look at. It cuts the video's time into clips.
3. `find_copies` compares each video's fingerprints with the catalog's.
4. `deduplicate_near` rejects all but the best of a set of copies; the survivor is named.

Announces `humannet://analysed`, which `curate_clips` follows.
"""

from humannet_ops.orchestration.factories import leg_dag

# Airflow looks for a DAG object at module level.
dag = leg_dag("analyse_videos", doc=__doc__)
