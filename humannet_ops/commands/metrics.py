"""``humannet metrics``: what Prometheus reads about the corpus."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import Annotated

import typer


def metrics(
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")] = 9101,
    once: Annotated[bool, typer.Option("--once", help="Ask everything once, print the metrics and end.")] = False,
) -> None:
    """Serve metrics of the corpus to Prometheus: hours, outcomes, waiting work, cost. See infra/monitoring."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest, start_http_server

    from humannet_ops.metrics.collector import Exporter
    from humannet_ops.metrics.questions import questions

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    registry, exporter = CollectorRegistry(), Exporter(questions())
    if once:
        exporter.ask_all()
        registry.register(exporter)
        sys.stdout.write(generate_latest(registry).decode())
        raise typer.Exit(0 if exporter.catalog_is_up() else 1)
    ProcessCollector(namespace="humannet_metrics", registry=registry)
    registry.register(exporter)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        print(f"humannet: cannot listen on {host}:{port}: {error.strerror}. Give another --port.", file=sys.stderr)
        raise typer.Exit(1) from error
    exporter.start()
    print(f"Metrics: http://{host}:{server.server_port}/metrics", flush=True)
    ended.wait()
    exporter.stop()
    server.shutdown()
