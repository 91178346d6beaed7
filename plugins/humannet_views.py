"""Adds the corpus, sources and statistics pages to Airflow's web UI. They are in ``humannet_ops/web``."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

# Every Airflow process loads plugins, tasks too; only the api-server ever builds the application.


@cache
def _application() -> Any:
    from humannet_ops.orchestration.web_auth import require_login, send_to_login
    from humannet_ops.web.app import create_app

    app = create_app(require_login)
    send_to_login(app)
    return app


async def corpus(scope: Any, receive: Any, send: Any) -> None:
    """Serve the page (ASGI), built at the first request."""
    await _application()(scope, receive, send)


class HumanNetViews(AirflowPlugin):
    """The corpus page at ``/humannet/`` and its entry in the navigation."""

    name = "humannet_views"
    fastapi_apps = [{"app": corpus, "url_prefix": "/humannet", "name": "HumanNet corpus"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        # an unknown destination makes Airflow drop the whole plugin without a word
        {"name": "Corpus", "href": "/humannet/", "destination": "nav", "url_route": "humannet", "nav_top_level": True},
        {"name": "Sources", "href": "/humannet/sources", "destination": "nav", "url_route": "sources"},
        {"name": "Statistics", "href": "/humannet/statistics", "destination": "nav", "url_route": "statistics"},
    ]
