"""Annotate kept clips: body and hand pose per frame, scores, a factual description.

Follows `humannet://clips`. Dense signals go into Parquet objects in the store, their summary into the catalog.

Announces `humannet://annotated`.
"""

from humannet_ops.orchestration.factories import leg_dag

# Airflow looks for a DAG object at module level.
dag = leg_dag("annotate_clips", doc=__doc__)
