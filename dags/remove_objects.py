"""Remove what was taken down: clear its rows, delete its objects from the store, keep the ledger.

`humannet takedown` takes something out of every view at once; this follows in the background, also for what a stage was
still storing at that moment. An object that a video which stays holds too is kept. What the store refuses is tried
again later, up to once a day; `humannet takedown list`, or the view `v_takedowns`, shows how far each takedown is.
"""

from humannet_ops.orchestration.factories import removal_dag

# Airflow looks for a DAG object at module level.
dag = removal_dag(doc=__doc__)
