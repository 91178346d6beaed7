"""``humannet store``: the object store beside the catalog."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from humannet_ops.commands.output import console, one_line_errors

if TYPE_CHECKING:
    from humannet_ops.settings import Settings
    from humannet_ops.stages.relocation import Move

app = typer.Typer(no_args_is_help=True, help="The object store: move a corpus to another one; list what nothing names.")
_SHOWN = 20


@app.command(
    epilog="Examples: `humannet store orphans` · `humannet store orphans > orphans.txt` · "
    "`humannet store orphans --delete --yes`"
)
def orphans(
    delete: Annotated[bool, typer.Option("--delete", help="Remove them. Nothing else may run meanwhile.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """List the objects that the catalog does not name: killed tasks left them, or a restored catalog is older."""
    from humannet_ops.stages import consistency
    from humannet_ops.storage import open_store

    with one_line_errors():
        found = list(consistency.orphans())
        for uri in found:
            print(uri)
        if not delete or not found:
            return
        if not yes:
            if not sys.stdin.isatty():
                raise LookupError("this is no terminal to ask on: look at the list, then give --yes")
            if not typer.confirm(f"Delete these {len(found):,} objects?", default=False):
                raise typer.Exit(1)
        for uri in found:
            open_store().delete(uri)
        print(f"{len(found):,} objects deleted.", file=sys.stderr)


@app.command(
    epilog="Examples: `humannet store move /mnt/large/store` · "
    "`humannet store move s3://lab-humannet/corpus --endpoint https://s3.example.org` · "
    "`humannet store move s3://new --from s3://old` (infra/runbooks/move-store.md has the whole way)"
)
def move(
    target: Annotated[str, typer.Argument(metavar="TARGET_URL", help="A folder, or s3://bucket/prefix.")],
    endpoint: Annotated[
        str | None, typer.Option(help="The target's S3 endpoint. By default HUMANNET_S3_ENDPOINT_URL.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Where the objects are. By default HUMANNET_STORE_URL.")
    ] = None,
    origin_endpoint: Annotated[
        str | None, typer.Option("--from-endpoint", help="Its S3 endpoint. By default HUMANNET_S3_ENDPOINT_URL.")
    ] = None,
    forget_lost: Annotated[
        bool, typer.Option("--forget-lost", help="What the old store has lost or damaged: do its work again.")
    ] = False,
) -> None:
    """Copy every object to another store, verify each there, and point the catalog to it. Goes on where it was ended.

    Nothing else may run meanwhile. The old store is left as it is; remove it when `humannet doctor --store` passes
    with the new one. Both stores are asked with the same AWS credentials.
    """
    from rich.filesize import decimal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from humannet_ops.catalog.relocation import count_elsewhere
    from humannet_ops.settings import settings
    from humannet_ops.stages import consistency, relocation
    from humannet_ops.storage import open_store

    with one_line_errors():
        config = settings()
        old = open_store(_at(origin or config.store, origin_endpoint))
        new = open_store(_at(target, endpoint))
        if relocation.base(old) == relocation.base(new):
            raise LookupError(f"the corpus is to be moved from {target} to itself: name the old store with --from")
        objects, size = count_elsewhere(relocation.base(new))
        console.print(f"{objects:,} objects, {decimal(size)}, from {origin or config.store}", highlight=False)
        columns = TextColumn("Moving"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Moving", total=objects)

            def shown(so_far: Move) -> None:
                bar.update(task, completed=so_far.moved + len(so_far.failed))

            done = relocation.move(old, new, shown)
        _tell(done)
        left = len(done.failed)
        if forget_lost and done.lost:
            left -= len(done.lost)
            console.print(f"{consistency.forget(done.lost):,} outcomes that stored what is lost are due again.")
    if left:
        console.print(
            f"{left:,} stay where they were. Call it again; --forget-lost gives up what the old store has lost.",
            highlight=False,
            soft_wrap=True,
        )
        raise typer.Exit(1)
    console.print(
        f"Set HUMANNET_STORE_URL={target} for every service, then `humannet doctor --store`.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _at(url: str, endpoint: str | None) -> Settings:
    from humannet_ops.settings import settings

    config = settings()
    return config.model_copy(update={"store_url": url, "s3_endpoint_url": endpoint or config.s3_endpoint_url})


def _tell(done: Move) -> None:
    from rich.filesize import decimal

    for uri, error in list(done.failed.items())[:_SHOWN]:
        console.print(f"Not moved: {uri}: {error}", markup=False, highlight=False, soft_wrap=True)
    if (more := len(done.failed) - _SHOWN) > 0:
        console.print(f"and {more:,} more")
    console.print(f"Moved and verified: {done.moved:,} objects, {decimal(done.bytes)}.", highlight=False)
