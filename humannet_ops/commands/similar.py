"""``humannet similar``: clips that look like a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

if TYPE_CHECKING:
    from humannet_ops.catalog.similarity import Similar

_COLUMNS = ("similarity", "clip_id", "source", "title", "start_s", "end_s")


def similar(
    clip_id: Annotated[str, typer.Argument(metavar="CLIP_ID", help="A clip of v_clips.")],
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=1000, help="How many to find.")] = 20,
    elsewhere: Annotated[bool, typer.Option("--elsewhere", help="Only clips of other videos.")] = False,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Only clips that meet this condition on v_corpus."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List the clips that look most like a clip, the nearest first.

    Similarity is the cosine between the clips' embeddings: 1 for the same pictures, about 0 for clips that have nothing
    to do with each other, seldom above 0.4 unless the place or the things are the same. A condition is SQL over the
    columns of `v_corpus` (sql/README.md), asked read-only.
    """
    from humannet_ops.catalog import similarity

    with one_line_errors():
        found = similarity.similar(clip_id, most, elsewhere=elsewhere, condition=where)
        if found.clips or form is not Format.TABLE:
            print_rows(list(_COLUMNS), ([row[name] for name in _COLUMNS] for row in found.clips), form)
        if form is Format.TABLE and len(found.clips) < most:
            console.print(_why_so_few(found), highlight=False, style="dim")


def _why_so_few(found: Similar) -> str:
    clips = "1 clip" if len(found.clips) == 1 else f"{len(found.clips):,} clips"
    if found.exhausted:
        return f"({clips} of the {found.looked_at:,} others that have an embedding)"
    return f"({clips} among the nearest {found.looked_at:,}; those farther away were not looked at)"
