"""The way of a video as legs: which stages one DAG holds, which asset starts it, which asset it announces.

Nothing here imports Airflow, so that whoever follows a run may read it cheaply.
"""

from __future__ import annotations

from dataclasses import dataclass

from humannet_ops.stages import registry

FETCHED = "humannet://videos"


@dataclass(frozen=True, slots=True)
class Leg:
    """One DAG between two assets.

    Attributes:
        dag_id: The DAG, a verb and a noun.
        stages: What it runs; each follows those of them that it needs, and the others side by side.
        follows: The asset whose partition starts it.
        announces: The asset whose partition it announces when it is through.
        weight: Priority of its shards where slots are short: what is nearest its end goes first, so that little lies
            half-done.
    """

    dag_id: str
    stages: tuple[str, ...]
    follows: str
    announces: str
    weight: int


_FIRST_OF_ANNOTATION = registry.STAGES.index("cut") + 1
LEGS = (
    Leg(
        "analyse_videos",
        ("deduplicate_exact", "analyse", "find_copies", "deduplicate_near"),
        FETCHED,
        "humannet://analysed",
        10,
    ),
    Leg("curate_clips", ("detect", "decide", "cut"), "humannet://analysed", "humannet://clips", 20),
    Leg("annotate_clips", registry.STAGES[_FIRST_OF_ANNOTATION:], "humannet://clips", "humannet://annotated", 30),
)
REVISIT = "revisit_partitions"
REMOVAL = "remove_objects"
STATISTICS = "compile_statistics"

# Planning goes before everything; what is tried again before what is fetched for the first time (1). Within one weight
# Airflow takes the lowest map index of every run, so that runs (crawls of several sources, say) take turns, and a retry
# overtakes the rest of its run.
PLANNING_WEIGHT = 100
REVISIT_WEIGHT = 5

# Slots a pool has where nobody set it: a task waits for one as "scheduled", where no queue timeout can trip.
POOLS = {
    "crawl": (4, "Tasks that read from a source, on this machine or the network."),
    "cpu": (4, "Tasks that decode, compare and encode."),
    "gpu": (1, "Tasks that run models. One slot a device."),
}


def crawl_dag_id(source: str) -> str:
    """Return the DAG of a source."""
    return f"crawl_{source}"
