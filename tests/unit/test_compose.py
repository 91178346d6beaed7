"""docker-compose.yml: the specification, Docker Compose's own reading of it, and the rules of this project.

Docker Compose itself reads the file (a package brings its program; reading asks for no engine), so what is tested is
what would be started.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from humannet_ops.cluster import topology
from humannet_ops.metrics.questions import LONGEST_RUN_S
from humannet_ops.orchestration.legs import POOLS
from humannet_ops.settings import REPOSITORY

Config = dict[str, Any]
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
ENV_FILE = REPOSITORY / "infra" / "cluster.env"
DOCKERFILE = REPOSITORY / "infra" / "docker" / "Dockerfile"
PROFILES = ("gpu", "flower", "monitoring")
CONTROL = {"METADATA_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_SECRET_KEY"}
QUEUE = {"REDIS_PASSWORD", "CELERY_PASSWORD"}
STORE = {"STORE_ACCESS_KEY", "STORE_SECRET_KEY"}
ROLES = {f"CATALOG_{role}_PASSWORD" for role in ("CRAWLER", "WORKER", "REVIEWER", "READER")}
# Every secret that a service is given: what its work needs, and no more.
SECRETS = {
    "metadata": {"POSTGRES_PASSWORD", "METADATA_PASSWORD", "CELERY_PASSWORD"},
    "catalog": {"POSTGRES_PASSWORD", "CATALOG_OWNER_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "store": STORE,
    "init": CONTROL | STORE | ROLES | {"CATALOG_OWNER_PASSWORD", "ADMIN_PASSWORD"},
    "api-server": CONTROL | STORE | {"CATALOG_READER_PASSWORD"},
    "scheduler": CONTROL | QUEUE,
    "dag-processor": CONTROL | {"CATALOG_WORKER_PASSWORD"},
    "triggerer": CONTROL,
    "worker-crawl": QUEUE | STORE | {"CATALOG_CRAWLER_PASSWORD"},
    "worker-cpu": QUEUE | STORE | {"CATALOG_WORKER_PASSWORD"},
    "worker-gpu": QUEUE | STORE | {"CATALOG_WORKER_PASSWORD"},
    "model-server": set(),
    "flower": QUEUE | {"FLOWER_PASSWORD"},
    "statsd-exporter": set(),
    "metrics": {"CATALOG_READER_PASSWORD"},
    "prometheus": set(),
    "grafana": {"GRAFANA_PASSWORD"},
}
CATALOG_ROLES = {
    "init": "catalog",
    "api-server": "reader",
    "metrics": "reader",
    "worker-crawl": "crawler",
    "worker-cpu": "worker",
    "worker-gpu": "worker",
    "dag-processor": "worker",
}
SERVICES = sorted(SECRETS)
ONE_SHOT = "init"


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_env(tmp_path_factory.mktemp("env") / ".env", gpus=1)


def make_env(path: Path, *, gpus: int) -> Path:
    command = [str(REPOSITORY / "infra" / "make-env"), "--file", str(path), "--gpus", str(gpus)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def docker_compose(env_file: Path, *profiles: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Let Docker Compose read the file as it does before starting anything."""
    package = find_spec("compose")
    assert package
    assert package.submodule_search_locations
    program = Path(package.submodule_search_locations[0]) / "docker-compose"
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    command = [str(program), "--file", str(COMPOSE_FILE), "--env-file", str(env_file), *chosen]
    environment = {"PATH": os.environ["PATH"], "HOME": str(env_file.parent), **variables}
    return subprocess.run([*command, "config", "--format", "json"], capture_output=True, text=True, env=environment)


def read(env_file: Path, *profiles: str, **variables: str) -> Config:
    done = docker_compose(env_file, *profiles, **variables)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    config: Config = json.loads(done.stdout)
    return config


@pytest.fixture(scope="module")
def config(env_file: Path) -> Config:
    return read(env_file, *PROFILES)


@pytest.fixture(scope="module")
def services(config: Config) -> dict[str, Config]:
    found: dict[str, Config] = config["services"]
    return found


@pytest.fixture(scope="module")
def variables(env_file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in env_file.read_text().splitlines() if not line.startswith("#"))


