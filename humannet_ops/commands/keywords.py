"""``humannet keyword``: what sources are searched for, and what each phrase brought."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

if TYPE_CHECKING:
    from humannet_ops.sources.searching import Searching

app = typer.Typer(
    no_args_is_help=True,
    help="Keywords: what sources are searched for, what each phrase brought, who proposed it.",
)
Source = Annotated[str, typer.Option(help="The source, as its file is named.")]
Phrase = Annotated[str, typer.Argument(help="What to search for.")]


class Strategy(StrEnum):
    """Who proposes keywords."""

    NEAREST = "nearest"
    TAXONOMY = "taxonomy"
    LLM = "llm"


@app.command(
    "list",
    epilog="Examples: `humannet keyword list` · `humannet keyword list --source cooking --status active` · "
    "`humannet keyword list --format csv > keywords.csv`",
)
def list_keywords(
    source: Annotated[str | None, typer.Option(help="Only this source's.")] = None,
    status: Annotated[
        Literal["active", "paused", "retired"] | None, typer.Option(help="Only keywords in this state.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List keywords, the best yield (kept hours per fetched hour) first. The view `v_keywords` has them too."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        found = reading.rows("keywords", source=source, status=status)
        columns = list(found[0]) if found else ["keyword", "source", "parent", "proposed_by", "status", "yield"]
        print_rows(columns, (row.values() for row in found), form)


@app.command(epilog='Example: `humannet keyword add "whittling a spoon" --source cooking`')
def add(phrase: Phrase, source: Source) -> None:
    """Add a phrase to a source, or let one that was paused or retired be searched for again."""
    from humannet_ops.catalog import keywords
    from humannet_ops.domain.keyword import Proposal, tidied

    with one_line_errors():
        try:
            text = tidied(phrase)
        except ValueError as error:
            raise LookupError(str(error)) from error
        _planted(source)
        if keywords.add(source, [Proposal(text, getpass.getuser())]):
            console.print(f"{source} is searched for {text!r} from its next crawl on.", highlight=False, markup=False)
        else:
            keywords.activate(source, text)
            console.print(f"{source} has {text!r} already; it is active.", highlight=False, markup=False)


@app.command(epilog='Example: `humannet keyword pause "chopping onions" --source cooking --reason "enough of them"`')
def pause(
    phrase: Phrase,
    source: Source,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks later.")] = "a person paused it",
) -> None:
    """Stop searching for a phrase, a seed too. `humannet keyword add` takes it up again."""
    from humannet_ops.catalog import keywords

    with one_line_errors():
        paused = keywords.pause(source, phrase, reason)
        console.print(f"{source} is searched for {paused!r} no more.", highlight=False, markup=False)


@app.command(
    epilog="Examples: `humannet keyword expand --source cooking` · "
    '`humannet keyword expand "chopping onions" --source cooking --strategy taxonomy --most 10`'
)
def expand(
    source: Source,
    phrase: Annotated[str | None, typer.Argument(help="Propose from this keyword alone.")] = None,
    strategy: Annotated[
        list[Strategy] | None,
        typer.Option(help="Who proposes; repeat it for several. Those of the source's file where none is named."),
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="How many keywords to add at most.")] = 5,
) -> None:
    """Propose keywords now, from those that keep most. A crawl does the same by itself."""
    from humannet_ops.sources.expansion.growth import grow

    with one_line_errors():
        config = _planted(source)
        growth = grow(source, strategy or config.expansion.strategies, most, phrase)
        for added in growth.added:
            console.print(f"+ {added.phrase}", highlight=False, markup=False)
        for name, fault in growth.faults.items():
            console.print(f"{name} proposed nothing: {fault}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"{len(growth.added)} keywords added to {source}.", highlight=False)


def _planted(source: str) -> Searching:
    """Read a source's file and see that its seeds are keywords."""
    from humannet_ops.catalog import keywords
    from humannet_ops.sources import config, kinds
    from humannet_ops.sources.searching import Searching

    described = config.load(source)
    if not isinstance(described, Searching):
        raise LookupError(f"{source} has no keywords: sources of the kind {described.kind} are not searched")
    keywords.plant(source, described.kind, kinds.open_source(described).address(), described.seeds)
    return described
