"""Compile the corpus statistics after each crawl day that was annotated, and keep the numbers.

Follows `humannet://annotated`. `count` asks the catalog for everything at once, of all kept clips: hours, objects,
tasks, scores, labels, shares. The page [/humannet/statistics](/humannet/statistics) shows the latest; earlier numbers
stay in the table `statistics`. A run for a crawl day whose work is in the latest numbers already is skipped, so a
backfill of a month counts once or twice, not thirty times. Trigger it by hand, without a partition key, to count now.
"""

from humannet_ops.orchestration.factories import statistics_dag

# Airflow looks for a DAG object at module level.
dag = statistics_dag(doc=__doc__)