def written() -> str:
    """Return both files without their comments."""
    lines = (COMPOSE_FILE.read_text() + ENV_FILE.read_text()).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


@cache
def airflow_options() -> dict[tuple[str, str], str]:
    """Return the type of every option that Airflow and its installed providers know, by section and name."""
    package = find_spec("airflow")
    assert package
    assert package.submodule_search_locations
    base = Path(package.submodule_search_locations[0])
    sections = yaml.safe_load((base / "config_templates" / "config.yml").read_text())
    declared = [sections]
    for path in base.glob("providers/**/get_provider_info.py"):
        namespace: dict[str, Any] = {}
        exec(compile(path.read_text(), path, "exec"), namespace)
        declared.append(namespace["get_provider_info"]().get("config") or {})
    return {
        (section, name): option.get("type") or "string"
        for each in declared
        for section, body in each.items()
        for name, option in body["options"].items()
    }


# ----- the specification ----------------------------------------------------------------------------------------------


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_processes_of_make_cluster_are_the_services_of_docker_compose(
    services: dict[str, Config], variables: dict[str, str]
) -> None:
    """Our reading of the file and Docker Compose's are the same: commands, environments, order."""
    ours = topology.read(variables)
    assert set(ours) == set(services) == set(SERVICES)
    for name, theirs in services.items():
        assert ours[name].command == tuple(theirs.get("command") or ()), name
        assert dict(ours[name].environment) == (theirs.get("environment") or {}), name
        assert set(ours[name].after) == set(theirs.get("depends_on") or ()), name
        assert set(ours[name].profiles) == set(theirs.get("profiles") or ()), name


def test_only_the_simple_references_are_used() -> None:
    for reference in re.findall(r"\$[^$\s]*", written().replace("$$", "")):
        assert re.match(r"\$\{[A-Z0-9_]+(:-[^}$]*|:\?[^}$]*)?\}?", reference), reference


def test_commands_are_lists_of_our_programs_and_no_shell(services: dict[str, Config]) -> None:
    for name, body in yaml.safe_load(COMPOSE_FILE.read_text())["services"].items():
        assert isinstance(body.get("command", []), list), name
        assert isinstance(body.get("environment", {}), dict), name
        assert "entrypoint" not in body, name
        if services[name]["image"].startswith("humannet/"):
            assert body["command"][0] in ("airflow", "humannet"), name


# ----- what each service is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_limited_and_looked_after(services: dict[str, Config], name: str) -> None:
    service = services[name]
    tag = service["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), service["image"]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    if name == ONE_SHOT:
        assert service["restart"].startswith("on-failure:")
        return
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"]
    health = service["healthcheck"]
    assert health["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(health)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privileges_and_writes_only_where_it_must(services: dict[str, Config], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name == "store":
        # its image starts as root to become its user 1000
        assert set(service["cap_add"]) == {"CHOWN", "SETGID", "SETUID"}
        return
    assert "cap_add" not in service
    user = service["user"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0


def test_own_images_bear_the_version_of_the_project(services: dict[str, Config]) -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    own = {each["image"] for each in services.values() if each["image"].startswith("humannet/")}
    assert own == {f"humannet/airflow:{version}", f"humannet/worker:{version}"}


def test_own_images_are_targets_of_the_dockerfile_and_run_as_its_user(services: dict[str, Config]) -> None:
    text = DOCKERFILE.read_text()
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)
    names = {name for _, name in stages}
    assert all(image in names or re.search(r":\d+\.\d+\.\d+-", image) for image, _ in stages)
    user = re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1]
    for name, service in services.items():
        if "build" not in service:
            continue
        build = service["build"]
        assert (Path(build["context"]) / build["dockerfile"]).samefile(DOCKERFILE)
        assert build["target"] in names, name
        assert service["user"] == user, name
    assert "ENTRYPOINT" not in text


def test_what_the_dockerfile_copies_is_let_in() -> None:
    allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for source in re.findall(r"requirements/[\w.]+\.txt", DOCKERFILE.read_text()):
        assert (REPOSITORY / source).exists()
    for line in allowed:
        if line.startswith("!"):
            assert list(REPOSITORY.glob(line[1:])), line
    assert "*" in allowed
    assert "!.env" not in allowed


# ----- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_the_secrets_that_it_needs_and_no_other(
    services: dict[str, Config], variables: dict[str, str], name: str
) -> None:
    told = json.dumps([services[name].get("environment"), services[name].get("command")])
    secret = {key for key, value in variables.items() if len(value) >= 40 and value in told}
    assert secret == SECRETS[name]


