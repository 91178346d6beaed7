"""Fetching one video with yt-dlp's real extractors and downloaders, from a site that does everything wrong."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from broken_videos import ffmpeg
from site_sources import Fetching
from video_site import BLOCK, Fault, Site

from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.media.probe import probe
from humannet_ops.sources import client, visiting
from humannet_ops.sources.protocol import Credentials
from humannet_ops.sources.trouble import meaning
from humannet_ops.storage import open_store

MEDIA = "/media/a.mp4"


def refusal(fetch: Fetching, url: str, **options: object) -> SubjectError:
    with pytest.raises(SubjectError) as caught:
        fetch(url, **options)
    return caught.value


def postponement(fetch: Fetching, url: str, **options: object) -> Postponed:
    with pytest.raises(Postponed) as caught:
        fetch(url, **options)
    return caught.value


def seconds_until(wait: Postponed) -> float:
    return (wait.until - datetime.datetime.now(datetime.UTC)).total_seconds()


@pytest.mark.parametrize("path", ["/item/a", "/og/a", "/html5/a", "/media/a.mp4", "/media/a"])
def test_a_page_or_a_file_gives_the_bytes(site: Site, fetch: Fetching, clip: Path, path: str) -> None:
    site.add("a", clip)
    content, told = fetch(site.url(path))
    assert content == clip.read_bytes()
    assert str(told["client"]).startswith("yt-dlp 20")
    assert str(told["url"]).startswith(site.url("/"))
    # one item, one place, nothing left behind
    assert not (fetch.folder / "v1").exists()
    assert fetch.asked("select count(*) from visits where source = $source") == [(0,)]
    assert fetch.asked("select items, bytes >= 100000 from source_days where source = $source") == [(1, True)]


def test_what_the_page_says_is_kept_without_addresses_of_files(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip, tags=("pour", "cup"))
    _, told = fetch(site.url("/item/a") + "?token=secret&id=3")
    metadata = told["metadata"]
    assert metadata["title"] == "Video a"
    assert metadata["uploader"] == "kitchen"
    assert metadata["tags"] == ["pour", "cup"]
    assert metadata["upload_date"] == "20260101"
    assert metadata["webpage_url"] == site.url("/item/a?id=3")
    assert not {"formats", "url", "http_headers", "cookies"} & set(metadata)


def stream(folder: Path, clip: Path, *arguments: object) -> Path:
    folder.mkdir()
    ffmpeg("-i", clip, "-c", "copy", *arguments)
    return folder


def test_a_stream_of_parts_becomes_one_file(site: Site, fetch: Fetching, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hls"
    site.add_folder("/hls", stream(folder, clip, "-hls_time", 1, "-hls_playlist_type", "vod", folder / "v.m3u8"))
    content, _ = fetch(site.url("/hls/v.m3u8"))
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(content)
    assert probe(whole, max_pixels=1 << 26).duration_s == pytest.approx(2.0, abs=0.1)


def test_picture_and_sound_apart_are_merged(site: Site, fetch: Fetching, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dash"
    site.add_folder("/dash", stream(folder, clip, "-f", "dash", "-seg_duration", 1, folder / "v.mpd"))
    content, _ = fetch(site.url("/dash/v.mpd"))
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(content)
    merged = probe(whole, max_pixels=1 << 26)
    assert merged.duration_s == pytest.approx(2.0, abs=0.1)
    assert merged.has_audio


@pytest.mark.parametrize(
    ("path", "fault", "reason"),
    [
        ("/item/none", None, Reason.GONE),
        ("/item/a", Fault(status=410), Reason.GONE),
        ("/item/a", Fault(status=401), Reason.FORBIDDEN),
        ("/item/a", Fault(status=403), Reason.FORBIDDEN),
        ("/item/a", Fault(status=500), Reason.UNREACHABLE),
        ("/media/a.mp4", Fault(status=404), Reason.GONE),
        ("/media/a.mp4", Fault(status=502), Reason.UNREACHABLE),
        ("/empty/a", None, Reason.UNSUPPORTED),
        ("/media/a", Fault(headers={"Content-Type": "application/json"}, body=b'{"a": 1}'), Reason.UNSUPPORTED),
        ("/media/a", Fault(headers={"Content-Type": "image/png"}, body=b"\x89PNG\r\n" * 99), Reason.UNSUPPORTED),
        ("/media/a", Fault(headers={"Content-Type": "audio/mpeg"}, body=b"ID3" * 99), Reason.UNSUPPORTED),
        ("/feed/all.rss", None, Reason.UNSUPPORTED),
    ],
)
def test_what_cannot_be_fetched_says_why(
    site: Site, fetch: Fetching, clip: Path, path: str, fault: Fault | None, reason: Reason
) -> None:
    site.add("a", clip)
    site.add("b", clip)
    if fault:
        site.faults[path] = fault
    error = refusal(fetch, site.url(path))
    assert error.reason is reason
    assert site.url(path) in str(error)
    # what may go better next time is kept for it
    assert (fetch.folder / "v1").exists() is not reason.permanent
    assert fetch.asked("select count(*) from visits where source = $source") == [(0,)]


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("Private video. Sign in if you've been granted access to this video", Reason.FORBIDDEN),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", Reason.FORBIDDEN),
        ("The uploader has not made this video available in your country", Reason.FORBIDDEN),
        ("This video is only available for registered users. Use --cookies", Reason.FORBIDDEN),
        ("Join this channel to get access to members-only content", Reason.FORBIDDEN),
        ("Video unavailable. This video has been removed by the uploader", Reason.GONE),
        ("This video is no longer available because the account has been terminated", Reason.GONE),
        ("This video does not exist", Reason.GONE),
        ("This video is DRM protected", Reason.UNSUPPORTED),
        ("Requested format is not available. Use --list-formats", Reason.UNSUPPORTED),
        ("No video formats found!", Reason.UNSUPPORTED),
        ("Sign in to confirm you\N{RIGHT SINGLE QUOTATION MARK}re not a bot. Use --cookies-from-browser", "closed"),
        ("This content isn't available, try again later. Your IP is likely being rate-limited", "closed"),
        ("Premieres in 3 hours", "later"),
        ("This live event will begin in 6 days.", "later"),
    ],
)
def test_what_sites_say_through_yt_dlp(site: Site, fetch: Fetching, said: str, means: Reason | str) -> None:
    from yt_dlp.utils import ExtractorError

    with client.opened(fetch.config(), None, fetch.folder) as opened:
        opened.visit.arrive(site.url("/"))
        found = meaning(opened, site.url("/private/removed"), ExtractorError(said, expected=True))
    if isinstance(means, Reason):
        assert isinstance(found, SubjectError)
        assert found.reason is means
    else:
        assert isinstance(found, Postponed)
        assert (opened.visit.ended is found) is (means == "closed")


def test_a_host_that_is_not_there_is_unreachable(site: Site, fetch: Fetching) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert refusal(fetch, f"http://127.0.0.1:{port}/v.mp4").reason is Reason.UNREACHABLE


# resuming


def test_a_dropped_download_goes_on_where_it_was(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults[MEDIA] = Fault(drop_after=3 * BLOCK, times=3)
    content, _ = fetch(site.url("/item/a"))
    assert content == clip.read_bytes()
    ranges = [asked.headers["Range"] for asked in site.asked if asked.path == MEDIA and "Range" in asked.headers]
    assert len(ranges) >= 2
    assert sum(asked.sent for asked in site.asked if asked.path == MEDIA) < 2.5 * clip.stat().st_size


def test_what_broke_off_too_often_goes_on_at_the_next_try(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults[MEDIA] = Fault(drop_after=1000)
    assert refusal(fetch, site.url("/item/a")).reason is Reason.UNREACHABLE
    assert [path.name for path in (fetch.folder / "v1").glob("*.part")]
    del site.faults[MEDIA]
    site.asked.clear()
    content, _ = fetch(site.url("/item/a"))
    assert content == clip.read_bytes()
    first = [asked.headers.get("Range") for asked in site.asked if asked.path == MEDIA and "Range" in asked.headers]
    assert first == ["bytes=4000-"]


def test_what_changed_meanwhile_is_fetched_anew(site: Site, fetch: Fetching, clip: Path, other_clip: Path) -> None:
    item = site.add("a", clip)
    site.faults[MEDIA] = Fault(drop_after=1000)
    refusal(fetch, site.url("/item/a"))
    del site.faults[MEDIA]
    item.video = other_clip
    content, _ = fetch(site.url("/item/a"))
    assert content == other_clip.read_bytes()


def test_what_nobody_went_on_with_is_removed_after_a_week(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    old, young = fetch.folder / "old", fetch.folder / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "mp4.mp4.part").write_bytes(b"x")
    eight_days_ago = time.time() - 8 * 86400
    os.utime(old, (eight_days_ago, eight_days_ago))
    fetch(site.url(MEDIA))
    assert [path.name for path in fetch.folder.iterdir()] == ["young"]


KILLED = """
import sys
from pathlib import Path
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network
from humannet_ops.sources.ytdlp import fetch_url
config = Network.model_validate_json(sys.argv[1])
with fetch_url(config, VideoSubject("v1", "site", sys.argv[2]), Path(sys.argv[3]), lambda: None):
    print("fetched", flush=True)
