"""What a run leaves to read: what failed and why, the funnel, the ledger, the HTML page."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from humannet_ops.domain.ledger import ledger_line
from humannet_ops.local.chain import Chain
from humannet_ops.local.client import Client, Refused
from humannet_ops.local.progress import Progress, Say


def explain_failures(api: Client, chain: Chain, say: Say) -> None:
    """Say which tasks failed, with the last lines of their logs."""
    for run in chain.failed():
        say(f"{run.dag_id} failed for {run.partition_key} ({run.run_id})")
        for task in run.failures():
            say(f"  {task['task_id']}[{task['rendered_map_index'] or task['map_index']}], try {task['try_number']}:")
            try:
                lines = [line for line in api.log(task).splitlines() if not line.startswith("::")][-12:]
            except Refused as error:
                lines = [str(error)]
            for line in lines:
                say(f"    {line}")


def result(home: Path, progress: Progress) -> bool:
    """Print the funnel and the ledger, write the HTML page, and say whether the ledger closes."""
    from humannet_ops.catalog import reading
    from humannet_ops.web import report

    funnel = reading.rows("funnel", source=None)
    table = Table("stage", "outcome", "reason", "videos", "clips", "hours", header_style="bold", show_edge=False)
    for row in funnel:
        hours = f"{row['hours']:.3f}"
        table.add_row(
            row["stage"], row["outcome"], row["reason"] or "", str(row["videos"] or 0), str(row["clips"] or 0), hours
        )
    progress.console.print(table)
    ledger = reading.row("ledger", source=None) or {}
    clips = reading.row("clip_ledger", source=None) or {}
    progress.say(ledger_line("Videos", ledger))
    progress.say(ledger_line("Clips", clips))
    page = home / "report.html"
    report.write(page)
    progress.say(f"Report: {page.as_uri()}")
    closes = ledger["videos"] == ledger["kept"] + ledger["rejected"] + ledger["failed"]
    if not closes:
        progress.say(f"The ledger does not close: {ledger['pending']} videos have no outcome yet (`humannet status`).")
    return bool(closes)


def queues(progress: Progress) -> None:
    """Print how the work was spread over the queues."""
    from humannet_ops.catalog import reading

    table = Table("queue", "stages", "shards", "outcomes", "seconds of work", header_style="bold", show_edge=False)
    for row in reading.rows("queue_shares"):
        stages = ", ".join(row["stages"])
        table.add_row(row["queue"], stages, str(row["shards"]), str(row["outcomes"]), f"{row['seconds']:.0f}")
    progress.console.print(table)
