"""Checking an installation: each check says what it found and, if that is wrong, the cure."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from humannet_ops.settings import settings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    passed: bool
    finding: str
    cure: str = ""


# What a run of the samples writes, several times over; less than this is a full disk in the making.
_LOW_DISK_BYTES = 2 << 30


def examine(*, with_store: bool = False) -> Iterator[Check]:
    """Look at everything, in the order in which things depend on each other."""
    from humannet_ops.catalog.connection import CatalogError
    from humannet_ops.detectors.lock import ModelError
    from humannet_ops.domain.policy import PolicyError
    from humannet_ops.storage import StoreError

    checks: dict[str, Callable[[str], Check]] = {"python": _python, "disk": _disk, "models": _models}
    if settings().model_socket:
        checks["model server"] = _model_server
    if settings().vision_url:
        checks["vision endpoint"] = _vision
    checks |= {
        "video codecs": _media, "sources": _sources, "object store": _store, "catalog": _catalog,
        "catalog migrations": _migrations, "stage versions": _versions, "work due": _due,
    }  # fmt: skip
    if with_store:
        checks |= {"store has every artifact": _missing_objects, "store has no orphans": _orphans}
    catalog_is_down = False
    for name, check in checks.items():
        try:
            yield check(name)
        except CatalogError as error:
            # the reason was told once; what asks the catalog cannot be looked at
            yield Check(name, False, "not looked at: the catalog cannot be used" if catalog_is_down else str(error))
            catalog_is_down = True
        except (ModelError, PolicyError, StoreError) as error:
            yield Check(name, False, str(error))
        except Exception as error:
            yield Check(name, False, f"{type(error).__name__}: {error}")


def _python(name: str) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(name, sys.version_info[:2] == (3, 11), f"{version} ({sys.prefix})", "Run `make install`.")


def _disk(name: str) -> Check:
    home = settings().home
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    finding = f"{free / 2**30:.1f} GiB free at {home}"
    return Check(name, free > _LOW_DISK_BYTES, finding, "Free some space, or move HUMANNET_HOME.")


def _model_server(name: str) -> Check:
    from humannet_ops.detectors.factory import DETECTORS
    from humannet_ops.detectors.remote import RemoteDetectors
    from humannet_ops.domain.outcome import DeviceLost
    from humannet_ops.stages import registry

    path = settings().model_socket
    try:
        models = registry.models()
        RemoteDetectors([role for role in DETECTORS if role in models], models, path, patience_s=0).close()
    except DeviceLost as error:
        return Check(name, False, str(error))
    return Check(name, True, f"answers at {path}, with this installation's models and code")


def _vision(name: str) -> Check:
    """Ask for the colour of a picture: that the model is served, takes pictures and keeps to schemas is all of it."""
    from humannet_ops.domain.outcome import DeviceLost, Postponed
    from humannet_ops.language import prompts
    from humannet_ops.language.endpoint import NoAnswer, open_endpoint

    config = settings()
    try:
        endpoint = open_endpoint(config)
        assert endpoint is not None
        said = endpoint.try_out(prompts.colour())
    except (DeviceLost, NoAnswer, Postponed) as error:
        return Check(name, False, str(error), "Clips wait, or are described from signals alone, until it does.")
    finding = f"{endpoint.model} at {config.vision_url} calls a red picture {said['colour']}"
    return Check(name, said["colour"] == "red", finding, "Name a model that sees pictures in HUMANNET_VISION_MODEL.")


def _models(name: str) -> Check:
    from humannet_ops.stages import registry

    lock = registry.models()
    missing = [role for role, model in lock.items() if not Path(model.path).exists()]
    roles = ", ".join(f"{role}: {model.release}" for role, model in lock.items())
    return Check(name, not missing, f"missing: {missing}" if missing else roles, "Run `humannet models install`.")


def _media(name: str) -> Check:
    import av

    codecs = av.codecs_available
    missing = {"h264", "hevc", "vp8", "vp9", "mpeg4", "libx264", "aac"} - set(codecs)
    finding = f"PyAV {av.__version__}, {len(codecs)} codecs"
    return Check(
        name,
        not missing,
        f"{finding}; missing: {sorted(missing)}" if missing else finding,
        "Run `make install`: the PyAV wheel carries them.",
    )


def _catalog(name: str) -> Check:
    from humannet_ops.catalog.connection import address, catalog_url, connect

    with connect(patient=False) as link:
        version = link.get_parameter_status("server_version")
    return Check(name, True, f"PostgreSQL {version}: psql {address(catalog_url())}")


def _migrations(name: str) -> Check:
    from humannet_ops.catalog import migrations

    at, newest = migrations.revisions()
    finding = f"at {at}" if at == newest else f"at {at}, this code needs {newest}"
    return Check(name, at == newest, finding, "Run `humannet migrate`.")


def _versions(name: str) -> Check:
    from humannet_ops.stages import backlog

    changed = backlog.changed_stages()
    finding = f"other than the catalog counts: {', '.join(changed)}" if changed else "as the catalog counts them"
    return Check(name, not changed, finding, f"{backlog.TAKEN_UP_BY}, does that work again.")


def _due(name: str) -> Check:
    from humannet_ops.stages import backlog

    return Check(name, True, "\n".join(backlog.lines()) or "nothing")


def _store(name: str) -> Check:
    import tempfile

    from humannet_ops.storage import open_store

    with tempfile.NamedTemporaryFile() as probe:
        probe.write(b"humannet doctor")
        probe.flush()
        store = open_store()
        artifact = store.put(Path(probe.name), kind="probe", suffix=".txt", media_type="text/plain")
        written = store.contains(artifact.uri)
        store.delete(artifact.uri)
    return Check(name, written, settings().store, "Check HUMANNET_STORE_URL and its permissions.")


def _sources(name: str) -> Check:
    from humannet_ops.sources import config

    faults = []
    for path in config.files():
        try:
            config.read(path)
        except config.SourceError as error:
            first, *others = str(error).splitlines()
            faults.append(first + (f" (and {len(others)} more)" if others else ""))
    known = ", ".join(path.stem for path in config.files())
    return Check(
        name,
        not faults,
        "\n".join(faults) or known,
        "Correct the file; `humannet source check FILE` names every fault.",
    )


def _missing_objects(name: str) -> Check:
    from humannet_ops.stages import consistency

    missing = list(consistency.lost())
    finding = f"{len(missing)} artifacts without their object" + (f", first {missing[0]}" if missing else "")
    return Check(
        name,
        not missing,
        finding,
        "Restore the store (infra/runbooks/restore.md), or make what stored them due again: `humannet retry --lost`.",
    )


def _orphans(name: str) -> Check:
    from humannet_ops.stages import consistency

    orphans = list(consistency.orphans())
    finding = f"{len(orphans)} objects that no outcome names" + (f", first {orphans[0]}" if orphans else "")
    return Check(
        name,
        not orphans,
        finding,
        "They are left by killed tasks, or are younger than a restored catalog. Let what is due run first, which names "
        "most of them again; what is left may be deleted: `humannet store orphans --delete`.",
    )
