"""What infra/monitoring reads exists: in our exporter's own output, and in what Airflow itself sends over StatsD."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from humannet_ops.metrics.collector import Asked, Exporter
from humannet_ops.metrics.questions import Question, questions
from humannet_ops.settings import REPOSITORY, settings

MONITORING = REPOSITORY / "infra" / "monitoring"
PREFIX = "airflow"
Labels = dict[str, set[str]]


def mapping() -> list[dict[str, Any]]:
    return list(yaml.safe_load((MONITORING / "statsd-mapping.yml").read_text())["mappings"])


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "humannet.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Return (where, PromQL) of every alert, record, panel and annotation."""
    found = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in alert_rules()]
    return found + [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])]


@pytest.fixture(scope="module")
def sent() -> dict[str, str]:
    """Every metric of Airflow's own list, sent by Airflow's code through a real StatsD client: name -> type."""
    from airflow._shared.observability.metrics import stats
    from airflow._shared.observability.metrics.metrics_registry import MetricsRegistry
    from airflow._shared.observability.metrics.statsd_logger import get_statsd_logger
    from statsd import StatsClient

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        host, port = server.getsockname()
        logger = get_statsd_logger(stats_class=StatsClient, host=host, port=port, prefix=PREFIX)
        before = stats._factory, stats._export_legacy_names
        stats.initialize(factory=lambda: logger, export_legacy_names=True)
        try:
            template = Path(stats.__file__).with_name("metrics_template.yaml")
            for metric in yaml.safe_load(template.read_text())["metrics"]:
                assert MetricsRegistry().get(name=metric["name"]) is not None
                tags = {name: f"some_{name}" for name in metric["name_variables"]}
                name = metric["name"].format(**tags)
                match metric["type"]:
                    case "counter":
                        stats.incr(name, tags=tags)
                    case "gauge":
                        stats.gauge(name, 1, tags=tags)
                    case "timer":
                        stats.timing(name, 1500.0, tags=tags)
            server.setblocking(False)
            lines = list(received(server))
        finally:
            stats.initialize(factory=before[0], export_legacy_names=before[1])
    assert f"{PREFIX}.pool.open_slots.some_pool_name:1|g" in lines
    return {name: kind for name, _, kind in (re.split(r"[:|]", line) for line in lines)}


def received(server: socket.socket) -> Iterator[str]:
    while True:
        try:
            yield server.recv(65536).decode()
        except BlockingIOError:
            return


def mapped(name: str) -> tuple[str, dict[str, str]] | None:
    """Do what statsd_exporter does with a name: the first glob that matches names it; None: it is dropped."""
    for rule in mapping():
        if rule.get("match_type") == "regex":
            pattern = rule["match"]
        else:
            pattern = "^" + re.escape(rule["match"]).replace(r"\*", r"([^.]*)") + "$"
        if found := re.search(pattern, name):
            if rule.get("action") == "drop":
                return None
            labels = {
                label: re.sub(r"\$(\d)", lambda group, found=found: found[int(group[1])], str(value))
                for label, value in rule.get("labels", {}).items()
            }
            return rule["name"], labels
    raise AssertionError(f"{name} is neither mapped nor dropped")


@pytest.fixture(scope="module")
def airflow_metrics(sent: dict[str, str]) -> Labels:
    found: Labels = {}
    for name, kind in sent.items():
        if target := mapped(name):
            extra = {"quantile"} if kind == "ms" else set()
            found.setdefault(target[0], set()).update(target[1], extra)
    return found


