"""All stages, in the order of a video's way, with the versions that count now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from humannet_ops.domain.stage import StageSpec, stage_versions
from humannet_ops.settings import settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock

# Stages that take a model need the lock to know their version.
STAGES = (
    "fetch",
    "deduplicate_exact",
    "analyse",
    "find_copies",
    "deduplicate_near",
    "detect",
    "decide",
    "cut",
    "track_people",
    "pose_body",
    "pose_hands",
    "camera_trajectory",
    "retarget",
    "describe_motion",
    "caption",
    "screen_content",
    "embed",
    "label_activity",
    "label_scene",
    "label_interactions",
    "redact",
)


def _module(stage: str) -> Any:
    if stage not in STAGES:
        raise LookupError(f"no stage {stage!r}; the stages are {', '.join(STAGES)}")
    return import_module(f"humannet_ops.stages.{stage}")


def spec(stage: str) -> StageSpec:
    """Return a stage's declaration, without its configuration.

    Raises:
        LookupError: there is no such stage.
    """
    declared: StageSpec = _module(stage).SPEC
    return declared


@cache
def models() -> ModelLock:
    """Return the installed models, read once a process.

    Raises:
        ModelError: none are installed; the message says how.
    """
    from humannet_ops.detectors.lock import load_lock

    return load_lock(settings().models)


@cache
def specs() -> tuple[StageSpec, ...]:
    """Return every stage's declaration with its configuration."""
    return tuple(_configured(name) for name in STAGES)


def _configured(stage: str) -> StageSpec:
    declared = spec(stage)
    installed = {role: _release(role) for role in declared.roles}
    return replace(declared, config={**_module(stage).configuration(settings(), models()), **installed})


def _release(role: str) -> str | None:
    return models().release(role) if role in models() else None


def lacking(stage: str) -> tuple[str, ...]:
    """Return the roles that a stage needs and no installed model fills."""
    return tuple(role for role in spec(stage).roles if _release(role) is None)


@cache
def versions() -> Mapping[str, str]:
    """Return every stage's current version."""
    return stage_versions(specs())


def open_stage(stage: str, context: Context) -> Any:
    """Load a stage, its models included, ready to work."""
    name = "".join(part.capitalize() for part in stage.split("_"))
    return getattr(_module(stage), name)(context)
