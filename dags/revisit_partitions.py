"""Revisit crawl days that have work left: after a stage or a model changed, after failures were set to be retried.

Asks the catalog which crawl days have subjects without an outcome at the current stage versions, and announces each of
them, so that `analyse_videos` and what follows it run for that day. A day without work is not touched.
"""

from humannet_ops.orchestration.factories import revisit_dag

# Airflow looks for a DAG object at module level.
dag = revisit_dag(doc=__doc__)
