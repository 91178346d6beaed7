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

from humannet_ops.orchestration.legs import POOLS
from humannet_ops.settings import REPOSITORY

FOLDER = REPOSITORY / "infra" / "helm"
Values = dict[str, Any]
# Of the settings in infra/cluster.env, what is otherwise here, and why.
OTHERWISE = {
    # the chart sets it, to `airflowHome`; twice, and an apply by the server is refused
    "AIRFLOW_HOME": None,
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


def pods(values: Values) -> dict[str, Values]:
    """What the values say of a pod, by the name of compose's service."""
    airflow = {"api-server": "apiServer", "scheduler": "scheduler", "dag-processor": "dagProcessor"}
    found = {service: values[key] for service, key in {**airflow, "triggerer": "triggerer"}.items()}
    return {**found, **{f"worker-{name}": each for name, each in sets(values).items()}}


def model_server(values: Values) -> Values:
    found: Values = {each["name"]: each for each in sets(values)["gpu"]["extraInitContainers"]}["model-server"]
    return found


def secret_of(variable: Values) -> str:
    reference = variable["valueFrom"]["secretKeyRef"]
    return f"{reference['name']}/{reference['key']}"


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
    assert values["airflowHome"] == "/var/lib/humannet/airflow"
    # else the chart's own file is found before plugins/airflow_local_settings.py
    assert values["airflowLocalSettings"] is None


def test_every_queue_has_a_worker_set(values: Values) -> None:
    taken = [queue for each in sets(values).values() for queue in each["queue"].split(",")]
    assert sorted(taken) == sorted({"default", *POOLS})
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
        "model-server": model_server(values)["args"],
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
        told = {
            each["name"]: each["value"] if "value" in each else each["valueFrom"]["secretKeyRef"]["key"]
            for each in environment
        }
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
    server = model_server(values)
    # a sidecar: there before the worker, and as long as it
    assert server["restartPolicy"] == "Always"
    assert gpu["extraInitContainers"][-1] == server
    assert "exec" in server["startupProbe"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in gpu["resources"]["limits"]
    sockets = [each["value"] for each in (*gpu["env"], *server["env"]) if each["name"] == "HUMANNET_MODEL_SOCKET"]
    assert len(sockets) == 2
    assert len(set(sockets)) == 1
    for mounts in (gpu["extraVolumeMounts"], server["volumeMounts"]):
        assert {"name": "model-socket", "mountPath": "/run/humannet"} in mounts
    assert gpu["keda"]["minReplicaCount"] == 0
    # an upgrade must not wait for a GPU that the pod it replaces still has
    assert gpu["strategy"] == {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}}


def test_the_model_server_is_composes(values: Values, compose: dict[str, Any]) -> None:
    told = {each["name"]: each["value"] for each in model_server(values)["env"]}
    wanted = {name: defaulted(value) for name, value in compose["model-server"]["environment"].items()}
    assert told == {**wanted, "HUMANNET_MODELS_DIR": "/var/lib/humannet/models"}
    assert compose["model-server"]["healthcheck"]["test"][1:] == model_server(values)["startupProbe"]["exec"]["command"]


def test_a_pool_is_as_large_as_its_workers_together(values: Values) -> None:
    """KEDA counts what is queued, and what is queued is bounded by the pool: the slots of .env, as README says."""
    readme = (FOLDER / "README.md").read_text()
    for name, each in sets(values).items():
        if "keda" in each:
            concurrency = int(each["args"][each["args"].index("--concurrency") + 1])
            slots = re.search(rf"\b{name.upper()}_SLOTS=(\d+)", readme)
            assert slots
            assert int(slots[1]) == each["keda"]["maxReplicaCount"] * concurrency


def test_every_mount_has_its_volume(values: Values) -> None:
    for each in sets(values).values():
        volumes = {volume["name"] for volume in (*values["volumes"], *each["extraVolumes"])}
        for mounts in (each["extraVolumeMounts"], *(part["volumeMounts"] for part in each["extraInitContainers"])):
            assert {mount["name"] for mount in mounts} <= volumes
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
    assert {mount["name"] for mount in values["volumeMounts"]} <= {volume["name"] for volume in values["volumes"]}


def test_what_compose_lets_a_service_write_to_is_a_volume(values: Values, compose: dict[str, Any]) -> None:
    """The root is read-only. A mount below another is made by root, so that AIRFLOW_HOME needs one of its own."""
    shared = {mount["mountPath"] for mount in values["volumeMounts"]}
    for service, pod in pods(values).items():
        wanted = {each.split(":")[0] for each in compose[service]["tmpfs"]}
        assert wanted <= shared, service
        volumes = {each.split(":")[1] for each in compose[service]["volumes"] if not each.endswith(":ro")}
        mounts = {mount["mountPath"] for mount in pod.get("extraVolumeMounts", ())} | shared
        # logs: the chart's own volume
        assert volumes - {"/var/lib/humannet/logs"} <= mounts, service
    server = {mount["mountPath"] for mount in model_server(values)["volumeMounts"]}
    assert {"/tmp", "/home/humannet", "/var/lib/humannet", "/run/humannet"} <= server


def test_each_pod_has_the_secrets_of_composes_service(values: Values, compose: dict[str, Any]) -> None:
    """The chart would give every pod all of Airflow's: that is off, and each names its own."""
    assert not any(values["enableBuiltInSecretEnvVars"].values())
    assert "secret" not in values
    extra = {
        # what writes or reads the logs in the bucket
        **{name: {"AIRFLOW_CONN_LOGS"} for name in ("api-server", "triggerer", "worker-crawl")},
        # and where KEDA looks for whom to ask
        **{name: {"AIRFLOW_CONN_LOGS", "AIRFLOW_CONN_AIRFLOW_DB"} for name in ("worker-cpu", "worker-gpu")},
    }
    for service, pod in pods(values).items():
        told = {each["name"]: secret_of(each) for each in pod["env"] if "valueFrom" in each}
        wanted = {name for name, value in compose[service]["environment"].items() if ":?" in value}
        # Airflow derives the second from the first; and the catalog's login is an address with a password in it
        wanted -= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC", "HUMANNET_CATALOG_READER_URL"}
        if "HUMANNET_CATALOG_URL" in wanted:
            wanted = wanted - {"HUMANNET_CATALOG_URL"} | {"CATALOG_PASSWORD"}
        assert set(told) == wanted | extra.get(service, set()), service
        names = [each["name"] for each in (*values["env"], *pod["env"])]
        assert len(set(names)) == len(names), service
        if "AIRFLOW_CONN_AIRFLOW_DB" in told:
            assert told["AIRFLOW_CONN_AIRFLOW_DB"] == "humannet-keda/connection"
        waits = pod.get("waitForMigrations", values["workers"]["celery"]["waitForMigrations"])
        assert bool(waits.get("enabled", True)) == ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in told), service
        if waits.get("enabled", True):
            assert list(map(secret_of, waits["env"])) == ["humannet-metadata/connection"]


