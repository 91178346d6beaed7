"""Annotate kept clips: people, poses, camera, robot motion, words, labels, what a person must look at.

Follows `humannet://clips`. Each stage is planned, versioned and done again by itself, as soon as the stages that it
needs are through with the crawl day; the others go on side by side. A stage that has nothing to add to a clip, or for
which no model is installed, skips it and says why. Dense signals go into Parquet objects in the store, summaries into
the catalog.

Announces `humannet://annotated`.
"""

from humannet_ops.orchestration.factories import leg_dag

# Airflow looks for a DAG object at module level.
dag = leg_dag("annotate_clips", doc=__doc__)
