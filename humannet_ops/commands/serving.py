"""``humannet models serve``: the model server beside a GPU's workers."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humannet_ops.commands.output import one_line_errors
from humannet_ops.domain.outcome import DeviceLost

if TYPE_CHECKING:
    from humannet_ops.detectors.protocol import Detector
    from humannet_ops.detectors.server import ModelServer

DEFAULT_SOCKET = "/run/humannet/models.sock"
# Whoever supervises the server starts it again.
DEVICE_LOST = 75


def serve(
    path: Annotated[
        str | None,
        typer.Option("--socket", metavar="PATH", help=f"Default: HUMANNET_MODEL_SOCKET, or {DEFAULT_SOCKET}."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve Prometheus metrics; 0 takes a free one.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="HOST", help="The metrics' address.")] = "127.0.0.1",
) -> None:
    """Keep the detectors' models open, on every GPU that HUMANNET_DEVICE means, and work for this machine's tasks."""
    from humannet_ops.detectors import wire
    from humannet_ops.detectors.device import chosen
    from humannet_ops.detectors.factory import DETECTORS, open_detector
    from humannet_ops.detectors.server import ON_CPU, ModelServer, warm_up
    from humannet_ops.detectors.spread import Spread
    from humannet_ops.settings import settings
    from humannet_ops.stages import registry

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    config = settings()
    place = Path(path or config.model_socket or DEFAULT_SOCKET)
    with one_line_errors():
        lock = registry.models()
        mark = wire.fingerprint(lock)
        try:
            roles = [role for role in DETECTORS if role in lock]
            on_cpu = [role for role in roles if lock[role].backend in ON_CPU]
            lanes: dict[str, dict[str, Detector]] = {
                role: {role: Spread([open_detector(role, lock, config) for _ in range(config.threads)])}
                for role in on_cpu
            }
            for device in chosen(config.device):
                there = config.model_copy(update={"device": device})
                lanes[device] = {role: open_detector(role, lock, there) for role in roles if role not in on_cpu}
            warm_up(detector for detectors in lanes.values() for detector in detectors.values())
            server = ModelServer(lanes, mark)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: server.end())
            said = "" if metrics_port is None else f", metrics at {_export(server, metrics_host, metrics_port)}"
            models = "; ".join(
                f"{lane}: {', '.join(f'{role} {detector.release}' for role, detector in detectors.items())}"
                for lane, detectors in lanes.items()
            )
            with server.listening(place):
                print(f"Serving {models} at {place}{said}", flush=True)
                server.wait()
        except (DeviceLost, ValueError) as error:
            print(f"humannet: the model server ends: {error}", file=sys.stderr, flush=True)
            # what CUDA left behind may hang an orderly end
            os._exit(DEVICE_LOST)


def _export(server: ModelServer, host: str, port: int) -> str:
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    registry = CollectorRegistry()
    ProcessCollector(namespace="humannet_model_server", registry=registry)
    registry.register(Exporter(server))
    try:
        listening, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise LookupError(f"cannot listen on {host}:{port}: {error.strerror}. Give another --metrics-port.") from error
    return f"http://{host}:{listening.server_port}/metrics"


class Exporter:
    """Tells Prometheus what a model server did and what its GPU does."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def collect(self) -> Iterator[Any]:
        """Give out every metric as it is now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        from humannet_ops.metrics import machine

        of_role = ("role", "model", "lane")
        batches = CounterMetricFamily("humannet_model_batches", "Batches done.", labels=of_role)
        frames = CounterMetricFamily("humannet_model_frames", "Frames done.", labels=of_role)
        busy = CounterMetricFamily("humannet_model_busy_seconds", "Seconds of work on batches.", labels=of_role)
        halvings = CounterMetricFamily("humannet_model_oom_halvings", "Batches halved: memory full.", labels=of_role)
        size = GaugeMetricFamily("humannet_model_batch_size", "Frames a batch may have now.", labels=of_role)
        each = [(lane, role, tally) for lane in self._server.lanes for role, tally in lane.tallies.items()]
        for lane, role, tally in each:
            labels = (role, tally.release, lane.name)
            batches.add_metric(labels, tally.batches)
            frames.add_metric(labels, tally.frames)
            busy.add_metric(labels, tally.busy_s)
            if (own := getattr(lane.detectors[role], "batches", None)) is not None:
                halvings.add_metric(labels, own.halvings)
                size.add_metric(labels, own.size)
        waiting = GaugeMetricFamily("humannet_model_queue_length", "Batches that wait.", labels=("lane",))
        for lane in self._server.lanes:
            waiting.add_metric((lane.name,), lane.jobs.qsize())
        yield from (batches, frames, busy, halvings, size, waiting)
        gpus = list(machine.gpus())
        for name, meaning, column in (
            ("busy_ratio", "Share of the last moment in which kernels ran.", "busy"),
            ("memory_used_bytes", "Bytes of GPU memory in use.", "used"),
            ("memory_size_bytes", "Bytes of GPU memory.", "size"),
        ):
            metric = GaugeMetricFamily(f"humannet_gpu_{name}", meaning, labels=("gpu", "device"))
            for row in gpus:
                metric.add_metric((row["gpu"], row["device"]), row[column])
            yield metric