def test_no_pod_has_a_key_to_kubernetes(values: Values, manifests: Any) -> None:
    assert values["rbac"] == {"create": False}
    assert values["allowPodLaunching"] is False
    airflow = [each for name, each in pods(values).items() if not name.startswith("worker-")]
    for each in (*airflow, values["workers"]["celery"], values["redis"], values["pgbouncer"]):
        assert each["serviceAccount"] == {"automountServiceAccountToken": False}
    for (kind, name), each in manifests.items():
        if kind in ("Job", "Deployment"):
            assert each["spec"]["template"]["spec"]["automountServiceAccountToken"] is False, name


def test_every_secret_is_made_by_the_readme_and_none_is_written_here(values: Values, manifests: Any) -> None:
    readme = (FOLDER / "README.md").read_text()
    made = set(re.findall(r"^    secret (\S+)", readme, re.MULTILINE))
    named = {values[key] for key in values if key.endswith("SecretName") or key == "jwtSecretName"}
    named |= {value for key, value in values["data"].items() if key.endswith("SecretName")}
    named |= {values["pgbouncer"]["configSecretName"], values["redis"]["passwordSecretName"]}
    text = (FOLDER / "values.yaml").read_text() + (FOLDER / "humannet.yaml").read_text()
    named |= {values["pgbouncer"]["metricsExporterSidecar"]["statsSecretName"]}
    named |= set(re.findall(r"secret(?:KeyRef|Ref): \{name: ([\w-]+)", text))
    assert named == made
    for password in re.findall(r"://\w+:([^@\s]+)@", text):
        assert re.fullmatch(r"\$\(\w+\)", password), password
    keys = set(re.findall(r"name: humannet, key: (\w+)", text))
    keys |= set(re.findall(r"\$\((\w+)\)", text)) - {"CATALOG_PASSWORD"}
    make_env = (REPOSITORY / "infra" / "make-env").read_text()
    assert all(f'"{key}"' in make_env for key in keys)


def test_images_are_composes_and_run_without_root(values: Values, compose: dict[str, Any], manifests: Any) -> None:
    images = {defaulted(service["image"]) for service in compose.values()} | {"humannet/worker:0.1.0"}
    found = {f"{each['repository']}:{each['tag']}" for each in (values["images"]["airflow"], values["images"]["redis"])}
    found |= {part["image"] for each in sets(values).values() for part in each["extraInitContainers"]}
    workloads = [each for (kind, _), each in manifests.items() if kind in ("Job", "Deployment")]
    found |= {container(each)["image"] for each in workloads}
    assert found <= images
    for pod in (
        values["securityContexts"]["pod"],
        values["redis"]["securityContexts"]["pod"],
        *(each["spec"]["template"]["spec"]["securityContext"] for each in workloads),
    ):
        assert pod["runAsNonRoot"] is True
        assert all(int(pod[part]) > 0 for part in ("runAsUser", "runAsGroup", "fsGroup"))
    inits = [part for each in sets(values).values() for part in each["extraInitContainers"]]
    for part in (
        values["securityContexts"]["containers"],
        *(each["securityContext"] for each in (*inits, *map(container, workloads))),
    ):
        assert part["readOnlyRootFilesystem"] is True
        assert part["allowPrivilegeEscalation"] is False
        assert part["capabilities"] == {"drop": ["ALL"]}


def container(workload: Any) -> Any:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def test_the_version_of_airflow_is_the_locked_one(values: Values) -> None:
    assert f"apache-airflow=={values['airflowVersion']}" in (REPOSITORY / "requirements" / "default.txt").read_text()
