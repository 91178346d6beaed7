"""What every task needs, imported once in the processes whose forks the tasks are.

A task is a fork, and so is the reading of a DAG file. What their parent has not imported, each imports for itself, and
that was most of what a small task cost (infra/decisions/0026).
"""

from __future__ import annotations

# Their forks are tasks (those of LocalExecutor, and Celery's) or read DAG files.
FORKING = frozenset({"scheduler", "worker", "dag-processor"})


def preload() -> None:
    """Import the stages and what they are planned with. Nothing is opened, and nothing depends on the environment.

    Models, connections and settings stay with each task: what a fork inherits must be the same for all of them, and
    libraries that start threads when they are imported are not for a parent.
    """
    # Airflow asks its providers what an asset's address means, and Amazon's imports boto3 for that.
    import boto3  # noqa: F401

    from humannet_ops.catalog.connection import queries
    from humannet_ops.domain.taxonomy import taxonomy
    from humannet_ops.orchestration import factories  # noqa: F401
    from humannet_ops.stages import execution, registry

    queries()
    taxonomy()
    # of the code that is imported here, whatever lies on the disk when a task begins
    execution.code_revision()
    for stage in registry.STAGES:
        registry.spec(stage)