def test_every_secret_is_asked_for_and_made(variables: dict[str, str]) -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", written()))
    made = {name for name, value in variables.items() if len(value) >= 40}
    assert asked == made
    # nowhere with a default, or without complaint where it is missing
    for name in made:
        assert not re.search(rf"\$\{{{name}(?!:\?run infra/make-env\}})", written()), name


def test_what_looks_like_a_secret_is_a_reference() -> None:
    public = {
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        "AIRFLOW__API__BASE_URL",
        "HUMANNET_STORE_URL",
        "HUMANNET_S3_ENDPOINT_URL",
        # what is bought elsewhere has no value here
        "HUMANNET_LLM_URL",
        "HUMANNET_LLM_KEY",
        "HUMANNET_VISION_URL",
        "HUMANNET_VISION_KEY",
    }
    told = re.findall(r"^\s*([A-Z][A-Z0-9_]*)(?:: |=)(.*)$", written(), re.MULTILINE)
    assert len(told) > 60
    suspicious = re.compile(r"PASSWORD|SECRET|KEY$|KEY_|_CONN|_URL$|BACKEND|AUTH$|TOKEN")
    found = [(name, value) for name, value in told if suspicious.search(name) and name not in public]
    assert len(found) > 20
    for name, value in found:
        assert ":?run infra/make-env}" in value, name


def test_without_secrets_nothing_starts_and_the_cure_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("")
    done = docker_compose(tmp_path / ".env")
    assert done.returncode != 0
    assert "run infra/make-env" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_catalog_sees_the_role_of_the_work(
    services: dict[str, Config], variables: dict[str, str], name: str
) -> None:
    address = (services[name].get("environment") or {}).get("HUMANNET_CATALOG_URL")
    role = CATALOG_ROLES.get(name)
    if role is None:
        assert address is None
        return
    password = variables[f"CATALOG_{'OWNER' if role == 'catalog' else role.upper()}_PASSWORD"]
    assert address == f"postgresql+psycopg2://{role}:{password}@catalog:5432/catalog"


# ----- who reaches whom -----------------------------------------------------------------------------------------------


def reached(services: dict[str, Config], network: str) -> set[str]:
    return {name for name, service in services.items() if network in (service.get("networks") or {})}


def test_who_reaches_whom(config: Config, services: dict[str, Config]) -> None:
    workers = {"worker-crawl", "worker-cpu", "worker-gpu"}
    control = {"api-server", "scheduler", "dag-processor", "triggerer", "init"}
    assert reached(services, "outside") == {"worker-crawl", "init"}
    assert reached(services, "control") == control | {"metadata"}
    assert reached(services, "work") == workers | {"redis", "metadata", "api-server", "scheduler", "flower"}
    assert reached(services, "corpus") == workers | {
        "catalog",
        "store",
        "api-server",
        "dag-processor",
        "init",
        "metrics",
    }
    # no worker reaches the model server but by its socket, and it reaches nothing but who reads its metrics
    assert set(services["model-server"]["networks"]) == {"telemetry"}
    networks = config["networks"]
    assert {name for name, body in networks.items() if not body.get("internal")} == {"outside", "published"}
    assert networks["published"]["driver_opts"] == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_ports_are_open_on_loopback_alone_unless_told_otherwise(services: dict[str, Config], env_file: Path) -> None:
    def open_at(found: dict[str, Config]) -> dict[str, set[str]]:
        return {name: {port["host_ip"] for port in each["ports"]} for name, each in found.items() if "ports" in each}

    published = {"api-server", "catalog", "flower", "grafana", "prometheus"}
    assert open_at(services) == {name: {"127.0.0.1"} for name in published}
    # a container that is on internal networks alone publishes nothing
    assert reached(services, "published") == published
    everywhere = open_at(read(env_file, *PROFILES, BIND="0.0.0.0")["services"])
    # Prometheus asks nobody who they are
    assert everywhere.pop("prometheus") == {"127.0.0.1"}
    assert set(map(frozenset, everywhere.values())) == {frozenset({"0.0.0.0"})}


