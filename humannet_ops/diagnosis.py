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
    checks: list[Callable[[], Check]] = [_python, _disk, _models, _media, _catalog, _migrations, _store, _sources]
    if with_store:
        checks += [_missing_objects, _orphans]
    for check in checks:
        try:
            yield check()
        except Exception as error:
            name = check.__name__.strip("_")
            yield Check(name, False, f"{type(error).__name__}: {error}", "The message names the cure.")


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info[:2] == (3, 11), f"{version} ({sys.prefix})", "Run `make install`.")


def _disk() -> Check:
    home = settings().home
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    finding = f"{free / 2**30:.1f} GiB free at {home}"
    return Check("disk", free > _LOW_DISK_BYTES, finding, "Free some space, or move HUMANNET_HOME.")


def _models() -> Check:
    from humannet_ops.stages import registry

    lock = registry.models()
    missing = [role for role, model in lock.items() if not Path(model.path).exists()]
    roles = ", ".join(f"{role}: {model.release}" for role, model in lock.items())
    return Check("models", not missing, f"missing: {missing}" if missing else roles, "Run `humannet models install`.")


def _media() -> Check:
    import av

    codecs = av.codecs_available
    missing = {"h264", "hevc", "vp8", "vp9", "mpeg4", "libx264", "aac"} - set(codecs)
    finding = f"PyAV {av.__version__}, {len(codecs)} codecs"
    return Check(
        "video codecs",
        not missing,
        f"{finding}; missing: {sorted(missing)}" if missing else finding,
        "Run `make install`: the PyAV wheel carries them.",
    )


def _catalog() -> Check:
    from humannet_ops.catalog.connection import catalog_url, connect

    with connect(patient=False) as link:
        version = link.get_parameter_status("server_version")
    return Check("catalog", True, f"PostgreSQL {version} at {catalog_url().render_as_string()}")


def _migrations() -> Check:
    from humannet_ops.catalog import migrations

    at, newest = migrations.revisions()
    finding = f"at {at}" if at == newest else f"at {at}, this code needs {newest}"
    return Check("catalog migrations", at == newest, finding, "Run `humannet migrate`.")


def _store() -> Check:
    import tempfile

    from humannet_ops.storage import open_store

    with tempfile.NamedTemporaryFile() as probe:
        probe.write(b"humannet doctor")
        probe.flush()
        store = open_store()
        artifact = store.put(Path(probe.name), kind="probe", suffix=".txt", media_type="text/plain")
        written = store.contains(artifact.uri)
        store.delete(artifact.uri)
    return Check("object store", written, settings().store, "Check HUMANNET_STORE_URL and its permissions.")


def _sources() -> Check:
    from humannet_ops.sources import config

    faults = []
    for path in config.files():
        try:
            config.read(path)
        except config.SourceError as error:
            faults.append(str(error))
    known = ", ".join(path.stem for path in config.files())
    return Check("sources", not faults, "; ".join(faults) or known, "Correct the YAML file.")


def _missing_objects() -> Check:
    from humannet_ops.catalog import reading
    from humannet_ops.storage import open_store

    store = open_store()
    missing = [uri for uri in reading.artifact_uris() if not store.contains(uri)]
    finding = f"{len(missing)} artifacts without their object" + (f", first {missing[0]}" if missing else "")
    return Check("store has every artifact", not missing, finding, "Restore the store, or `humannet retry`.")


def _orphans() -> Check:
    from humannet_ops.catalog import reading
    from humannet_ops.storage import open_store

    known = iter(sorted(reading.artifact_uris()))
    orphans, expected = [], next(known, None)
    for uri in sorted(open_store().objects()):
        while expected is not None and expected < uri:
            expected = next(known, None)
        if uri != expected:
            orphans.append(uri)
    finding = f"{len(orphans)} objects that no outcome names" + (f", first {orphans[0]}" if orphans else "")
    return Check("store has no orphans", not orphans, finding, "They are left by killed tasks and may be deleted.")
