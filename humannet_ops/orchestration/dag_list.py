"""The list of DAGs in ``dags/README.md``, generated: ``python -m humannet_ops.orchestration.dag_list``."""

from __future__ import annotations

from pathlib import Path

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from humannet_ops.orchestration.legs import LEGS, REMOVAL, REVISIT, STATISTICS
from humannet_ops.settings import REPOSITORY

README = REPOSITORY / "dags" / "README.md"

_HEAD = """\
# The DAGs

Generated from the DAGs' docstrings by `python -m humannet_ops.orchestration.dag_list`; a test holds it up to date.

    crawl_<source>  --humannet://videos-->  analyse_videos  --humannet://analysed-->  curate_clips
                    --humannet://clips-->  annotate_clips  --humannet://annotated-->  compile_statistics

Every run is about one crawl day, its partition key (`2026-01-31`). A crawl's key is its schedule's day; the other DAGs
follow with the same key. What is due is asked of the catalog, so a second run of a day does only what is left.

| to | do |
|---|---|
| crawl for a day by hand | *Trigger* in the UI with that partition key; without one, a crawl is for today |
| crawl past days | `humannet local airflow backfill create --dag-id crawl_<source> --from-date … --to-date …` |
| do what is due again after a stage or a model changed | trigger `revisit_partitions`, or wait for its schedule |
| do that for some days only | the same, with the configuration `{"partitions": ["2026-01-31"]}` |
| add a source | a file in `dags/sources/` with a `description`; its DAG appears within half a minute |
| correct a source's file | its DAG is tagged `broken` and says what is wrong; so does `humannet source check FILE` |
| take a video, a channel or a source down | `humannet takedown`; `remove_objects` follows by itself |

Two things Airflow does that surprise: an asset's event is lost for a DAG that is paused when it comes, so keep the DAGs
after the crawls unpaused; and a backfill of anything but a crawl is refused, so backfill the crawl.
"""


def dags() -> list[DAG]:
    """Return all DAGs in the order of a video's way.

    Raises:
        ImportError: a DAG file cannot be read.
    """
    bag = DagBag(dag_folder=str(REPOSITORY / "dags"), collect_dags=True)
    if bag.import_errors:
        raise ImportError("\n".join(f"{name}: {reason}" for name, reason in bag.import_errors.items()))
    order = [leg.dag_id for leg in LEGS] + [STATISTICS, REVISIT, REMOVAL]
    return sorted(
        bag.dags.values(), key=lambda dag: (order.index(dag.dag_id) if dag.dag_id in order else -1, dag.dag_id)
    )


def render(found: list[DAG]) -> str:
    """Return the README's text."""
    parts = [_HEAD]
    for dag in found:
        tasks = " → ".join(f"`{task.task_id}`{' a shard' * task.is_mapped}" for task in dag.topological_sort())
        facts = f"Starts: {_start(dag)}. Tags: {', '.join(f'`{tag}`' for tag in sorted(dag.tags))}.\n\nTasks: {tasks}"
        parts.append(f"## {dag.dag_id}\n\n{(dag.doc_md or '').strip()}\n\n{facts}\n")
    return "\n".join(parts)


def _start(dag: DAG) -> str:
    followed = {leg.dag_id: leg.follows for leg in LEGS} | {STATISTICS: LEGS[-1].announces}
    if dag.dag_id in followed:
        return f"when a crawl day of `{followed[dag.dag_id]}` is announced"
    expression = getattr(dag.timetable, "expression", None)
    return f"by the schedule `{expression}` (UTC)" if expression else "by hand"


def main(path: Path = README) -> None:
    """Write the README."""
    path.write_text(render(dags()))


if __name__ == "__main__":
    main()
