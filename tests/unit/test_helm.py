"""The Helm values: their names are the chart's, and they say what docker-compose.yml and infra/cluster.env say."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from humannet_ops.settings import REPOSITORY
from humannet_ops.stages import registry

FOLDER = REPOSITORY / "infra" / "helm"
Values = dict[str, Any]
# Of the settings in infra/cluster.env, what is otherwise here, and why.
OTHERWISE = {
    # the chart names its Service after the release
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://humannet-api-server:8080/execution/",
    # the chart mounts a volume there, and each task's log goes to a bucket when it ends
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/var/lib/humannet/airflow/logs",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": "/var/lib/humannet/airflow/logs/dag_processor",
    "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
    "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": "s3://humannet-logs",
    "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "logs",
    # no volume is shared, so the group of the pod may read
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": None,
    "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": None,
}


@pytest.fixture
def values() -> Values:
    """infra/helm/values.yaml."""
    found: Values = yaml.safe_load((FOLDER / "values.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The services of docker-compose.yml."""
    found: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    return found


@pytest.fixture(scope="module")
def manifests() -> dict[tuple[str, str], Any]:
    """Kind and name -> what humannet.yaml says of it."""
    documents = yaml.safe_load_all((FOLDER / "humannet.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def sets(values: Values) -> dict[str, Values]:
    return {each["name"]: each for each in values["workers"]["celery"]["sets"]}


def defaulted(text: str) -> str:
    """A value of compose with the defaults of its references."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def faults(values: Values) -> list[str]:
    schema = json.loads((FOLDER / "used.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(values)]


def misspell(values: Values) -> None:
    values["workers"]["celery"]["sets"][0]["queues"] = "crawl"


def put_a_password(values: Values) -> None:
    values["data"]["metadataConnection"]["pass"] = "postgres"


def unpin(values: Values) -> None:
    del values["images"]["airflow"]["tag"]


def test_the_values_have_the_charts_names(values: Values) -> None:
    assert faults(values) == []


@pytest.mark.parametrize("harm", [misspell, put_a_password, unpin])
def test_other_names_are_refused(values: Values, harm: Callable[[Values], None]) -> None:
    harmed = copy.deepcopy(values)
    harm(harmed)
    assert faults(harmed)


def test_the_settings_are_those_of_the_cluster(values: Values) -> None:
    lines = (REPOSITORY / "infra" / "cluster.env").read_text().splitlines()
    wanted = {
        name: defaulted(value)
        for name, _, value in (line.partition("=") for line in lines if line[:1] not in ("", "#"))
    }
    wanted = {name: value for name, value in {**wanted, **OTHERWISE}.items() if value is not None}
    assert {each["name"]: each["value"] for each in values["env"]} == wanted


def test_every_queue_has_a_worker_set(values: Values) -> None:
    taken = [queue for each in sets(values).values() for queue in each["queue"].split(",")]
    assert sorted(taken) == sorted({"default", *(spec.queue for spec in registry.specs())})
    for each in sets(values).values():
        # what KEDA counts is what the process takes
        assert each["args"][each["args"].index("--queues") + 1] == each["queue"]
        if "keda" in each:
            concurrency = int(each["args"][each["args"].index("--concurrency") + 1])
            counted = "count(*)" if concurrency == 1 else f"ceil(count(*)::decimal / {concurrency})"
            assert each["keda"]["query"] == (
                f"SELECT {counted} FROM task_instance "
                f"WHERE state IN ('running', 'queued') AND queue = '{each['queue']}'"
            )


def test_commands_are_composes(values: Values, compose: dict[str, Any], manifests: Any) -> None:
    found = {
        "api-server": values["apiServer"]["args"],
        "scheduler": values["scheduler"]["args"],
        "dag-processor": values["dagProcessor"]["args"],
        "triggerer": values["triggerer"]["args"],
        "worker-crawl": sets(values)["crawl"]["args"],
        "worker-gpu": sets(values)["gpu"]["args"],
        "model-server": sets(values)["gpu"]["extraContainers"][0]["args"],
        "init": container(manifests["Job", "humannet-init"])["command"],
        "metrics": container(manifests["Deployment", "metrics"])["command"],
    }
    assert found == {name: list(map(defaulted, compose[name]["command"])) for name in found}
    # compose's worker takes the queue gpu too, where no GPU is
    cpu = [defaulted(part) for part in compose["worker-cpu"]["command"]]
    assert [part for part in sets(values)["cpu"]["args"] if not part.isdigit()] == [
        part.replace("cpu,gpu", "cpu") for part in cpu if not part.isdigit()
    ]


def test_each_asks_the_catalog_as_composes_service_does(
    values: Values, compose: dict[str, Any], manifests: Any
) -> None:
    environments = {
        "api-server": values["apiServer"]["env"],
        "dag-processor": values["dagProcessor"]["env"],
        **{f"worker-{name}": each["env"] for name, each in sets(values).items()},
        "metrics": container(manifests["Deployment", "metrics"])["env"],
        "init": container(manifests["Job", "humannet-init"])["env"],
    }
    for service, environment in environments.items():
        told = {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"]["key"] for each in environment}
        password = re.escape("$(CATALOG_PASSWORD)") if "CATALOG_PASSWORD" in told else r"\$\(CATALOG_OWNER_PASSWORD\)"
        wanted = compose[service]["environment"]["HUMANNET_CATALOG_URL"]
        role = re.match(r"postgresql\+psycopg2://(\w+):\$\{(\w+)", wanted)
        assert role
        assert re.fullmatch(
            rf"postgresql\+psycopg2://{role[1]}:{password}@catalog:5432/catalog", told["HUMANNET_CATALOG_URL"]
        ), service
        assert told.get("CATALOG_PASSWORD", role[2]) == role[2], service
    assert "HUMANNET_CATALOG_URL" not in {each["name"] for each in values["env"]}


def test_the_gpu_is_the_model_servers_and_comes_and_goes_with_the_work(values: Values) -> None:
    gpu = sets(values)["gpu"]
    (server,) = gpu["extraContainers"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in gpu["resources"]["limits"]
    sockets = [each["value"] for each in (*gpu["env"], *server["env"]) if each["name"] == "HUMANNET_MODEL_SOCKET"]
    assert len(sockets) == 2
    assert len(set(sockets)) == 1
    for mounts in (gpu["extraVolumeMounts"], server["volumeMounts"]):
        assert {"name": "model-socket", "mountPath": "/run/humannet"} in mounts
    assert gpu["keda"]["minReplicaCount"] == 0


def test_every_mount_has_its_volume(values: Values) -> None:
    for each in sets(values).values():
        volumes = {volume["name"] for volume in each["extraVolumes"]}
        for part in ({"volumeMounts": each["extraVolumeMounts"]}, *each.get("extraContainers", ()),
                     *each["extraInitContainers"]):  # fmt: skip
            assert {mount["name"] for mount in part["volumeMounts"]} <= volumes


def test_every_secret_is_made_by_the_readme_and_none_is_written_here(values: Values, manifests: Any) -> None:
    readme = (FOLDER / "README.md").read_text()
    made = set(re.findall(r"^    secret (\S+)", readme, re.MULTILINE))
    named = {values[key] for key in values if key.endswith("SecretName") or key == "jwtSecretName"}
    named |= {value for key, value in values["data"].items() if key.endswith("SecretName")}
    named |= {values["pgbouncer"]["configSecretName"], values["redis"]["passwordSecretName"]}
    text = (FOLDER / "values.yaml").read_text() + (FOLDER / "humannet.yaml").read_text()
    named |= {each["secretName"] for each in values["secret"]}
    named |= set(re.findall(r"secret(?:KeyRef|Ref): \{name: ([\w-]+)", text))
    assert named == made
    for password in re.findall(r"://\w+:([^@\s]+)@", text):
        assert re.fullmatch(r"\$\(\w+\)", password), password
    keys = {each["secretKey"] for each in values["secret"] if each["secretName"] == "humannet"}
    keys |= set(re.findall(r"name: humannet, key: (\w+)", text))
    keys |= set(re.findall(r"\$\((\w+)\)", text)) - {"CATALOG_PASSWORD"}
    make_env = (REPOSITORY / "infra" / "make-env").read_text()
    assert all(f'"{key}"' in make_env for key in keys)


def test_images_are_composes_and_run_without_root(values: Values, compose: dict[str, Any], manifests: Any) -> None:
    images = {defaulted(service["image"]) for service in compose.values()} | {"humannet/worker:0.1.0"}
    found = {f"{each['repository']}:{each['tag']}" for each in (values["images"]["airflow"], values["images"]["redis"])}
    found |= {part["image"] for each in sets(values).values() for part in each.get("extraContainers", ())}
    found |= {part["image"] for each in sets(values).values() for part in each["extraInitContainers"]}
    workloads = [each for (kind, _), each in manifests.items() if kind in ("Job", "Deployment")]
    found |= {container(each)["image"] for each in workloads}
    assert found <= images
    for pod in (
        values["securityContexts"]["pod"],
        *(each["spec"]["template"]["spec"]["securityContext"] for each in workloads),
    ):
        assert pod["runAsNonRoot"] is True
    for part in (values["securityContexts"]["containers"], *(container(each)["securityContext"] for each in workloads)):
        assert part["allowPrivilegeEscalation"] is False
        assert part["capabilities"] == {"drop": ["ALL"]}


def container(workload: Any) -> Any:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def test_the_version_of_airflow_is_the_locked_one(values: Values) -> None:
    assert f"apache-airflow=={values['airflowVersion']}" in (REPOSITORY / "requirements" / "default.txt").read_text()
