"""One `crawl_<source>` DAG for each file in `dags/sources/`.

A file that is wrong becomes a DAG tagged `broken` whose description says what to correct; the other sources stay.
"""

from humannet_ops.orchestration.factories import broken_dag, crawl_dag
from humannet_ops.sources import config

# Airflow looks for DAG objects at module level.
for _path in config.files():
    try:
        _dag = crawl_dag(config.read(_path))
    except config.SourceError as _error:
        _dag = broken_dag(_path.stem, _error)
    globals()[_dag.dag_id] = _dag
