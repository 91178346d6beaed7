"""``humannet channel``: who publishes what is crawled, and who is not fetched any more."""

from __future__ import annotations

import getpass
from typing import Annotated, Literal

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

app = typer.Typer(
    no_args_is_help=True,
    help="Channels: what is kept of each, and what was decided about it.\n\n"
    "A channel of which too little is kept is paused by itself (`channels` in a source's file says when).",
)
Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel_id, as in `humannet channel list`.")]
Note = Annotated[str | None, typer.Option(help="Why, for whoever looks later.")]


@app.command(
    "list",
    epilog="Examples: `humannet channel list` · `humannet channel list --status paused` · "
    "`humannet channel list --source cooking --format csv > channels.csv`",
)
def list_channels(
    source: Annotated[str | None, typer.Option(help="Only channels of this source's videos.")] = None,
    status: Annotated[
        Literal["active", "paused", "pinned", "banned"] | None, typer.Option(help="Only channels in this state.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List channels: how much of each is kept, what was decided, and why."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        found = reading.rows("channels", source=source, status=status)
        columns = list(found[0]) if found else ["channel_id", "title", "status", "videos", "kept", "reason"]
        print_rows(columns, (row.values() for row in found), form)


@app.command(epilog='Example: `humannet channel pin youtube:UC123 --note "rare tools, worth every clip"`')
def pin(channel: Channel, note: Note = None) -> None:
    """Never pause a channel. Its candidates that were rejected for it are due again."""
    from humannet_ops.catalog import channels

    with one_line_errors():
        due = channels.pin(channel, getpass.getuser(), note)
        console.print(f"{channel} is pinned; {due} of its candidates are due again.", highlight=False, markup=False)


@app.command(epilog='Example: `humannet channel ban youtube:UC123 --note "re-uploads of others"`')
def ban(channel: Channel, note: Note = None) -> None:
    """Fetch nothing more of a channel. What was fetched stays; `humannet takedown` removes."""
    from humannet_ops.catalog import channels

    with one_line_errors():
        channels.ban(channel, getpass.getuser(), note)
        console.print(f"{channel} is banned: nothing more of it is fetched.", highlight=False, markup=False)


@app.command(epilog="Example: `humannet channel release youtube:UC123`")
def release(channel: Channel, note: Note = None) -> None:
    """Unpause, unban or unpin a channel. It is judged again by what is found from now on."""
    from humannet_ops.catalog import channels

    with one_line_errors():
        due = channels.release(channel, getpass.getuser(), note)
        console.print(f"{channel} is active; {due} of its candidates are due again.", highlight=False, markup=False)
