"""Airflow's login in front of our pages. Airflow mounts a plugin's applications without any."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import get_user
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response


def require_login(user: Annotated[Any, Depends(get_user)]) -> None:
    """Let in who is logged in to Airflow and may see its web site.

    The browser's session cookie counts, and so does a bearer token.

    Raises:
        HTTPException: 401 without a login, 403 without the right.
    """
    if not get_auth_manager().is_authorized_view(access_view=AccessView.WEBSITE, user=user):
        raise HTTPException(403, "Your Airflow role may not see the web site.")


def send_to_login(app: FastAPI) -> None:
    """Send a browser that is not logged in to Airflow's login page, and back afterwards; others get the plain 401."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
            base = conf.get("api", "base_url", fallback="/").rstrip("/")
            return RedirectResponse(f"{base}/api/v2/auth/login?{urlencode({'next': str(request.url)})}", 303)
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
