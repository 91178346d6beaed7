"""The ``humannet`` command."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Annotated, Any

import typer

from humannet_ops.cluster.cli import app as cluster_app
from humannet_ops.commands import (
    channels,
    keywords,
    metrics,
    plan,
    review,
    serving,
    show,
    similar,
    sources,
    stats,
    store,
    takedown,
)
from humannet_ops.commands.output import Format, cell, console, one_line_errors, print_rows
from humannet_ops.domain.ledger import ledger_line, spoken_hours
from humannet_ops.local.cli import app as local_app

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Ask the catalog, explain a clip, run a stage, check the installation.\n\n"
    "The catalog is the embedded one under HUMANNET_HOME, or what HUMANNET_CATALOG_URL names.",
)
stage_app = typer.Typer(no_args_is_help=True, help="Stages: list them, or run one without Airflow.")
models_app = typer.Typer(no_args_is_help=True, help="Models: which one fills which role, and why.")
app.add_typer(stage_app, name="stage")
app.add_typer(models_app, name="models")
app.add_typer(sources.app, name="source")
app.add_typer(keywords.app, name="keyword")
app.add_typer(channels.app, name="channel")
app.add_typer(review.app, name="review")
app.add_typer(takedown.app, name="takedown")
app.add_typer(store.app, name="store")
app.command(
    epilog="Examples: `humannet show c0123456789abcdef0123` · `humannet show c0123456789abcdef0123 --to walk.mp4`"
)(show.show)
app.command(
    epilog="Examples: `humannet similar c0123456789abcdef0123` · `humannet similar c0123456789abcdef0123 --most 5 "
    "--elsewhere` · `humannet similar c0123456789abcdef0123 --where \"viewpoint = 'ego' and status = 'kept'\"`"
)(similar.similar)
app.command(
    epilog="Examples: `humannet metrics` · `humannet metrics --once` · `humannet metrics --host 0.0.0.0 --port 9101`"
)(metrics.metrics)
app.command(
    epilog="Examples: `humannet stats` · `humannet stats --html statistics.html` · "
    "`humannet stats --where \"viewpoint = 'ego' and l1 = 'daily_activities'\"` · `humannet stats --bias` · "
    "`humannet stats --where \"'tool_use' = any(interactions)\" --format csv`"
)(stats.stats)
app.command(
    epilog="Examples: `humannet plan --hours 1e6 --deadline 30d` · "
    "`humannet plan --hours 2e4 --deadline 12h --prices ours.toml --gpu-speedup 25` · "
    "`humannet plan --hours 1e6 --deadline 30d --rates infra/rates.example.json --video-seconds 300 "
    "--limit shard_seconds=3600 --limit store_prefixes=4` · "
    "`humannet plan --hours 1 --deadline 1h --save-rates rates.json`"
)(plan.plan)
app.add_typer(local_app, name="local")
app.add_typer(cluster_app, name="cluster")

_VIDEO_COLUMNS = ("video_id", "source", "title", "status", "reason")
_FAILURE_COLUMNS = ("stage", "subject_id", "video_id", "title", "reason", "error", "retryable", "attempts")


@app.command(
    epilog="Examples: `humannet status` · `humannet status --source videos` · `humannet status --videos --format csv`"
)
def status(
    source: Annotated[str | None, typer.Option(metavar="SOURCE", help="Only this source.")] = None,
    videos: Annotated[bool, typer.Option("--videos", help="List every video with its status.")] = False,
    failures: Annotated[bool, typer.Option("--failures", help="List what failed, and the error.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print --videos or --failures.")] = Format.TABLE,
) -> None:
    """Show the ledger, the funnel, what failed and what is still due."""
    from humannet_ops.catalog import reading
    from humannet_ops.stages import backlog

    with one_line_errors():
        _known_source(source)
        if videos:
            columns = (
                _VIDEO_COLUMNS if form is Format.TABLE else (*_VIDEO_COLUMNS, "duration_s", "width", "height", "fps")
            )
            found = reading.rows("videos", source=source)
            print_rows(list(columns), ([row[name] for name in columns] for row in found), form)
            return
        failed = reading.rows("failures", source=source)
        if failures:
            if failed or form is not Format.TABLE:
                print_rows(list(_FAILURE_COLUMNS), ([row[name] for name in _FAILURE_COLUMNS] for row in failed), form)
            else:
                console.print("No failures.")
            return
        ledger = reading.row("ledger", source=source) or {}
        clips = reading.row("clip_ledger", source=source) or {}
        console.print(ledger_line("Videos", ledger), highlight=False)
        console.print(ledger_line("Clips", clips), highlight=False)
        hours = f"{spoken_hours(ledger['hours'])} in, {spoken_hours(clips['kept_hours'])} kept"
        console.print(f"Video: {hours}", highlight=False)
        console.print()
        funnel = ({**row, "hours": f"{row['hours']:.3f}"} for row in reading.rows("funnel", source=source))
        print_rows(
            ["stage", "outcome", "reason", "videos", "clips", "hours"], (r.values() for r in funnel), Format.TABLE
        )
        if failed:
            console.print()
            print_rows(
                list(_FAILURE_COLUMNS), ([row[name] for name in _FAILURE_COLUMNS] for row in failed), Format.TABLE
            )
        if said := backlog.lines(source):
            console.print("\n" + "\n".join(said), highlight=False, markup=False, soft_wrap=True)


def _known_source(source: str | None) -> None:
    """See that a source exists, as a file or in the catalog.

    Raises:
        LookupError: it does not; the message has those that do.
    """
    from humannet_ops.catalog import reading
    from humannet_ops.sources import config

    known = sorted({path.stem for path in config.files()} | {row["source"] for row in reading.rows("source_names")})
    if source is not None and source not in known:
        raise LookupError(f"no source {source!r}; the sources are {', '.join(known)}")


@app.command(
    epilog='Examples: `humannet sql "select * from v_funnel"` · '
    "`humannet sql --format csv \"select clip_id, viewpoint from v_clips where status = 'kept'\" > kept.csv` · "
    "`humannet sql - < sql/examples/why_rejected.sql`"
)
def sql(
    statement: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="One statement, or - to read it from standard input.")
    ],
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """Ask the catalog a question in SQL, read-only. The views are described in sql/README.md."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        columns, rows = reading.ask(sys.stdin.read() if statement == "-" else statement)
        print_rows(columns, rows, form)


