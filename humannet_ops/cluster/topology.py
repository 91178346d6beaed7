"""What docker-compose.yml says: the services, what each runs, in which environment, after which others.

It is the one description of the cluster. The subset of the Compose specification that is read here is what the file
uses: lists as commands, mappings as environments, and the three interpolations ``${X}``, ``${X:-default}`` and
``${X:?what is missing}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dotenv
import yaml

from humannet_ops.local.components import PlatformError
from humannet_ops.settings import REPOSITORY

COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<operator>:-|:\?)(?P<argument>[^}]*))?\})")


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    Attributes:
        name: As in the file.
        command: What it runs; empty where the image's own program is meant.
        environment: All of it: the files of ``env_file``, then ``environment``.
        after: The services that must be there before.
        profiles: It is only wanted with one of these; empty: always.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    after: tuple[str, ...]
    profiles: tuple[str, ...]


def read(variables: Mapping[str, str], path: Path = COMPOSE_FILE) -> dict[str, Service]:
    """Return the services by name, with every reference replaced.

    Args:
        variables: What the references name; compose takes them from ``.env``.
        path: The compose file.

    Raises:
        PlatformError: a variable is missing that the file asks for with ``:?``.
    """
    declared = yaml.safe_load(path.read_text())["services"]
    return {name: _service(name, body, variables, path.parent) for name, body in declared.items()}


def _service(name: str, body: Mapping[str, Any], variables: Mapping[str, str], folder: Path) -> Service:
    environment: dict[str, str] = {}
    for entry in _listed(body.get("env_file")):
        file = folder / (entry if isinstance(entry, str) else entry["path"])
        environment |= {key: value or "" for key, value in dotenv.dotenv_values(file, interpolate=False).items()}
    environment |= {key: str(value) for key, value in (body.get("environment") or {}).items() if value is not None}
    return Service(
        name,
        tuple(interpolated(str(part), variables) for part in body.get("command") or ()),
        {key: interpolated(value, variables) for key, value in environment.items()},
        tuple(body.get("depends_on") or ()),
        tuple(body.get("profiles") or ()),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Replace the references in a text; ``$$`` is a dollar sign.

    Raises:
        PlatformError: a variable is missing that is asked for with ``:?``.
    """

    def replacement(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return "$"
        if found["operator"] == ":-":
            return variables.get(name) or found["argument"]
        if found["operator"] == ":?" and not variables.get(name):
            raise PlatformError(f"{name} is not set: {found['argument']}")
        return variables.get(name, "")

    return _REFERENCE.sub(replacement, text)
