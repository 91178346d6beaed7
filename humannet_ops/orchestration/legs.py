"""The way of a video as legs: which stages one DAG holds, which asset starts it, which asset it announces.

Nothing here imports Airflow, so that whoever follows a run may read it cheaply.
"""

from __future__ import annotations

from dataclasses import dataclass

FETCHED = "humannet://videos"


@dataclass(frozen=True, slots=True)
class Leg:
    """One DAG between two assets.

    Attributes:
        dag_id: The DAG, a verb and a noun.
        stages: What it runs, in order.
        follows: The asset whose partition starts it.
        announces: The asset whose partition it announces when it is through.
    """

    dag_id: str
    stages: tuple[str, ...]
    follows: str
    announces: str


LEGS = (
    Leg("analyse_videos", ("deduplicate_exact", "analyse", "deduplicate_near"), FETCHED, "humannet://analysed"),
    Leg("curate_clips", ("detect", "decide", "cut"), "humannet://analysed", "humannet://clips"),
    Leg("annotate_clips", ("annotate",), "humannet://clips", "humannet://annotated"),
)
REVISIT = "revisit_partitions"
REMOVAL = "remove_objects"

# Slots a pool has where nobody set it: a task waits for one as "scheduled", where no queue timeout can trip.
POOLS = {
    "crawl": (4, "Tasks that read from a source, on this machine or the network."),
    "cpu": (4, "Tasks that decode, compare and encode."),
    "gpu": (1, "Tasks that run models. One slot a device."),
}


def crawl_dag_id(source: str) -> str:
    """Return the DAG of a source."""
    return f"crawl_{source}"