_STEP_FACTS = (
    "scores", "policy_version", "model_releases", "dag_id", "run_id", "task_id", "try_number", "worker", "queue",
    "started_at", "seconds", "code_revision",
)  # fmt: skip


@app.command(
    epilog="Examples: `humannet lineage c0f3a9...` · `humannet lineage --format json v1a2b3...` "
    '(ids: `humannet sql "select clip_id from v_clips"`, `humannet status --videos`)'
)
def lineage(
    subject_id: Annotated[str, typer.Argument(metavar="CLIP_ID", help="A clip's or a video's id.")],
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """Show every step that led to a clip (or a video): who did it, when, with what, and what came out."""
    from humannet_ops.catalog import reading

    with one_line_errors():
        found = reading.rows("lineage", clip_id=subject_id) or reading.rows("video_lineage", video_id=subject_id)
        if not found:
            raise LookupError(
                f"nothing was done to a clip or video {subject_id}: `humannet status --videos` lists videos, "
                "v_clips (in `humannet sql`) the clips"
            )
        if form is not Format.TABLE:
            print_rows(list(found[0]), (row.values() for row in found), form)
            return
        # one row an artifact: what they share is told once
        steps = groupby(found, key=lambda row: (row["stage"], row["stage_version"]))
        for number, (_, rows) in enumerate(steps, start=1):
            _print_step(number, list(rows))


def _print_step(number: int, rows: list[dict[str, Any]]) -> None:
    step = rows[0]
    reason = f" as {step['reason']}" if step["reason"] else ""
    title = f"[bold]{number:>3} {step['stage']}[/] {step['stage_version']}: {step['outcome']}{reason}"
    console.print(title, highlight=False)
    facts = [(name, step[name]) for name in _STEP_FACTS]
    facts += [(name, row[name]) for row in rows for name in ("artifact_uri", "artifact_sha256")]
    for name, value in facts:
        if value not in (None, [], {}):
            shown = f"{value:.2f}" if name == "seconds" else cell(value)
            console.print(f"      {name:<16} {shown}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: `humannet explain c0f3a9...`; a video's id works too")
def explain(subject_id: Annotated[str, typer.Argument(metavar="CLIP_ID", help="A clip's or a video's id.")]) -> None:
    """Say in words why a clip (or a video) was kept or rejected."""
    from humannet_ops.web.explanation import explain as words

    with one_line_errors():
        console.print(words(subject_id), highlight=False, markup=False, soft_wrap=True)


@app.command(
    epilog="Examples: `humannet retry` · `humannet retry --reason timed_out` · `humannet retry --stage fetch` · "
    "`humannet retry --lost`"
)
def retry(
    stage: Annotated[str | None, typer.Option(metavar="STAGE", help="Only failures of this stage.")] = None,
    video: Annotated[str | None, typer.Option(metavar="VIDEO_ID", help="Only this video.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="REASON", help="Only failures with this reason code.")] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="Instead, what stored an object that the store has no more.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --lost: do not ask for confirmation.")] = False,
) -> None:
    """Make failed subjects due again. The next run of their DAGs, or `make run`, takes them up."""
    from humannet_ops.catalog import planning, reading
    from humannet_ops.domain.outcome import Outcome, Reason
    from humannet_ops.stages import registry

    with one_line_errors():
        if lost:
            _retry_lost(alone=stage is video is reason is None, yes=yes)
            return
        if stage is not None:
            registry.spec(stage)
        failing = [entry.value for entry in Reason if entry.outcome is Outcome.FAILED]
        if reason is not None and reason not in failing:
            raise LookupError(f"{reason!r} is no reason for a failure; those are {', '.join(failing)}")
        if video is not None:
            planning.partition_of(video)
        count = reading.forget_failures(stage=stage, video_id=video, reason=reason)
        if not count:
            console.print("Nothing of that kind has failed." if stage or video or reason else "Nothing has failed.")
        elif count == 1:
            console.print(
                "1 failure is forgotten and due again: `make run`, or the DAG revisit_partitions, takes it up."
            )
        else:
            console.print(
                f"{count} failures are forgotten and due again: "
                "`make run`, or the DAG revisit_partitions, takes them up."
            )


def _retry_lost(*, alone: bool, yes: bool) -> None:
    from humannet_ops.stages import consistency

    if not alone:
        raise LookupError("--lost looks at everything: leave --stage, --video and --reason out")
    uris = list(consistency.lost())
    if not uris:
        console.print("No object is lost.")
        return
    console.print(f"{len(uris):,} objects are lost, first {uris[0]}", markup=False, highlight=False, soft_wrap=True)
    if not yes:
        if not sys.stdin.isatty():
            raise LookupError("this is no terminal to ask on: see that the whole store is there, then give --yes")
        if not typer.confirm("Do the work that stored them again?", default=False):
            console.print("Nothing was changed.")
            raise typer.Exit(1)
    console.print(
        f"{consistency.forget(uris):,} outcomes are forgotten and due again: "
        "`make run`, or the DAG revisit_partitions, takes them up.",
        highlight=False,
        soft_wrap=True,
    )


@stage_app.command("list", epilog="Example: `humannet stage list`")
def stage_list() -> None:
    """List the stages in order, with the version that counts now."""
    from humannet_ops.stages import registry

    with one_line_errors():
        rows = ((s.name, s.subject, s.queue, registry.versions()[s.name], ", ".join(s.needs)) for s in registry.specs())
        print_rows(["stage", "subject", "queue", "version", "needs"], rows, Format.TABLE)


@stage_app.command("run", epilog="Example: `humannet stage run analyse --video v1a2b3...`")
def stage_run(
    name: Annotated[str, typer.Argument(metavar="STAGE", help="A stage, as in `humannet stage list`.")],
    video: Annotated[str, typer.Option(metavar="VIDEO_ID", help="The video's id.")],
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the whole log to standard error.")] = False,
) -> None:
    """Run one stage on one video here and now, without Airflow. What is done already is not done again."""
    from humannet_ops.catalog import planning, reading
    from humannet_ops.commands.logs import log_to_stderr
    from humannet_ops.stages import execution, registry

    log_to_stderr(everything=verbose)
    with one_line_errors():
        partition, identity = planning.partition_of(video), execution.person()
        spec = registry.spec(name)
        shards = execution.plan(name, partition, identity, video_id=video)
        counts = [execution.run_shard(shard["shard_id"], identity) for shard in shards]
        for outcome in ("kept", "skipped", "rejected", "failed"):
            console.print(f"{outcome}: {sum(count[outcome] for count in counts)}")
        if not shards:
            missing = reading.rows(
                "missing_needs",
                video_id=video,
                needs=list(spec.needs),
                need_versions=[registry.versions()[need] for need in spec.needs],
            )
            before = ", ".join(row["stage"] for row in missing)
            console.print(
                f"Nothing due: {before} has not kept it yet." if before else "Nothing due: it has its outcome."
            )


@models_app.command("list", epilog="Examples: `humannet models list` · `humannet models list --format json`")
def models_list(
    form: Annotated[Format, typer.Option("--format", help="How to print the answer.")] = Format.TABLE,
) -> None:
    """List the installed models: role, release, licence, origin and the reason for the choice."""
    from humannet_ops.stages import registry

    with one_line_errors():
        rows = ((r, m.release, m.licence, m.origin, m.reason) for r, m in registry.models().items())
        print_rows(["role", "model", "licence", "origin", "reason"], rows, form)


@models_app.command(
    "install", epilog="Examples: `humannet models install` · `humannet models install --profile worker`"
)
def models_install(
    profile: Annotated[
        str, typer.Option(metavar="PROFILE", help="default, or worker (needs `make install-worker`).")
    ] = "default",
) -> None:
    """Resolve every role once, obtain and verify the model files, and write the lock."""
    from humannet_ops.detectors.install import install
    from humannet_ops.settings import settings

    with one_line_errors():
        install(settings().models, profile)


models_app.command(
    "serve", epilog="Examples: `humannet models serve` · `humannet models serve --socket /run/humannet/models.sock`"
)(serving.serve)


@app.command(epilog="Example: `humannet migrate`, after pointing HUMANNET_CATALOG_URL at another Postgres")
def migrate() -> None:
    """Bring the catalog's schema up to this code. `make run` and `make up` do it by themselves."""
    from humannet_ops.catalog import migrations
    from humannet_ops.stages import execution

    with one_line_errors():
        migrations.upgrade()
        execution.register()
        console.print(f"The catalog is at migration {migrations.revisions()[0]}.")


@app.command(epilog="Examples: `humannet doctor` · `humannet doctor --store`")
def doctor(
    store: Annotated[bool, typer.Option("--store", help="Also compare the store with the catalog, both ways.")] = False,
) -> None:
    """Check everything this installation needs and name the cure for what is wrong. Exit status 1 if anything is."""
    from humannet_ops.diagnosis import examine

    healthy = True
    for check in examine(with_store=store):
        healthy &= check.passed
        mark = "[green]ok[/]  " if check.passed else "[red]FAIL[/]"
        for number, line in enumerate(check.finding.splitlines() or [""]):
            label = f"{mark} {check.name:<22}" if number == 0 else " " * 27
            console.print(f"{label} {cell(line)}", highlight=False, soft_wrap=True)
        if check.cure and not check.passed:
            console.print(f"     {'':<22} → {cell(check.cure)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if healthy else 1)


def main() -> None:
    """Run the command line."""
    app()
