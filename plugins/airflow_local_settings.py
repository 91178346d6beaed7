"""Airflow imports this when a process begins, by this name: here, those that fork for tasks import what tasks need."""

from __future__ import annotations

import sys

from humannet_ops.orchestration.preload import FORKING, preload

# Nothing here is a setting.
__all__: list[str] = []

if not FORKING.isdisjoint(sys.argv):
    preload()
