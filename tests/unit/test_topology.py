"""Reading docker-compose.yml as compose does."""

from __future__ import annotations

from pathlib import Path

import pytest

from humannet_ops.cluster import topology
from humannet_ops.local.components import PlatformError

COMPOSE = """
x-shared: &shared
  env_file: [shared.env]
  environment: &environment
    WHO: ${WHO:-nobody}
services:
  first:
    <<: *shared
    command: [airflow, worker, --slots, "${SLOTS:-2}", "$${kept}"]
    environment:
      <<: *environment
      SECRET: ${SECRET:?run make-env}
    depends_on: {second: {condition: service_healthy}}
  second:
    image: redis:7
    profiles: [gpu]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "shared.env").write_text("# why\nURL=http://${HOST:-name}/x\nWHO=overwritten\nEMPTY=\n")
    path = tmp_path / "docker-compose.yml"
    path.write_text(COMPOSE)
    return path


def test_a_service_has_its_command_environment_and_order(file: Path) -> None:
    services = topology.read({"SECRET": "s$1", "HOST": "here", "SLOTS": ""}, file)
    first = services["first"]
    assert first.command == ("airflow", "worker", "--slots", "2", "${kept}")
    assert first.environment == {"URL": "http://here/x", "WHO": "nobody", "EMPTY": "", "SECRET": "s$1"}
    assert first.after == ("second",)
    assert services["second"].command == ()
    assert services["second"].profiles == ("gpu",)


def test_a_missing_secret_is_named_with_its_cure(file: Path) -> None:
    with pytest.raises(PlatformError, match="SECRET is not set: run make-env"):
        topology.read({}, file)
