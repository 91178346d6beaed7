"""A source as one YAML file: what it is, when it is crawled, under which licence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from humannet_ops.settings import settings


class SourceError(Exception):
    """A source cannot be used; the message names the file, the field and the cure."""


class LicenceRule(BaseModel):
    """The licence of the files whose path below the source matches a glob; the first match counts."""

    model_config = ConfigDict(extra="forbid")

    glob: str
    license: str


class FolderSource(BaseModel):
    """Video files in a folder and everything below it."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    kind: Literal["folder"]
    description: Annotated[str, Field(min_length=1)]
    path: str
    schedule: str = "0 3 * * *"
    start_date: str = "2026-01-01"
    owner: str = "humannet"
    license: str | None = None
    licenses: list[LicenceRule] = []
    include: list[str] = ["*"]
    exclude: list[str] = []

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        from croniter import croniter

        if not croniter.is_valid(value):
            raise ValueError(f"{value!r} is not a cron expression of five fields, like '0 3 * * *'")
        return value

    def folder(self) -> Path:
        """Return the folder, with ``${HUMANNET_...}`` variables filled in.

        Raises:
            SourceError: a variable is not set, or there is no such folder.
        """
        known = {**os.environ, "HUMANNET_HOME": str(settings().home)}
        text = self.path
        for name, value in known.items():
            text = text.replace("${" + name + "}", value)
        if "${" in text:
            variable = text[text.index("${") + 2 :].split("}")[0]
            raise SourceError(
                f"source {self.source}: {self.path} uses {variable}, which is not set. "
                "`make run VIDEOS=/some/folder` sets HUMANNET_VIDEOS."
            )
        folder = Path(text).expanduser().resolve()  # `make run VIDEOS=` points a link at the folder: keep its real name
        if not folder.is_dir():
            raise SourceError(f"source {self.source}: {folder} is not a folder. Correct `path` in its YAML file.")
        return folder

    def licence_of(self, relative: str) -> str | None:
        """Return the licence of a file, by its path below the folder."""
        matching = (rule.license for rule in self.licenses if fnmatch(relative, rule.glob))
        return next(matching, self.license)


def read(path: Path) -> FolderSource:
    """Read and check one source file.

    Raises:
        SourceError: it is not YAML, or a field is missing, unknown or wrong; every fault is named.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SourceError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise SourceError(f"{path.name}: expected fields like `source: my_videos`, found {type(content).__name__}")
    try:
        config = FolderSource.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SourceError(f"{path.name}: {faults}") from error
    if config.source != path.stem:
        raise SourceError(f"{path.name}: source is {config.source!r}; give the file the same name")
    return config


def files() -> Iterator[Path]:
    """Stream the source files in name order."""
    yield from sorted(settings().sources_dir.glob("*.yaml"))


def load(source: str) -> FolderSource:
    """Read a source by name.

    Raises:
        SourceError: there is no such file, or it is wrong.
    """
    path = settings().sources_dir / f"{source}.yaml"
    if not path.exists():
        known = ", ".join(p.stem for p in files()) or "none"
        raise SourceError(f"no source {source!r}: {path} does not exist. Known sources: {known}.")
    return read(path)
