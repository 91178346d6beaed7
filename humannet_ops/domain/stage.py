"""A stage as a declaration: what it needs, what it reads, where it runs, and the version that its outcomes carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SubjectKind = Literal["video", "clip"]
Queue = Literal["crawl", "cpu", "gpu", "default"]


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of the way of a video.

    Attributes:
        name: A verb, as in the DESIGN's table.
        subject: What one outcome is about.
        revision: Raised by hand whenever the stage's code would give another result.
        queue: The Celery queue that has what the stage needs.
        needs: Stages that must have ``kept`` or ``skipped`` the subject (or a clip's video) first.
        reads: Stages whose results this one computes from. Their versions are part of this one's version, so that work
            follows a change of what it was computed from. A stage in ``needs`` alone only opens or shuts the gate.
        roles: The model roles that the stage's work needs. Their releases are part of the version. Where one is not
            installed, the stage skips every subject and says so.
        config: What else decides the result: thresholds, models, sizes. Part of the version.
        whole_partition: The stage compares subjects with each other: one shard has them all.
    """

    name: str
    subject: SubjectKind
    revision: int
    queue: Queue
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    whole_partition: bool = False


def stage_versions(specs: tuple[StageSpec, ...]) -> dict[str, str]:
    """Compute each stage's version, ``<revision>-<8 hex of config and of the versions it reads>``.

    Args:
        specs: All stages, each after those it reads.

    Raises:
        ValueError: a stage reads or needs one that does not come before it.
    """
    versions: dict[str, str] = {}
    for spec in specs:
        for name in (*spec.reads, *spec.needs):
            if name not in versions:
                raise ValueError(f"stage {spec.name} uses {name}, which does not come before it")
        material = json.dumps([spec.config, [versions[name] for name in spec.reads]], sort_keys=True, default=str)
        versions[spec.name] = f"{spec.revision}-{hashlib.sha256(material.encode()).hexdigest()[:8]}"
    return versions
