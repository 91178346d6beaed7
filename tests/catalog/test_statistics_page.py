"""The statistics page in a real browser: whole by itself, drawn, in light and dark, on paper, and harmless."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from counted_corpus import seed
from playwright.sync_api import Browser, Page, expect, sync_playwright
from starlette.testclient import TestClient

from humannet_ops.catalog import recording, statistics
from humannet_ops.catalog.connection import connect, transaction
from humannet_ops.web import statistics as page
from humannet_ops.web.app import create_app

HOSTILE = "<b>x</b><img src=x onerror=document.title='owned'></script>"


@pytest.fixture(scope="module")
def corpus(shared_home: Path) -> None:
    """Clips whose licence and source want to be more than words."""
    seed(150)
    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("update videos set license = %s where license = 'CC BY-NC 4.0'", (HOSTILE,))
        assert cursor.rowcount


@pytest.fixture(scope="module")
def file(corpus: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = statistics.count()
    return page.write(tmp_path_factory.mktemp("page") / "statistics.html", found, "abc123")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def look(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens an address and waits until its charts are drawn; nothing may be complained of."""
    opened = []
    said: list[str] = []

    def opening(address: str, **options: Any) -> Page:
        context = chromium.new_context(viewport={"width": options.pop("width", 1280), "height": 900}, **options)
        opened.append(context)
        found = context.new_page()
        found.on("console", lambda message: said.append(message.text))
        found.on("pageerror", lambda error: said.append(str(error)))
        found.on("request", lambda request: requested.append(request.url))
        found.goto(address)
        found.wait_for_selector("html[data-drawn]")
        return found

    requested: list[str] = []
    opening.requested = requested  # type: ignore[attr-defined]
    yield opening
    for context in opened:
        context.close()
    assert said == []


def colour(found: Page, what: str, name: str = "fill") -> str:
    return str(found.eval_on_selector(what, f"element => getComputedStyle(element)[{name!r}]"))


def test_every_chart_is_drawn_and_nothing_is_asked_of_any_address(file: Path, look: Any) -> None:
    found = look(file.as_uri())
    charts = found.query_selector_all(".plot")
    assert len(charts) >= 16
    for chart in charts:
        assert chart.query_selector(".main-svg"), chart.get_attribute("data-figure")
        assert (chart.get_attribute("aria-label") or "").count(".") >= 1
        assert chart.evaluate("c => c.closest('figure').querySelectorAll('table tbody tr').length") >= 1
    for facet in ("motion", "scene"):
        assert found.locator(f'[data-figure="{facet}-tree"] .slice').count() > 5
    assert look.requested == [file.as_uri()]
    assert found.evaluate("document.documentElement.scrollWidth") <= 1280


def test_what_comes_from_outside_stays_words(file: Path, look: Any) -> None:
    found = look(file.as_uri())
    assert found.title().startswith("HumanNet statistics: ")
    assert found.locator("img").count() == 0
    assert "<b>x</b><img src=x" in found.inner_text('[data-figure="license"]')
    assert HOSTILE in (
        found.locator("table").all_text_contents()[0] + "".join(found.locator("table").all_text_contents())
    )


def test_it_follows_the_system_and_the_button(file: Path, look: Any) -> None:
    dark = look(file.as_uri(), color_scheme="dark")
    light = look(file.as_uri(), color_scheme="light")
    bar = '[data-figure="objects"] .point path'
    assert colour(dark, "body", "backgroundColor") == "rgb(16, 18, 20)"
    assert colour(light, "body", "backgroundColor") == "rgb(251, 251, 249)"
    shown = {colour(dark, bar), colour(light, bar)}
    assert len(shown) == 2
    light.get_by_role("button", name="Dark").click()
    assert colour(light, "body", "backgroundColor") == "rgb(16, 18, 20)"
    assert colour(light, bar) == colour(dark, bar)
    assert light.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    dark.emulate_media(color_scheme="light")
    dark.wait_for_selector("html:not([data-drawn='1'])")
    assert colour(dark, bar) in shown - {colour(light, bar)}


