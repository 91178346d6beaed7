"""``humannet source``: check, write and list sources, and let through what their licence policy asks about."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import typer

from humannet_ops.commands.output import Format, console, one_line_errors, print_rows

app = typer.Typer(
    no_args_is_help=True, help="Sources: check and write their files, list them, approve what asks for a person."
)
# Asked of every source after what its kind needs; all else has a default that suits most.
_ALSO_ASKED = ("schedule", "license", "terms", "connection")


@app.command(
    epilog="Examples: `humannet source check dags/sources/*.yaml` · `humannet source check cooking.yaml && echo fine`"
)
def check(files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Source files.")]) -> None:
    """Check source files and print every fault, one line each. Exit status 1 if there is any."""
    from humannet_ops.sources import config

    wrong = 0
    for path in files:
        try:
            found = config.read(path)
        except config.SourceError as error:
            wrong += 1
            print(error, file=sys.stderr)
        else:
            console.print(
                f"{path.name}: ok, {found.kind}, crawled at {found.schedule!r} UTC", highlight=False, soft_wrap=True
            )
    raise typer.Exit(1 if wrong else 0)


@app.command(
    epilog="Examples: `humannet source new` · `humannet source new cooking --kind folder --set path=/data/cooking "
    '--set description="Our kitchen"` · `humannet source new panda --kind http_manifest --set '
    "manifest=https://example.org/panda70m.csv --set license=unknown`"
)
def new(
    name: Annotated[str | None, typer.Argument(help="Its name: small letters, digits and _.")] = None,
    kind: Annotated[str | None, typer.Option(help="Which kind of source it is.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field, its value as in YAML. With any, nothing is asked."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the file goes; by default where sources are.")] = None,
) -> None:
    """Write a source's file by asking, or from options. A file that exists is never overwritten."""
    from humannet_ops.settings import settings as configured
    from humannet_ops.sources import config

    with one_line_errors():
        interactive = not settings
        name = name or _asked("source", "its name, which is the file's and the DAG's", required=True)
        path = (folder or configured().sources_dir) / f"{name}.yaml"
        _see_that_it_is_new(path)
        content: dict[str, Any] = {"source": name, "kind": _kind(kind, interactive)}
        if interactive:
            _ask(content)
        else:
            content.update(_given(content["kind"], settings or []))
        text = _written(content)
        config.parse(_read(text), path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        console.print(
            f"{path} is written. Its DAG crawl_{name} appears within half a minute.", highlight=False, soft_wrap=True
        )


@app.command(
    "list",
    epilog="Examples: `humannet source list` · `humannet source list --format csv > sources.csv`",
)
def list_sources(
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List sources: kind, schedule, last crawl and what they brought."""
    from humannet_ops.catalog import reading
    from humannet_ops.sources import config

    with one_line_errors():
        brought = {row["source"]: row for row in reading.rows("source_yields", source=None)}
        columns = [
            "source", "kind", "schedule", "last crawl", "new", "videos", "kept", "rejected", "failed", "pending",
            "kept hours",
        ]  # fmt: skip
        rows = []
        for path in config.files():
            try:
                found = config.read(path)
                described = [found.kind, found.schedule]
            except config.SourceError:
                described = ["wrong", f"see humannet source check {path}"]
            rows.append([path.stem, *described, *_yield(brought.pop(path.stem, None))])
        rows += [[name, "removed", None, *_yield(row)] for name, row in sorted(brought.items())]
        print_rows(columns, rows, form)


@app.command(
    epilog="Examples: `humannet source faults` · `humannet source faults --source panda --format csv > faults.csv`"
)
def faults(
    source: Annotated[str | None, typer.Option(help="Only this source's.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List what was wrong with rows of a manifest at its last reading: the line, the reason, what became of it."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        found = reading.rows("listing_faults", source=source)
        print_rows(["source", "line", "reason", "partition_key"], (row.values() for row in found), form)


@app.command(
    epilog="Examples: `humannet source approve --video v1a2b3...` · "
    '`humannet source approve --source panda --note "agreed with legal, ticket 12"`'
)
def approve(
    video: Annotated[str | None, typer.Option(help="This video.")] = None,
    source: Annotated[str | None, typer.Option(help="All of this source that wait for a person now.")] = None,
    note: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides; by default who you are logged in as.")] = None,
) -> None:
    """Let videos pass whose licence asks for a person (`license_review`); they are due again."""
    from humannet_ops.catalog import approvals, reading

    with one_line_errors():
        if (video is None) == (source is None):
            raise LookupError("give either --video ID or --source NAME")
        known = [row["source"] for row in reading.rows("source_names")]
        if source is not None and source not in known:
            raise LookupError(f"no source {source!r} in the catalog; those are {', '.join(known) or 'none yet'}")
        found = approvals.approve(video_id=video, source=source, approved_by=by or getpass.getuser(), note=note)
        console.print(f"{found.approved} approved; {found.due} of them are due again.", highlight=False, soft_wrap=True)


def _yield(row: dict[str, Any] | None) -> list[Any]:
    if row is None:
        return [None] * 8
    ended = row["last_ended_at"]
    return [
        ended and f"{ended:%Y-%m-%d %H:%M}", row["last_new"], row["videos"], row["kept"], row["rejected"],
        row["failed"], row["pending"], float(row["kept_hours"]),
    ]  # fmt: skip


def _given(kind: str, settings: list[str]) -> Iterator[tuple[str, Any]]:
    for setting in settings:
        field, found, value = setting.partition("=")
        if not found:
            raise LookupError(f"--set {setting}: expected FIELD=VALUE, like license=CC0-1.0")
        yield field.strip(), _value(kind, field.strip(), value)


def _value(kind: str, name: str, text: str) -> Any:
    """Return what a text is as a field: text where the field is text, else what YAML makes of it."""
    from humannet_ops.sources.kinds import config_class

    field = config_class(kind).model_fields.get(name)
    if field is not None and (field.annotation in (str, str | None) or get_origin(field.annotation) is Literal):
        return text
    return _read(text)


def _read(text: str) -> Any:
    import yaml

    from humannet_ops.sources.faults import syntax

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LookupError(f"{text}: not readable as YAML: {syntax(error)}") from error


def _written(content: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _see_that_it_is_new(path: Path) -> None:
    if path.exists():
        raise LookupError(f"{path} exists already; edit it, or choose another name")


def _kind(kind: str | None, interactive: bool) -> str:
    from humannet_ops.sources.kinds import KINDS

    if kind is None and interactive:
        console.print(f"Kinds: {', '.join(KINDS)}", highlight=False, soft_wrap=True)
    if kind is None:
        kind = _asked("kind", "which kind of source it is", required=True) if interactive else "missing"
    while kind not in KINDS:
        fault = f"{kind!r} is no kind of source; expected {', '.join(KINDS)}"
        if not interactive:
            raise LookupError(f"--kind: {fault}")
        console.print(f"  {fault}", highlight=False, markup=False, soft_wrap=True)
        kind = _asked("kind", "which kind of source it is", required=True)
    return kind


def _ask(content: dict[str, Any]) -> None:
    """Ask for what a kind needs, for what else it knows, for what every source has; ask again for what is wrong."""
    from humannet_ops.sources import config
    from humannet_ops.sources.config import Network
    from humannet_ops.sources.faults import meanings
    from humannet_ops.sources.kinds import config_class

    model = config_class(content["kind"])
    fields, means = model.model_fields, meanings(model)
    needed = [name for name, field in fields.items() if field.is_required() and name not in content]
    common = Network if issubclass(model, Network) else config.SourceConfig
    own = [name for name in fields if name not in {*common.model_fields, *needed, *content}]
    also = [name for name in _ALSO_ASKED if name in fields]
    console.print("Enter leaves a field at its default; values are as in YAML.", highlight=False, soft_wrap=True)
    for name in [*needed, *own, *also]:
        _set(content, name, means.get(name, ""), required=name in needed)
    while True:
        try:
            config.parse(_read(_written(content)), f"{content['source']}.yaml")
        except config.SourceError as error:
            for fault in error.faults:
                console.print(f"  {fault}", highlight=False, markup=False, soft_wrap=True)
                name = fault.field.partition(".")[0].partition(" ")[0]
                content.pop(name, None)
                _set(content, name, means.get(name, ""), required=name in fields and fields[name].is_required())
        else:
            return


def _set(content: dict[str, Any], name: str, meaning: str, *, required: bool) -> None:
    answer = _asked(name, meaning, required=required)
    if answer:
        try:
            content[name] = _value(content["kind"], name, answer)
        except LookupError:
            content[name] = answer


def _asked(name: str, meaning: str, *, required: bool) -> str:
    console.print(f"[bold]{name}[/]: ", end="")
    console.print(meaning, highlight=False, markup=False, soft_wrap=True)
    while True:
        answer: str = typer.prompt("  ", default="", show_default=False, prompt_suffix="> ").strip()
        if answer or not required:
            return answer
        console.print("  it is needed")
