"""A source as one YAML file: what it is, when it is crawled, under which licence. Each kind adds its own fields."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ByteSize, ConfigDict, Field, IPvAnyNetwork, ValidationError, field_validator

from humannet_ops.domain.licence import LicencePolicy
from humannet_ops.settings import settings
from humannet_ops.sources import faults
from humannet_ops.sources.faults import Fault

GIB = 1 << 30


class SourceError(Exception):
    """A source cannot be used; the message names the file, the field and the cure.

    Attributes:
        faults: What is wrong with the source's file, where that is it; the message has one line for each.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class Strict(BaseModel):
    """A model that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid")


class LicenceRule(Strict):
    """The licence of the items whose path or address matches a glob; the first match counts."""

    glob: str
    license: str


class SourceConfig(Strict):
    """What every source says.

    Attributes:
        source: Its name, which is the file's and the DAG's.
        kind: Which kind of source it is.
        description: One line for the DAG list.
        schedule: When it is crawled: five cron fields, UTC.
        owner: Whom the DAG belongs to.
        terms: A note on the terms of use, kept with everything that it brings.
        license: The licence of items for which the source names none.
        licenses: Licences by glob, before ``license``.
        license_policy: Which licences it may bring.
    """

    source: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    kind: str
    description: Annotated[str, Field(min_length=1)]
    schedule: str = "0 0 * * *"
    owner: str = "humannet"
    terms: str | None = None
    license: str | None = None
    licenses: list[LicenceRule] = []
    license_policy: LicencePolicy = LicencePolicy()

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        from croniter import croniter

        if len(value.split()) != 5 or not croniter.is_valid(value):
            raise ValueError(f"{value!r} is not a cron expression of five fields, like '0 3 * * *'")
        return value

    def licence_of(self, name: str) -> str | None:
        """Return the licence of an item by its path or address, where the source itself names none."""
        matching = (rule.license for rule in self.licenses if fnmatch(name, rule.glob))
        return next(matching, self.license)


class Politeness(Strict):
    """How hosts are treated. The limits hold for all workers together.

    Attributes:
        concurrent: Downloads from one host at a time.
        requests_per_minute: How often an item of one host may be begun.
        quiet_hours: When nothing is fetched, ``22:00-06:00``, in ``timezone``.
        robots: Whether a host's robots.txt is obeyed, and what else it says about being crawled.
        user_agent: Whom a host sees. Without it yt-dlp says what each site needs, mostly a browser's name. The word
            before its slash is also the name that is looked for in robots.txt.
    """

    concurrent: Annotated[int, Field(ge=1)] = 2
    requests_per_minute: Annotated[float, Field(gt=0)] = 30
    quiet_hours: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = None
    timezone: str = "UTC"
    robots: bool = True
    user_agent: Annotated[str, Field(pattern=r"^[A-Za-z_-]+/\S.*$")] | None = None

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{value!r} is no time zone, like 'Europe/Berlin'") from error
        return value


class Budget(Strict):
    """What a source may fetch in a day (UTC); None is no limit. Sizes as ``50 GB``."""

    items: Annotated[int, Field(ge=1)] | None = None
    bytes: ByteSize | None = None


class Threshold(Strict):
    """When something is given up for bringing too little.

    Attributes:
        after_videos: How many of its videos must have been fetched and decided before it is judged.
        kept_share_below: It is given up where a smaller share of them was kept, 0 to 1. 0 gives nothing up.
    """

    after_videos: Annotated[int, Field(ge=1)] = 20
    kept_share_below: Annotated[float, Field(ge=0, le=1)] = 0.05


class Network(SourceConfig):
    """What every source on the network says.

    Attributes:
        politeness: How its hosts are treated.
        budget: What may be fetched in a day.
        max_bytes: The largest file that is fetched.
        max_seconds: The longest that one download may take, s.
        max_height: Of a video in several sizes, the largest of at most so many lines is taken.
        private_addresses: Whether it may resolve to loopback, link-local or private addresses: all, none, or those of
            the networks listed, like ``10.20.0.0/16``.
        connection: The Airflow connection that holds cookies, a proxy or a login.
        since: The first upload day that is of interest.
        channels: When a channel is paused.
    """

    license_policy: LicencePolicy = LicencePolicy(
        allow=["CC0*", "CC-BY*", "PDM*", "public domain*"], otherwise="review", unknown="review"
    )
    politeness: Politeness = Politeness()
    budget: Budget = Budget()
    max_bytes: ByteSize = ByteSize(8 * GIB)
    max_seconds: Annotated[float, Field(gt=0)] = 7200.0
    max_height: Annotated[int, Field(ge=144)] | None = 1080
    private_addresses: bool | list[IPvAnyNetwork] = False
    connection: str | None = None
    since: datetime.date | None = None
    channels: Threshold = Threshold()


def filled_in(text: str, source: str) -> str:
    """Fill in ``${HUMANNET_...}`` and other variables of the environment.

    Raises:
        SourceError: a variable is not set.
    """
    for name, value in {**os.environ, "HUMANNET_HOME": str(settings().home)}.items():
        text = text.replace("${" + name + "}", value)
    if "${" in text:
        variable = text[text.index("${") + 2 :].split("}")[0]
        raise SourceError(f"source {source}: {text} uses {variable}, which is not set in the environment.")
    return text


def parse(content: Any, name: str, also: Sequence[Fault] = ()) -> SourceConfig:
    """Check what a source file holds.

    Args:
        content: What YAML made of it.
        name: The file's name, for messages; the source has its stem.
        also: What else is wrong with it.

    Raises:
        SourceError: a field is missing, unknown or wrong; every fault is named, each in a line of its own.
    """
    found = [*also, *_faults(content, Path(name).stem)]
    if found:
        raise SourceError("\n".join(f"{name}: {fault}" for fault in found), found)
    return _model(content).model_validate(content)


def _model(content: dict[str, Any]) -> type[SourceConfig]:
    from humannet_ops.sources import kinds

    return kinds.config_class(content.get("kind"))


def _faults(content: Any, stem: str) -> list[Fault]:
    from humannet_ops.sources import kinds

    if not isinstance(content, dict):
        return [Fault("", f"found {faults.shown(content)}; expected fields, like `source: my_videos`")]
    kind, found = content.get("kind"), []
    try:
        model = _model(content)
    except LookupError:
        # what every source says can be checked all the same
        model = SourceConfig
        near = faults.nearest(str(kind), kinds.KINDS)
        hint = f"; did you mean `{near}`?" if near else ""
        said = "missing" if kind is None else f"{kind!r} is no kind of source"
        found.append(Fault("kind", f"{said}; expected {faults.listed(kinds.KINDS)}{hint}"))
    try:
        model.model_validate(content)
    except ValidationError as error:
        others = faults.faults(error, model, content)
        if model is SourceConfig:
            others = [fault for fault in others if fault.field != "kind" and "no such field" not in fault.sentence]
        found += others
    source = content.get("source")
    if isinstance(source, str) and source != stem and not any(fault.field == "source" for fault in found):
        found.append(Fault("source", f"found {source!r}; expected {stem!r}, the name of the file"))
    return found


def read(path: Path) -> SourceConfig:
    """Read and check one source file.

    Raises:
        SourceError: it is not YAML, or a field is missing, unknown or wrong; every fault is named.
    """
    try:
        loader = faults.UniqueKeys(path.read_text(encoding="utf-8"))
        content = loader.get_single_data()
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SourceError(f"{path.name}: not readable as YAML: {faults.syntax(error)}") from error
    except ValueError as error:
        raise SourceError(f"{path.name}: not readable as YAML: {error}") from error
    return parse(content, path.name, loader.twice)


def files() -> Iterator[Path]:
    """Stream the source files in name order."""
    yield from sorted(settings().sources_dir.glob("*.yaml"))


def load(source: str) -> SourceConfig:
    """Read a source by name.

    Raises:
        SourceError: there is no such file, or it is wrong.
    """
    path = settings().sources_dir / f"{source}.yaml"
    if not path.exists():
        known = ", ".join(p.stem for p in files()) or "none"
        raise SourceError(f"no source {source!r}: {path} does not exist. Known sources: {known}.")
    return read(path)
