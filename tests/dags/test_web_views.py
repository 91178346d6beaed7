"""Airflow finds the corpus page's plugin, and nobody sees the page without Airflow's login."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from humannet_ops.settings import REPOSITORY

# In a process of its own: Airflow reads its configuration once, at the first import.
ASK = """
import json
from airflow import plugins_manager
from starlette.testclient import TestClient

plugin, = plugins_manager.get_plugin_info()
application, = plugins_manager.get_fastapi_plugins()[0]
from airflow.api_fastapi.app import init_auth_manager
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse
init_auth_manager()
answers = {}
with TestClient(application["app"], base_url="http://127.0.0.1:8080", follow_redirects=False) as client:
    pages = ("/", "/sources", "/sources/samples", "/statistics", "/statistics/plotly.js")
    for path in (*pages, "/pictures/clip/c0.jpg", "/pictures/video/v0.jpg", "/clips/c0.mp4"):
        plain, browser = client.get(path), client.get(path, headers={"Accept": "text/html"})
        forged = client.get(path, headers={"Authorization": "Bearer aaaa.bbbb.cccc"})
        answers[path] = [plain.status_code, browser.status_code, browser.headers["location"], forged.status_code]
print(json.dumps({
    "view": PluginResponse.model_validate(plugin).external_views[0].model_dump(),
    "prefix": application["url_prefix"],
    "faults": plugins_manager.get_import_errors(),
    "answers": answers,
}))
"""


def test_the_page_is_in_the_navigation_and_behind_the_login(tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080",
        "AIRFLOW__API_AUTH__JWT_SECRET": "0" * 64,
    }
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == {}
    assert found["prefix"] == "/humannet"
    view = found["view"]
    assert (view["name"], view["destination"], view["href"]) == ("Corpus", "nav", "/humannet/")
    for path, (plain, browser, location, forged) in found["answers"].items():
        assert (plain, browser, forged) == (401, 303, 403), path
        assert location.startswith("http://127.0.0.1:8080/api/v2/auth/login?next=http%3A%2F%2F127.0.0.1%3A8080%2F")
