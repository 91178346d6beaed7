"""The corpus page as it is now, on a server: pictures are made when they are looked at, clips can be watched.

Knows no Airflow: whoever mounts it hands in the dependency that lets people in (``orchestration/web_auth.py``).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from starlette.background import BackgroundTask

from humannet_ops.catalog import reading
from humannet_ops.catalog import statistics as counting
from humannet_ops.catalog.connection import CatalogError
from humannet_ops.storage import StoreError, open_store
from humannet_ops.web import pictures, sources, statistics
from humannet_ops.web.collection import collect
from humannet_ops.web.page import draw, render

# Some 20 KB each; objects never change, so what was drawn once stays true.
PICTURES_KEPT = 1024
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class OnServer:
    """Pictures and clips beside the page, named by what they show."""

    live = True

    def clip_picture(self, row: dict[str, Any]) -> str | None:
        """Return where the best frame with its pose is drawn."""
        return f"pictures/clip/{row['clip_id']}.jpg" if row["artifact_uri"] else None

    def rejected_picture(self, row: dict[str, Any]) -> str | None:
        """Return where the nearest sampled frame is shown."""
        if row["frames_uri"] is None:
            return None
        holder = row["survivor"] if row["reason"] == "duplicate" else row["video_id"]
        return f"pictures/video/{holder}.jpg?at={row['middle_s']:.3f}"

    def media(self, row: dict[str, Any]) -> str | None:
        """Return where the clip is played."""
        return f"clips/{row['clip_id']}.mp4" if row["artifact_uri"] else None


def create_app(require_login: Callable[..., Any]) -> FastAPI:
    """Make the web application.

    Args:
        require_login: A FastAPI dependency that raises unless the request comes from somebody who may look.
    """
    app = FastAPI(
        title="HumanNet corpus",
        dependencies=[Depends(require_login)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.update({"Cache-Control": "private, no-store", **HEADERS, **dict(response.headers)})
        return response

    @app.exception_handler(CatalogError)
    @app.exception_handler(StoreError)
    async def unavailable(request: Request, error: Exception) -> Response:
        return PlainTextResponse(f"{error}\n", status_code=503)

    app.get("/", response_class=HTMLResponse)(corpus)
    app.get("/sources", response_class=HTMLResponse)(all_sources)
    app.get("/sources/{name}", response_class=HTMLResponse)(one_source)
    app.get("/statistics", response_class=HTMLResponse)(latest_statistics)
    app.get("/statistics/plotly.js")(plotly_js)
    app.get("/pictures/clip/{clip_id}.jpg")(clip_picture)
    app.get("/pictures/video/{video_id}.jpg")(video_picture)
    app.get("/clips/{clip_id}.mp4")(clip_file)
    return app


def corpus() -> str:
    """Draw the page."""
    return render(collect(OnServer()))


def all_sources() -> str:
    """Draw the list of sources."""
    return draw("sources.html.j2", cards=sources.cards(datetime.datetime.now(datetime.UTC)))


def one_source(name: str) -> str:
    """Draw one source: its crawls, its videos, what changed upstream."""
    card = sources.card(name, datetime.datetime.now(datetime.UTC))
    if card is None:
        raise HTTPException(404, f"no source {name}")
    return draw("source.html.j2", card=card, **sources.details(name))


def latest_statistics() -> Response:
    """Draw what the DAG compile_statistics counted last."""
    try:
        found = counting.latest()
    except LookupError as error:
        return HTMLResponse(draw("uncounted.html.j2", why=error.args[0]))
    if found is None:
        return HTMLResponse(draw("uncounted.html.j2", why="Nothing was counted yet."))
    page = statistics.render(*found, script_address=f"statistics/plotly.js?{statistics.plotly_version()}")
    policy = f"{statistics.policy(inside=False)}; frame-ancestors 'self'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def plotly_js() -> Response:
    """Give what the charts are drawn with. It changes with the package alone, and the page names the version."""
    return Response(
        statistics.plotly_js(), media_type="text/javascript", headers={"Cache-Control": "private, max-age=31536000"}
    )


def clip_picture(clip_id: str) -> Response:
    """Draw a kept clip's best frame with its pose."""
    found = _artifacts(clip_id)
    return _jpeg(_clip_picture(found.get("clip"), found.get("body_tracks"), found.get("hand_tracks")))


def video_picture(video_id: str, at: float = 0.0) -> Response:
    """Show the sampled frame nearest to ``at`` seconds, unless restricted content was found in the video."""
    if reading.rows("restrictions", video_id=video_id):
        raise HTTPException(404, "not shown: restricted content")
    return _jpeg(_video_picture(_artifacts(video_id).get("sampled_frames"), at))


def clip_file(clip_id: str) -> Response:
    """Give a clip's file, in parts where the browser asks for parts."""
    uri = _artifacts(clip_id).get("clip")
    if uri is None:
        raise HTTPException(404, f"no clip {clip_id}")
    held = ExitStack()
    path = held.enter_context(open_store().local(uri))
    return FileResponse(path, media_type="video/mp4", background=BackgroundTask(held.close))


@lru_cache(PICTURES_KEPT)
def _clip_picture(clip_uri: str | None, body_uri: str | None, hand_uri: str | None) -> bytes | None:
    return pictures.clip_picture(open_store(), clip_uri, body_uri, hand_uri)


@lru_cache(PICTURES_KEPT)
def _video_picture(frames_uri: str | None, at: float) -> bytes | None:
    return pictures.sampled_picture(open_store(), frames_uri, at)


def _artifacts(subject_id: str) -> dict[str, str]:
    return {row["kind"]: row["uri"] for row in reading.rows("subject_inputs", subject_ids=[subject_id])}


def _jpeg(content: bytes | None) -> Response:
    if content is None:
        raise HTTPException(404, "no such picture")
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