@pytest.fixture(scope="module")
def our_metrics() -> Labels:
    """What our exporter gives where every question has an answer."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HUMANNET_WORKER_PRICES", "cpu=1")
        settings.cache_clear()
        exporter, registry = Exporter(questions()), CollectorRegistry()
        for asked in exporter.asked:
            answer(asked)
        registry.register(exporter)
        text = generate_latest(registry).decode()
    settings.cache_clear()
    families = text_string_to_metric_families(text)
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def answer(asked: Asked) -> None:
    question: Question = asked.question
    columns = {measure.column for measure in question.measures}
    labels = {label for measure in question.measures for label in measure.labels}
    asked.question = Question(
        question.name, question.lane, lambda: [dict.fromkeys(columns, 1.0) | dict.fromkeys(labels, "x")],
        question.measures, 60.0, 60.0,
    )  # fmt: skip
    asked.ask()


def test_every_mapping_names_something_that_airflow_sends(sent: dict[str, str]) -> None:
    for rule in mapping()[:-1]:
        pattern = "^" + re.escape(rule["match"]).replace(r"\*", r"[^.]*") + "$"
        kinds = {kind for name, kind in sent.items() if re.match(pattern, name)}
        assert len(kinds) == 1, rule["match"]
        suffix = {"c": "_total", "ms": "_seconds"}.get(kinds.pop())
        if suffix:
            assert rule["name"].endswith(suffix), rule
        else:
            # a gauge that nobody renews is forgotten: a dead scheduler's pools are not shown for ever
            assert not rule["name"].endswith(("_total", "_bucket")), rule
            assert rule.get("ttl"), rule


def test_a_task_in_a_group_keeps_its_labels_and_what_is_not_named_is_dropped() -> None:
    assert mapped("airflow.ti.running.gpu.curate_clips.group__detect") == (
        "airflow_task_instances",
        {"queue": "gpu", "dag_id": "curate_clips", "task_id": "group__detect", "state": "running"},
    )
    assert mapped("airflow.pool.open_slots") is None
    assert mapped("airflow.dag_processing.last_duration.bundle.some_file") is None


def test_dashboards_and_alerts_ask_only_for_what_exists(our_metrics: Labels, airflow_metrics: Labels) -> None:
    known = our_metrics | airflow_metrics | {"up": {"job", "instance"}}
    known |= {rule["record"]: {"stage"} for rule in alert_rules() if "record" in rule}
    asked: set[str] = set()
    for where, expression in expressions():
        selectors = re.findall(r"\b((?:humannet|airflow)[a-z0-9_:]*|up)\b(?:\{([^}]*)\})?", expression)
        assert selectors or expression.startswith("ALERTS"), where
        for name, matchers in selectors:
            assert name in known, f"{where}: {name}"
            labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
            assert labels <= known[name], f"{where}: {name} has no label {labels - known[name]}"
            asked.add(name)
    # and of what we make, all is shown or watched somewhere but what only people look up
    assert our_metrics.keys() - asked == {
        "humannet_metrics_errors_total", "humannet_metrics_errors_created", "humannet_oldest_stage_run_seconds",
        "humannet_recent_stage_runs", "humannet_videos", "humannet_worker_price_per_hour",
    } - ({"humannet_metrics_errors_created"} - our_metrics.keys())  # fmt: skip


def test_the_readme_lists_every_metric(our_metrics: Labels) -> None:
    listed = set(re.findall(r"`(humannet_\w+)`", (MONITORING / "README.md").read_text()))
    assert listed == {name for name in our_metrics if not name.endswith("_created")}


def test_every_alert_says_what_to_do() -> None:
    alerts = [rule for rule in alert_rules() if "alert" in rule]
    text = (REPOSITORY / "infra" / "runbooks" / "alerts.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S))
    for rule in alerts:
        assert rule["annotations"]["runbook_url"] == f"infra/runbooks/alerts.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert "**Means.**" in sections[rule["alert"]]
        assert re.search(r"\*\*(Do|Look and do)\.\*\*", sections[rule["alert"]])
    assert set(sections) == {rule["alert"] for rule in alerts}


def test_prometheus_and_grafana_are_wired() -> None:
    prometheus = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    jobs = {job.pop("job_name"): job for job in prometheus["scrape_configs"]}
    assert jobs["airflow"]["static_configs"] == [{"targets": ["statsd-exporter:9102"]}]
    assert jobs["humannet"]["static_configs"] == [{"targets": ["metrics:9101"]}]
    # by name, so that no target is missed where no GPU is
    (models,) = jobs["models"]["dns_sd_configs"]
    assert models == {"names": ["model-server"], "type": "A", "port": 9103}
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    assert compose["model-server"]["command"][-1] == "${MODEL_METRICS_PORT:-9103}"
    assert compose["model-server"]["networks"] == ["telemetry"]
    assert prometheus["rule_files"] == ["alerts.yml"]
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "humannet.yml").read_text())["providers"]
    assert provider["type"] == "file"
    mounts = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./infra/monitoring/grafana/dashboards:{provider['options']['path']}:ro" in mounts
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    places = sorted((p["gridPos"]["y"], p["gridPos"]["x"], p["gridPos"]["w"]) for p in panels())
    assert all(a[1] + a[2] <= b[1] for a, b in itertools.pairwise(places) if a[0] == b[0])
    assert all(panel.get("description") for panel in panels())


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is absent (apt-get install prometheus)")
    return found


def test_promtool_reads_every_expression(promtool: str, tmp_path: Path) -> None:
    config = subprocess.run(
        [promtool, "check", "config", MONITORING / "prometheus.yml"], capture_output=True, text=True
    )
    assert config.returncode == 0, config.stderr
    rules = [{"record": f"e{number}", "expr": expression} for number, (_, expression) in enumerate(expressions())]
    (tmp_path / "expressions.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", tmp_path / "expressions.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_alerts_fire_when_they_should_and_not_otherwise(promtool: str, tmp_path: Path) -> None:
    shutil.copy(MONITORING / "alerts.yml", tmp_path)
    cases = Path(__file__).with_name("alerts_test.yml")
    shutil.copy(cases, tmp_path)
    ran = subprocess.run([promtool, "test", "rules", tmp_path / cases.name], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tested = cases.read_text()
    patterns = re.findall(r"alertname=~\"([^\"]+)\"", tested)
    for rule in alert_rules():
        name = rule.get("alert", "")
        assert name in tested or any(re.fullmatch(pattern, name) for pattern in patterns) or not name, name
