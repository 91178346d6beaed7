"""``humannet takedown``: what must go, goes at once, stays away, and leaves a ledger."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows
from humannet_ops.domain.ledger import spoken_hours

if TYPE_CHECKING:
    from humannet_ops.catalog.takedowns import Scope, Takedown
    from humannet_ops.stages.removal import Removal

app = typer.Typer(help="Take a video, a channel or a source down; list what was.")
_SHOWN = 20


@app.callback(
    invoke_without_command=True,
    epilog="Examples: `humannet takedown --video v1a2b3... --reason 'asked by the uploader' --dry-run` · "
    "`humannet takedown --channel youtube:UCx --reason 'case 1234' --by ann --yes` · `humannet takedown list`",
)
def takedown(
    context: typer.Context,
    video: Annotated[
        str | None, typer.Option(metavar="VIDEO", help="A video's id or any address of it: the item, all its versions.")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(metavar="CHANNEL", help="All of a channel, also what it publishes later.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="All that a source brought. It is not crawled any more.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the ledger.")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who asks; by default who runs this.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Remove the objects now, or leave it to the DAG remove_objects.")
    ] = True,
) -> None:
    """Take something down: out of every view and export at once, its objects removed, never crawled again.

    Files with the same bytes go with it, wherever they come from. Edited copies are listed for you to decide.
    """
    if context.invoked_subcommand is not None:
        return
    from humannet_ops.catalog import takedowns

    with one_line_errors():
        scope, named = _target(video, channel, source)
        if not reason or not reason.strip():
            raise LookupError("say why, for the ledger: --reason 'asked by the uploader, mail of 3 May'")
        target = takedowns.find(scope, named)
        requested_by = by or getpass.getuser()
        if dry_run or not yes:
            would = takedowns.take_down(scope, target, reason=reason, requested_by=requested_by, dry_run=True)
            _preview(scope, target, would)
        if dry_run:
            console.print("Nothing was changed.")
            return
        if not yes:
            _confirm(scope, target)
        done = takedowns.take_down(scope, target, reason=reason, requested_by=requested_by)
        name = str(done.ledger["takedown_id"])
        if done.repeated:
            asked = f"{done.ledger['requested_at']:%Y-%m-%d} by {done.ledger['requested_by']}"
            since = f"{_counted(done.videos, 'video')} came since" if done.videos else "nothing came since"
            console.print(f"This was taken down before, on {asked}; {since}.", markup=False, highlight=False)
        else:
            gone = _counted(done.videos, "video")
            console.print(f"Out of every view, never to be crawled again: {gone}.", markup=False, highlight=False)
        if wait:
            _remove(name, done.objects)
        _ledger(takedowns.ledger(name), done)


@app.command("list", epilog="Examples: `humannet takedown list` · `humannet takedown list --format json`")
def takedown_list(
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List every takedown with what it covers and how far its removal has come."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        rows = reading.rows("takedowns")
        if not rows and form is Format.TABLE:
            console.print("Nothing was taken down.")
            return
        columns = list(rows[0]) if rows else ["takedown_id"]
        print_rows(columns, (row.values() for row in rows), form)


def _target(video: str | None, channel: str | None, source: str | None) -> tuple[Scope, str]:
    given: tuple[tuple[Scope, str | None], ...] = (("video", video), ("channel", channel), ("source", source))
    named = [(scope, value) for scope, value in given if value is not None]
    if len(named) != 1:
        raise LookupError("say what to take down: exactly one of --video, --channel and --source")
    return named[0]


def _preview(scope: str, target: str, would: Takedown) -> None:
    from rich.filesize import decimal

    row = would.ledger
    already = row["videos"] - would.videos
    console.print(f"Taking down {scope} {target} covers:", markup=False, highlight=False, soft_wrap=True)
    for line in (
        _extent(row) + (f" (taken down already: {_counted(already, 'video')})" if already else ""),
        f"{_counted(would.objects, 'object')} to remove, {decimal(would.bytes)}",
        f"releases that hold clips of it: {', '.join(would.releases) or 'none'}",
    ):
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    _near_duplicates(would)


def _extent(row: dict[str, Any]) -> str:
    return f"{_counted(row['videos'], 'video')}, {_counted(row['clips'], 'clip')}, {spoken_hours(row['hours'])}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _near_duplicates(covered: Takedown) -> None:
    if not covered.near_duplicates:
        return
    console.print("Edited copies of it that stay. Look at each, and take it down too if it should go:")
    for row in covered.near_duplicates[:_SHOWN]:
        title = " ".join(str(row["title"] or "untitled").split())
        line = f"  {row['video_id']}  {title}  {row['origin_uri']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if (more := len(covered.near_duplicates) - _SHOWN) > 0:
        console.print(f"  and {more} more")


def _confirm(scope: str, target: str) -> None:
    if not sys.stdin.isatty():
        raise LookupError("this is no terminal to ask on: look at it with --dry-run, then give --yes")
    if not typer.confirm(f"Take {scope} {target} down? It cannot be undone", default=False):
        console.print("Nothing was changed.")
        raise typer.Exit(1)


def _remove(name: str, objects: int) -> None:
    from rich.progress import Progress

    from humannet_ops.settings import settings
    from humannet_ops.stages.removal import remove_objects
    from humannet_ops.web import report

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Removing objects", total=objects)

        def shown(so_far: Removal) -> None:
            bar.update(task, completed=so_far.removed + so_far.failed + so_far.needed)

        remove_objects(takedown=name, progress=shown)
    page = settings().home / "report.html"
    if page.exists():
        report.write(page)
        console.print(f"Written anew: {page}", markup=False, highlight=False, soft_wrap=True)


def _ledger(row: dict[str, Any], done: Takedown) -> None:
    failed = f", {row['objects_failed']} could not be yet" if row["objects_failed"] else ""
    console.print(
        f"Ledger {row['takedown_id']}: {_extent(row)}; {row['objects_removed']:,} of {row['objects']:,} objects removed"
        f"{failed}; {_counted(row['releases_recalled'], 'release')} recalled.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if row["objects_removed"] < row["objects"] or row["videos_cleared"] < row["videos"]:
        console.print("The DAG remove_objects goes on with the rest; `humannet takedown list` shows how far it is.")
    for release in done.releases:
        console.print(f"Recalled: release {release} holds clips of it; publish a new one.", markup=False)
    _near_duplicates(done)
