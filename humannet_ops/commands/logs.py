"""A command's own log: to standard error, with the ids of what it works on, as in the logs of Airflow's tasks."""

from __future__ import annotations

import logging
import sys

import structlog


def log_to_stderr(*, everything: bool) -> None:
    """Print warnings and errors, or everything, one line each: ``... [subject_id=... shard_id=... stage=...]``.

    Airflow's tasks log through the same context variables, as JSON (stages.execution binds them).
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO if everything else logging.WARNING, handlers=[handler], force=True)
