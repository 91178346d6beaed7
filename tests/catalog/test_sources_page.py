"""The sources' pages tell what each source is, what it brought and what it waits for."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from humannet_ops.catalog.discovery import Entry, Pass, Report, record_entries
from humannet_ops.settings import settings
from humannet_ops.web.app import create_app

DAY = "2026-01-01"
FOLDER = "source: mine\nkind: folder\ndescription: My <b>own</b> videos.\npath: /nowhere\nschedule: '30 4 * * *'\n"


@pytest.fixture
def browser(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget_settings) -> TestClient:
    (tmp_path / "mine.yaml").write_text(FOLDER)
    (tmp_path / "fresh.yaml").write_text(FOLDER.replace("mine", "fresh"))
    (tmp_path / "wrong.yaml").write_text("source: wrong\nkind: ftp\n")
    monkeypatch.setenv("HUMANNET_SOURCES_DIR", str(tmp_path))
    forget_settings()
    assert settings().sources_dir == tmp_path
    return TestClient(create_app(lambda: None))


def crawl(source: str, *titles: str, day: str = DAY, complete: bool = False) -> None:
    entries = [Entry(f"file:///{title}", "1", title, uploaded_on=datetime.date(2025, 12, 31)) for title in titles]
    record_entries(Pass(source, "folder", "/nowhere", day), iter(entries), report=Report(complete=complete))


def test_the_list_has_every_source_with_its_next_crawl_and_its_last_yield(browser: TestClient) -> None:
    crawl("mine", "a", "b", "c")
    crawl("removed", "x")
    page = browser.get("/sources").text
    assert "3 new" in page
    assert " 04:30" in page
    assert "My &lt;b&gt;own&lt;/b&gt; videos." in page
    assert "&#39;ftp&#39; is no kind of source" in page
    assert "removed.yaml was removed" in page
    assert page.count(">never<") == 2


def test_a_source_has_its_crawls_its_videos_and_what_changed(browser: TestClient) -> None:
    crawl("mine", "a<script>", "b")
    crawl("mine", "b", day="2026-01-02", complete=True)
    page = browser.get("/sources/mine").text
    assert "a&lt;script&gt;" in page
    assert page.index("2026-01-02") < page.index(DAY)
    assert "not offered since" in page
    assert 'href="/dags/crawl_mine"' in page


def test_an_unknown_source_is_not_found(browser: TestClient) -> None:
    assert browser.get("/sources/nope").status_code == 404
    assert browser.get("/sources/fresh").status_code == 200