"""


def test_a_killed_download_goes_on_and_holds_nothing_for_long(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    gate = threading.Event()
    site.faults[MEDIA] = Fault(gate=gate)
    one = fetch.config(politeness={"concurrent": 1}).model_dump_json()
    # the page is looked at first, so it is the second request for the file that waits at the gate
    worker = subprocess.Popen([sys.executable, "-c", KILLED, one, site.url("/item/a"), str(fetch.folder / "v1")])
    try:
        part = fetch.folder / "v1" / "mp4.mp4.part"
        site.until(lambda: part.exists() and part.stat().st_size >= BLOCK)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        gate.set()
    assert list(open_store().objects()) == []
    del site.faults[MEDIA]
    # the dead worker's place at the host is taken until its visit runs out
    assert postponement(fetch, site.url("/item/a"), politeness={"concurrent": 1}).cause == "host"
    age_visits()
    site.asked.clear()
    content, _ = fetch(site.url("/item/a"), politeness={"concurrent": 1})
    assert content == clip.read_bytes()
    assert f"bytes={BLOCK}-" in [asked.headers.get("Range") for asked in site.asked]
    assert fetch.asked("select count(*) from visits where source = $source") == [(0,)]


def age_visits() -> None:
    """Let the time pass after which a visit that was not renewed has run out."""
    from humannet_ops.catalog.connection import connect, transaction

    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("update visits set expires_at = now() - interval '1 second'")


# limits


def test_an_announced_length_is_judged_before_the_body(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    assert refusal(fetch, site.url("/item/a"), max_bytes="100 KB").reason is Reason.TOO_LARGE
    assert not list(fetch.folder.glob("*/*"))


def test_an_endless_body_ends_at_the_limit(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults[MEDIA] = Fault(endless=True)
    assert refusal(fetch, site.url("/item/a"), max_bytes="2 MB").reason is Reason.TOO_LARGE
    assert max(asked.sent for asked in site.asked) < 8 << 20
    assert not (fetch.folder / "v1").exists()


def test_an_endless_page_ends_at_the_limit(
    site: Site, fetch: Fetching, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_BYTES", 1 << 20)
    site.add("a", clip)
    site.faults["/item/a"] = Fault(endless=True)
    assert refusal(fetch, site.url("/item/a")).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("slow_head", [False, True])
def test_a_body_or_a_header_that_drips_ends_in_time(site: Site, fetch: Fetching, clip: Path, slow_head: bool) -> None:
    site.add("a", clip)
    site.faults[MEDIA] = Fault(drip_s=0.05, step=1, slow_head=slow_head)
    error = refusal(fetch, site.url("/item/a"), max_seconds=1.5)
    assert error.reason is Reason.TIMED_OUT
    took = max(asked.began for asked in site.asked) - min(asked.began for asked in site.asked)
    assert took < 3
    # it may be tried again, and then goes on
    assert (fetch.folder / "v1").exists()


# private addresses


def test_a_redirect_to_a_private_address_is_refused(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    with Site("127.0.0.2") as inside:
        inside.add("a", clip)
        for url in (
            inside.url(MEDIA),
            site.url("/redirect?to=" + quote(inside.url(MEDIA))),
            site.url("/redirect?to=" + quote(site.url("/redirect?to=" + quote(inside.url("/item/a"))))),
        ):
            error = refusal(fetch, url)
            assert error.reason is Reason.PRIVATE_ADDRESS
            assert "127.0.0.2" in str(error)
            assert "private_addresses" in str(error)
        assert inside.asked == []
        content, _ = fetch(site.url("/redirect?to=" + quote(inside.url(MEDIA))), private_addresses=True)
        assert content == clip.read_bytes()


def test_a_page_or_playlist_cannot_point_inside(site: Site, fetch: Fetching, clip: Path) -> None:
    with Site("127.0.0.2") as inside:
        inside.add("a", clip)
        page = f'<!DOCTYPE html><html><head><meta property="og:video" content="{inside.url(MEDIA)}"></head></html>'
        site.files["/page"] = ("text/html", page.encode())
        parts = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{inside.url(MEDIA)}\n#EXT-X-ENDLIST\n"
        site.files["/v.m3u8"] = ("application/vnd.apple.mpegurl", parts.encode())
        for path in ("/page", "/v.m3u8"):
            assert refusal(fetch, site.url(path)).reason is Reason.PRIVATE_ADDRESS
        assert inside.asked == []


def test_nothing_is_asked_inside_unless_allowed(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    assert refusal(fetch, site.url("/item/a"), private_addresses=False).reason is Reason.PRIVATE_ADDRESS
    assert site.asked == []


def test_no_client_and_no_program_goes_round_the_guard(site: Site, fetch: Fetching) -> None:
    with client.opened(fetch.config(private_addresses=False), None, fetch.folder) as opened, client.working(opened):
        assert set(opened._request_director.handlers) == {"Requests", "Urllib", "Websockets"}
        # ffmpeg and the JavaScript runtime are found and run, and have no network of their own
        assert opened._js_runtimes["deno"].info.supported
        code = f"await fetch('{site.url('/')}')"
        deno = client.programs()["deno"]
        tried = subprocess.run(
            [deno, "run", "--ext=js", "--no-prompt", "-"], input=code, capture_output=True, text=True, check=False
        )
        assert "NotCapable" in tried.stderr
        with pytest.raises(OSError, match="may not be started"):
            subprocess.run([client.programs()["ffmpeg"], "-i", site.url(MEDIA), "-f", "null", "-"], check=True)
        for scheme in ("ws", "ftp", "http"):
            with pytest.raises((SubjectError, client.RequestError, OSError)):
                opened.urlopen(site.url(MEDIA).replace("http", scheme))
    assert site.asked == []


# credentials


def test_cookies_and_proxy_come_from_the_connection_and_stay_out_of_the_log(
    site: Site, fetch: Fetching, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    site.add("a", clip)

    site.robots = "User-agent: *\nAllow: /\n"
    program = Path(__file__).parent / "forward_proxy.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        cookies = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tvisitor\tcrumbly-secret\n"
        proxy = f"http://me:proxy-secret@127.0.0.3:{port}"
        held = Credentials(cookies=cookies, proxy=proxy, login="me", password="word-secret")
        content, told = fetch(site.url("/item/a"), credentials=held)
        error = refusal(fetch, site.url("/item/none"), credentials=held)
        # the proxy would connect to it, so its name is looked at before
        inside = refusal(fetch, "http://127.0.0.2:9/v.mp4", credentials=held)
        behind = refusal(fetch, site.url("/redirect?to=" + quote("http://127.0.0.2:9/v.mp4")), credentials=held)
        server.kill()
        passed = server.stdout.read().splitlines()
    assert content == clip.read_bytes()
    assert len(passed) == len(site.asked)
    assert all(line.startswith(site.url("/")) and line.endswith("True") for line in passed)
    assert inside.reason is behind.reason is Reason.PRIVATE_ADDRESS
    assert error.reason is Reason.GONE
    assert "secret" not in caplog.text + repr(told) + str(error) + repr(held)
    assert "Downloading webpage" in caplog.text


def test_cookies_reach_their_site(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    cookies = "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tvisitor\tcrumbly\n"
    fetch(site.url("/item/a"), credentials=Credentials(cookies=cookies))
    assert {asked.headers.get("Cookie") for asked in site.asked} == {"visitor=crumbly"}


# opting out


@pytest.mark.parametrize(
    ("robots", "path"),
    [("User-agent: *\nDisallow: /item/\n", "/item/a"), ("User-agent: humannet-ops\nDisallow: /\n", "/media/a.mp4")],
)
def test_robots_txt_is_obeyed(site: Site, fetch: Fetching, clip: Path, robots: str, path: str) -> None:
    site.add("a", clip)
    site.robots = robots
    assert refusal(fetch, site.url(path)).reason is Reason.OPTED_OUT
    assert refusal(fetch, site.url(path)).reason is Reason.OPTED_OUT
    # asked for once, and nothing else was
    assert site.paths() == {"/robots.txt": 1}
    content, _ = fetch(site.url(path), politeness={"robots": False})
    assert content == clip.read_bytes()


def test_robots_txt_of_the_file_counts_too(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.robots = "User-agent: *\nDisallow: /media/\n"
    assert refusal(fetch, site.url("/item/a")).reason is Reason.OPTED_OUT
    assert site.paths()[MEDIA] == 0


def test_a_robots_txt_that_cannot_be_read_is_no_permission(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults["/robots.txt"] = Fault(status=500)
    assert refusal(fetch, site.url("/item/a")).reason is Reason.UNREACHABLE
    assert site.paths()["/item/a"] == 0


@pytest.mark.parametrize("path", ["/item/a", MEDIA])
def test_a_header_opts_out(site: Site, fetch: Fetching, clip: Path, path: str) -> None:
    site.add("a", clip)
    site.faults[path] = Fault(headers={"X-Robots-Tag": "noindex, noai"})
    assert refusal(fetch, site.url("/item/a")).reason is Reason.OPTED_OUT
    site.faults[path] = Fault(headers={"X-Robots-Tag": "otherbot: none"})
    assert fetch(site.url("/item/a"))[0] == clip.read_bytes()


def test_what_a_header_means() -> None:
    assert visiting.opted_out(["none"], "humannet-ops")
    assert visiting.opted_out(["noindex", "humannet-ops: noai"], "humannet-ops")
    assert not visiting.opted_out(["noindex, nofollow", "googlebot: none"], "humannet-ops")
    assert not visiting.opted_out(["unavailable_after: 25 Jun 2030 15:00:00 PST", "max-snippet: 0"], "humannet-ops")


# being asked to wait


@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_obeyed(site: Site, fetch: Fetching, clip: Path, dated: bool) -> None:
    site.add("a", clip)
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    wait = moment.strftime("%a, %d %b %Y %H:%M:%S GMT") if dated else "90"
    site.faults["/item/a"] = Fault(status=503 if dated else 429, headers={"Retry-After": wait}, times=1)
    first = postponement(fetch, site.url("/item/a"))
    assert first.cause == "host"
    assert 80 < seconds_until(first) <= 90
    asked = len(site.asked)
    # nobody asks the host meanwhile, for nothing
    second = postponement(fetch, site.url("/item/b"), name="v2")
    assert second.until == first.until
    assert len(site.asked) == asked


def test_a_short_wait_is_waited_for(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    site.faults["/item/a"] = Fault(status=429, headers={"Retry-After": "2"}, times=1)
    postponement(fetch, site.url("/item/a"))
    assert fetch(site.url("/item/a"))[0] == clip.read_bytes()
    assert site.least_gap(r"^/item/a$") >= 2.0


def test_a_host_that_fails_again_and_again_is_left_alone(site: Site, fetch: Fetching, clip: Path) -> None:
    site.faults["/item/a"] = Fault(status=500)
    assert refusal(fetch, site.url("/item/a")).reason is Reason.UNREACHABLE
    assert refusal(fetch, site.url("/item/a")).reason is Reason.UNREACHABLE
    asked = len(site.asked)
    first = seconds_until(postponement(fetch, site.url("/item/a")))
    assert 10 < first <= 15
    assert len(site.asked) == asked
    open_hosts()
    refusal(fetch, site.url("/item/a"))
    assert 25 < seconds_until(postponement(fetch, site.url("/item/a"))) <= 30
    open_hosts()
    site.add("a", clip)
    del site.faults["/item/a"]
    fetch(site.url("/item/a"))
    assert fetch.asked(f"select failures from hosts where host = '{site.host}'") == [(0,)]


def open_hosts() -> None:
    """Let the time pass for which hosts are left alone."""
    from humannet_ops.catalog.connection import connect, transaction

    with connect() as link, transaction(link), link.cursor() as cursor:
        cursor.execute("update hosts set closed_until = now()")


def test_a_licence_that_became_denied_is_not_fetched(site: Site, fetch: Fetching, clip: Path) -> None:
    site.add("a", clip)
    folder = fetch.folder / "v1"
    assert not folder.exists()
    # the Generic extractor reads no licence; yt-dlp's archive.org and PeerTube extractors do
    from humannet_ops.sources.ytdlp import _Choice

    with client.opened(fetch.config(license_policy={"deny": ["*ND*"]}), None, fetch.folder) as opened:
        choice = _Choice(opened, opened.visit.config, None)  # type: ignore[arg-type]
        with pytest.raises(SubjectError) as caught:
            choice({"license": "CC-BY-ND-4.0"})
    assert caught.value.reason is Reason.LICENSE_DENIED
