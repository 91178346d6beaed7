"""A user's own model: a class that ``HUMANNET_MODELS_FILE`` names and that has what its role's protocol asks for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from humannet_ops.detectors.lock import InstalledModel, ModelError
from humannet_ops.settings import Settings


def open_own(model: InstalledModel, config: Settings) -> Any:
    """Import a model's class and make it.

    It is called as ``Class(release=..., paths=[...], device=..., threads=...)``: the name that outcomes record, the
    model's files as its entry lists them, ``HUMANNET_DEVICE`` and ``HUMANNET_THREADS``.

    Raises:
        ModelError: it cannot be imported, or not be made.
    """
    module, _, name = model.entry.partition(":")
    try:
        return getattr(import_module(module), name)(
            release=model.release, paths=list(model.paths), device=config.device, threads=config.threads
        )
    except Exception as error:
        raise ModelError(
            f"{model.release}: {model.entry or 'entry is empty, and'} cannot be opened "
            f"({type(error).__name__}: {error}). It is named in HUMANNET_MODELS_FILE ({config.models_file}); "
            "is its package installed in this environment?"
        ) from error