def test_a_ring_opens_and_closes(file: Path, look: Any) -> None:
    found = look(file.as_uri(), reduced_motion="reduce")
    tree = found.locator('[data-figure="motion-tree"]')
    root = tree.locator(".slicetext").all_text_contents()
    assert any(text.startswith("Motion") for text in root)
    # a ring's middle is not its own: the word in it is
    word = tree.locator("text.slicetext", has_text="Daily activities")
    word.scroll_into_view_if_needed()
    place = word.bounding_box()
    assert place is not None
    found.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    expect(tree.locator("text.slicetext", has_text="Sports and athletics")).to_have_count(0)
    expect(tree.locator("text.slicetext", has_text="Cooking")).to_have_count(1)


def test_on_paper_it_is_light_and_no_chart_is_wider_than_the_sheet(file: Path, look: Any, tmp_path: Path) -> None:
    found = look(file.as_uri(), color_scheme="dark")
    found.evaluate(
        """() => addEventListener('beforeprint', () => {
            window.printed = [...document.querySelectorAll('.plot svg')].map(svg => svg.getBoundingClientRect().right
                - document.querySelector('.sheet').getBoundingClientRect().left);
            window.paper = getComputedStyle(document.body).backgroundColor;
        })"""
    )
    found.pdf(path=str(tmp_path / "statistics.pdf"), format="A4")
    assert max(found.evaluate("window.printed")) <= 680
    assert found.evaluate("window.paper") == "rgb(255, 255, 255)"
    assert colour(found, "body", "backgroundColor") == "rgb(16, 18, 20)"


def test_on_a_telephone_nothing_is_cut_off(file: Path, look: Any) -> None:
    found = look(file.as_uri(), width=390)
    assert found.evaluate("document.documentElement.scrollWidth") <= 390
    wide = found.eval_on_selector_all(
        ".across", "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.firstChild.dataset.figure)"
    )
    assert wide == ["by-class"], "what is scrolled is seen in part"
    for facet in ("motion", "scene"):
        ring = found.locator(f'[data-figure="{facet}-tree"]').bounding_box()
        assert ring is not None
        assert ring["height"] <= ring["width"]


def test_without_script_the_numbers_are_there(file: Path, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    found = context.new_page()
    found.goto(file.as_uri())
    found.locator("summary").first.click()
    assert found.locator("details[open] table").first.inner_text().startswith("Value")
    # Playwright does not read what is in <noscript>, so it is asked for by its class
    assert found.locator(".verdict").inner_text() == "The charts need JavaScript; their numbers are in the tables."
    assert not found.get_by_role("button", name="Dark").is_visible()
    assert not found.locator(".plot").first.is_visible()
    context.close()


def test_nothing_counted_has_a_page_too(home: Path, tmp_path: Path, look: Any) -> None:
    found = look(page.write(tmp_path / "empty.html", statistics.count(), "abc123").as_uri())
    assert "there is nothing to count yet" in found.inner_text("main")
    assert found.locator(".plot").count() == 0


@contextmanager
def served() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        # whoever comes before the server is up waits in the queue
        free.listen()
        server = uvicorn.Server(uvicorn.Config(create_app(lambda: None), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{free.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_on_the_server_it_is_the_latest_and_its_script_is_kept(corpus: None, look: Any) -> None:
    with TestClient(create_app(lambda: None)) as browser:
        assert "Nothing was counted yet" in browser.get("/statistics").text
    statistics.save(statistics.count(), recording.TaskIdentity("test"), "first", None)
    statistics.save(statistics.count(), recording.TaskIdentity("test"), "second", None)
    with served() as address:
        found = look(f"{address}/statistics")
        assert "second" in found.inner_text("header")
        assert found.locator(".plot .main-svg").count() > 16
        asked = [url.removeprefix(address) for url in look.requested]
        assert asked == ["/statistics", f"/statistics/plotly.js?{page.plotly_version()}"]
        with TestClient(create_app(lambda: None)) as browser:
            answer = browser.get("/statistics")
            assert "script-src 'sha256-" in answer.headers["content-security-policy"]
            assert "unsafe-inline'; img-src" in answer.headers["content-security-policy"]
            assert len(answer.content) < 600_000
            kept = browser.get("/statistics/plotly.js").headers["cache-control"]
            assert "max-age=31536000" in kept
