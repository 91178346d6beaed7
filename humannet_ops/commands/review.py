"""``humannet review``: clips that a person must look at, and what was decided."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows
from humannet_ops.domain.screening import Cause

if TYPE_CHECKING:
    from humannet_ops.catalog.reviews import Decision

_CAUSES = "\n\n".join(f"`{cause}`: {cause.description}" for cause in Cause)
app = typer.Typer(
    no_args_is_help=True,
    help="Clips that screening sends to a person: list them, let them pass, or withhold them.\n\n"
    "A clip stays in the corpus while it waits; `v_clips.review` says that it does. Withheld, it is rejected at once; "
    "its files stay until `humannet takedown` removes them.\n\n" + _CAUSES,
)
Clips = Annotated[list[str], typer.Argument(metavar="CLIP_ID...", help="Clips, as in `humannet review list`.")]
Note = Annotated[str | None, typer.Option(help="Why, for whoever looks later.")]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; by default who you are logged in as.")]
Source = Annotated[str | None, typer.Option(metavar="SOURCE", help="Only clips of this source.")]
Form = Annotated[Format, typer.Option("--format", help="How to print the answer.")]
_QUEUE = ("clip_id", "causes", "notes", "source", "title", "start_s", "end_s", "waits")
_DONE = ("clip_id", "decision", "causes", "decided_by", "note", "decided_at", "source", "title")
MOST = 1000


@app.command(
    "list",
    epilog="Examples: `humannet review list` · `humannet review list --cause minors_risk` · "
    "`humannet review list --decided --format csv > decisions.csv`",
)
def list_clips(
    cause: Annotated[Cause | None, typer.Option(help="Only clips with this cause.")] = None,
    source: Source = None,
    decided: Annotated[bool, typer.Option("--decided", help="Instead, what was decided, the latest first.")] = False,
    form: Form = Format.TABLE,
) -> None:
    """List the clips that wait for a person, who waits longest first (1,000 at most)."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        if decided:
            if cause is not None:
                raise LookupError("--cause is about clips that wait: leave it out with --decided")
            columns, rows = _DONE, reading.rows("reviewed", source=source, most=MOST)
        else:
            columns, rows = _QUEUE, reading.rows("review_queue", source=source, cause=cause, most=MOST)
        if not rows and form is Format.TABLE:
            console.print("Nothing was decided." if decided else "No clip waits for a person.")
            return
        print_rows(list(columns), ([row[name] for name in columns] for row in rows), form)
        if not decided and rows and rows[0]["total"] > len(rows) and form is Format.TABLE:
            console.print(f"{rows[0]['total']:,} wait in all.", highlight=False)


@app.command(
    "pass", epilog='Example: `humannet review pass c0123456789abcdef0123 --note "the restricted content is a statue"`'
)
def pass_clips(clips: Clips, note: Note = None, by: By = None) -> None:
    """Let clips pass. A clip waits again when screening finds another cause."""
    _decide(clips, "passed", note, by, "passed")


@app.command(epilog='Example: `humannet review withhold c0123456789abcdef0123 --note "a child alone"`')
def withhold(clips: Clips, note: Note = None, by: By = None) -> None:
    """Take clips out of the corpus: they are rejected as `withheld`. `pass` or `reopen` brings them back."""
    _decide(clips, "withheld", note, by, "withheld, and rejected from now on")


@app.command(epilog='Example: `humannet review reopen c0123456789abcdef0123 --note "asked by the uploader"`')
def reopen(clips: Clips, note: Note = None, by: By = None) -> None:
    """Let clips wait for a person (again), whatever screening found."""
    _decide(clips, "reopened", note, by, "waiting for a person")


def _decide(clips: list[str], decision: Decision, note: str | None, by: str | None, became: str) -> None:
    from humannet_ops.catalog import reviews

    with one_line_errors():
        count = reviews.decide(clips, decision, decided_by=by or getpass.getuser(), note=note)
        clips_are = "1 clip is" if count == 1 else f"{count:,} clips are"
        console.print(f"{clips_are} {became}.", highlight=False)
