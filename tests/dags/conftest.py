"""DAG files are read the way Airflow's DAG processor reads them, without a database."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest

# Airflow reads its configuration when it is first imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="humannet-airflow-")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    from humannet_ops.orchestration import dag_list

    return {dag.dag_id: dag for dag in dag_list.dags()}
