"""The lock: which model fills which role on this installation, and why. Written at install, read by every process."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

FILE_NAME = "models.lock.json"
FORMAT = 1
CURE = "Run `humannet models install`."


class ModelError(Exception):
    """A model is missing, wrong, or cannot be had. The message names the cure."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file (or folder) of a model: below the models folder, or inside an installed package."""

    name: str
    distribution: str | None = None

    def path(self, models_dir: Path) -> Path:
        """Return where it lies.

        Raises:
            ModelError: the package that carries it is not installed.
        """
        if self.distribution is None:
            return models_dir / self.name
        try:
            return Path(str(metadata.distribution(self.distribution).locate_file(self.name)))
        except metadata.PackageNotFoundError:
            raise ModelError(f"{self.name} lies in the package {self.distribution}, which is not installed") from None


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A role's model.

    ``sha256`` is that of its file, or, where it has several, of the list of their sha256 and names.
    """

    name: str
    backend: str
    revision: str
    sha256: str
    licence: str
    origin: str
    reason: str
    paths: tuple[Path, ...]
    entry: str = ""

    @property
    def release(self) -> str:
        """The name that outcomes and annotations record."""
        return f"{self.name}@{self.revision}"

    @property
    def path(self) -> Path:
        """Its first file, or, where an algorithm has none, the folder it would be in."""
        return self.paths[0] if self.paths else Path()

    def verify(self) -> None:
        """Compare the files with the lock.

        Raises:
            ModelError: one is missing, or is not the one that was installed.
        """
        for path in self.paths:
            if not path.exists():
                raise ModelError(f"{self.release}: {path} is missing. {CURE}")
        if digest(self.paths) != self.sha256:
            raise ModelError(f"{self.release}: {self.path} is not the file that was installed. {CURE}")


@dataclass(frozen=True, slots=True)
class ModelLock:
    """Role by role, the installed models."""

    profile: str
    resolved_from: Mapping[str, Any]
    models: Mapping[str, InstalledModel]

    def __getitem__(self, role: str) -> InstalledModel:
        try:
            return self.models[role]
        except KeyError:
            raise ModelError(f"No model fills the role {role}; there are {', '.join(self.models)}. {CURE}") from None

    def __contains__(self, role: object) -> bool:
        return role in self.models

    def items(self) -> ItemsView[str, InstalledModel]:
        """Give out roles with their models."""
        return self.models.items()

    def release(self, role: str) -> str:
        """Return ``name@revision`` of a role's model."""
        return self[role].release


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Give out a file, or all files of a folder, under names that do not say where the folder lies."""
    if path.is_dir():
        yield from ((str(found.relative_to(path)), found) for found in sorted(path.rglob("*")) if found.is_file())
    else:
        yield path.name, path


def digest(paths: Iterable[Path]) -> str:
    """Compute the sha256 of one file, or of the list of sha256 and names of several.

    Raises:
        OSError: a file cannot be read.
    """
    lines = []
    for path in paths:
        for name, found in _files(path):
            with found.open("rb") as stream:
                lines.append((hashlib.file_digest(stream, "sha256").hexdigest(), name))
    if len(lines) == 1:
        return lines[0][0]
    return hashlib.sha256("".join(f"{sha256}  {name}\n" for sha256, name in lines).encode()).hexdigest()


def write_lock(
    models_dir: Path,
    profile: str,
    resolved_from: Mapping[str, Any],
    chosen: Mapping[str, tuple[Mapping[str, str], tuple[ModelFile, ...]]],
) -> None:
    """Write the lock, whole or not at all.

    Args:
        models_dir: The folder of installed models.
        profile: What was asked for.
        resolved_from: What the choice depended on; another value means that the lock no longer fits.
        chosen: Role -> the fields of ``InstalledModel`` but for its paths, and its files.
    """
    entries = {
        role: {**fields, "files": [{"name": file.name, "distribution": file.distribution} for file in files]}
        for role, (fields, files) in chosen.items()
    }
    content = {"format": FORMAT, "profile": profile, "resolved_from": resolved_from, "models": entries}
    temporary = models_dir / f".{FILE_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(models_dir / FILE_NAME)


def load_lock(models_dir: Path) -> ModelLock:
    """Read the lock and look that every file is there. A detector compares its files' contents when it is opened.

    Raises:
        ModelError: there is no lock, it cannot be read, or a file is missing.
    """
    path = models_dir / FILE_NAME
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ModelError(f"{path} has format {content['format']}, this code reads {FORMAT}. {CURE}")
        models = {role: _installed(models_dir, entry) for role, entry in content["models"].items()}
        lock = ModelLock(content["profile"], content["resolved_from"], models)
    except FileNotFoundError:
        raise ModelError(f"No models are installed: {path} is missing. {CURE}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}). {CURE}") from error
    for model in models.values():
        for file in model.paths:
            if not file.exists():
                raise ModelError(f"{model.release}: {file} is missing. {CURE}")
    return lock


def _installed(models_dir: Path, entry: Mapping[str, Any]) -> InstalledModel:
    fields = {name: value for name, value in entry.items() if name != "files"}
    try:
        paths = tuple(ModelFile(**file).path(models_dir) for file in entry["files"])
    except ModelError as error:
        raise ModelError(f"{entry['name']}@{entry['revision']}: {error}. {CURE}") from None
    return InstalledModel(**fields, paths=paths)