def test_what_is_mounted_is_in_the_repository(services: dict[str, Config], config: Config) -> None:
    bound = set()
    for name, service in services.items():
        for volume in service.get("volumes") or ():
            if volume["type"] == "bind":
                bound.add(Path(volume["source"]))
                assert volume["read_only"], name
                # Docker would make an empty folder of what is missing
                assert Path(volume["source"]).exists(), volume["source"]
            else:
                assert volume["source"] in config["volumes"]
    tracked = subprocess.run(
        ["git", "ls-files", "--", *map(str, bound)], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.splitlines()
    for path in bound if tracked else ():
        assert any((REPOSITORY / each).is_relative_to(path) for each in tracked), f"{path} is not committed"


def test_workers_keep_videos_on_their_volume_and_not_in_memory(services: dict[str, Config]) -> None:
    for name in ("worker-crawl", "worker-cpu", "worker-gpu"):
        place = Path(services[name]["environment"]["TMPDIR"])
        volumes = {Path(each["target"]) for each in services[name]["volumes"] if each["type"] == "volume"}
        assert place.parent in volumes
        assert not any(place.is_relative_to(each.split(":")[0]) for each in services[name]["tmpfs"])
        # an empty volume takes its folders from the image
        assert str(place) in DOCKERFILE.read_text()


def test_a_folder_of_videos_can_be_mounted(env_file: Path, tmp_path: Path) -> None:
    crawl = read(env_file, VIDEOS=str(tmp_path))["services"]["worker-crawl"]
    mounted = {each["target"]: each for each in crawl["volumes"]}["/var/lib/humannet/videos"]
    assert (mounted["type"], mounted["source"], mounted["read_only"]) == ("bind", str(tmp_path), True)


# ----- Airflow's settings ---------------------------------------------------------------------------------------------


def test_every_setting_of_airflow_exists_and_has_its_type(services: dict[str, Config]) -> None:
    told = {
        (name, value)
        for service in services.values()
        for name, value in (service.get("environment") or {}).items()
        if name.startswith("AIRFLOW__")
    }
    assert len(told) > 40
    checks = {"integer": r"-?\d+", "float": r"-?\d+(\.\d+)?", "boolean": r"True|False"}
    for name, value in told:
        _, section, option = name.lower().split("__")
        assert (section, option) in airflow_options(), name
        assert re.fullmatch(checks.get(airflow_options()[section, option], r"(?s).+"), value), (name, value)


def test_every_setting_says_why() -> None:
    """The file is read by people: each block of settings has a comment before it."""
    explained = False
    for line in ENV_FILE.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        else:
            assert explained, line


def test_every_setting_of_ours_exists(services: dict[str, Config]) -> None:
    from humannet_ops.settings import Settings

    known = {f"HUMANNET_{name.upper()}" for name in Settings.model_fields}
    told = {
        name for each in services.values() for name in each.get("environment") or () if name.startswith("HUMANNET_")
    }
    assert told <= known


def test_a_message_comes_back_only_after_the_longest_shard(services: dict[str, Config]) -> None:
    environment = services["scheduler"]["environment"]
    assert float(environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > LONGEST_RUN_S
    assert float(environment["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) < LONGEST_RUN_S


@pytest.mark.parametrize("gpus", [0, 2])
def test_each_queue_has_one_service_with_a_process_for_every_slot(tmp_path: Path, gpus: int) -> None:
    running = read(make_env(tmp_path / ".env", gpus=gpus))["services"]
    assert ("worker-gpu" in running) == bool(gpus)
    init = running["init"]["environment"]
    slots = {pool: int(init[f"{pool.upper()}_SLOTS"]) for pool in POOLS}
    slots["default"] = int(init["AIRFLOW__CORE__DEFAULT_POOL_TASK_SLOT_COUNT"])
    served: list[str] = []
    for name, service in running.items():
        command = service.get("command") or []
        if "worker" not in command:
            continue
        queues = command[command.index("--queues") + 1].split(",")
        served += queues
        processes = int(command[command.index("--concurrency") + 1])
        assert processes >= sum(slots[queue] for queue in queues), name
    assert sorted(served) == sorted(slots)
