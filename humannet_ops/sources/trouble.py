"""What an error of yt-dlp means for the video: gone, forbidden, unsupported, unreachable, or to be tried later."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humannet_ops.domain.outcome import Postponed, Reason, SubjectError
from humannet_ops.sources.network import RefusedError, public

if TYPE_CHECKING:
    from humannet_ops.sources.client import Client

NOT_OVER_AGAIN = datetime.timedelta(hours=6)
"""When to look again at what is broadcast now or later."""
_GONE = {404, 410}
_FORBIDDEN = {401, 402, 403, 407, 451}
_NO_SUCH_RANGE = 416
_AGAIN = {408, 425, _NO_SUCH_RANGE}
# yt-dlp has no types for these; its extractors pass on what sites say. The first that fits counts.
_SAID = (
    ("later", r"premieres? in|will begin|has not (yet )?started|not started yet|starts in|upcoming|is being processed"),
    (Reason.UNSUPPORTED, r"drm|unsupported|requested format|no video formats|unsafe|not a valid url"),
    ("wait", r"not a bot|captcha|rate.?limit|too many requests|try again later|unusual traffic"),
    (
        Reason.FORBIDDEN,
        r"log ?in|sign in|--cookies|registered users|members?.only|subscri|purchas|premium|rental|age.restricted|"
        r"your country|geo.?(restrict|block)|not available (in|from) your|password",
    ),
    (
        Reason.GONE,
        r"private|removed|deleted|no longer|not exist|n't exist|terminated|unavailable|not available|not found|"
        r"taken down|been closed|expired",
    ),
)


@contextmanager
def explained(opened: Client, url: str) -> Iterator[None]:
    """Turn what goes wrong in a block into our errors.

    Raises:
        SubjectError: the video cannot be had.
        Postponed: its host asks to wait.
        OSError: the disk is full.
    """
    from yt_dlp.utils import YoutubeDLError

    try:
        yield
    except (SubjectError, Postponed):
        raise
    except (YoutubeDLError, OSError) as error:
        if opened.visit.ended:
            raise opened.visit.ended from error
        raise meaning(opened, url, error) from error
    if opened.visit.ended:
        raise opened.visit.ended


def meaning(opened: Client, url: str, error: BaseException) -> BaseException:
    """Return what an error of yt-dlp is to us, and note at the host if it failed."""
    from yt_dlp.networking.exceptions import HTTPError, RequestError
    from yt_dlp.utils import ContentTooShortError, ExtractorError, GeoRestrictedError, UnsupportedError

    message = opened.secrets.removed_from(f"{public(url)}: {_text(error)}")
    causes = list(_causes(error))
    if opened.downloading and opened.last_error:
        causes.append(opened.last_error)
    for cause in causes:
        if isinstance(cause, (SubjectError, Postponed)):
            return cause
        if isinstance(cause, RefusedError):
            return SubjectError(Reason.UNSUPPORTED, message)
        if isinstance(cause, GeoRestrictedError):
            return SubjectError(Reason.FORBIDDEN, message)
        if isinstance(cause, UnsupportedError):
            return SubjectError(Reason.UNSUPPORTED, f"{public(url)}: there is no video that yt-dlp could download")
        if isinstance(cause, HTTPError):
            return _of_status(opened, cause.status, message)
        if isinstance(cause, (RequestError, ContentTooShortError, TimeoutError, ConnectionError)):
            opened.visit.failed(opened.last_asked, message)
            return SubjectError(Reason.UNREACHABLE, message)
        if isinstance(cause, OSError) and cause.errno:
            return cause
    for reason, pattern in _SAID:
        if re.search(pattern, _text(error), re.IGNORECASE):
            if isinstance(reason, Reason):
                return SubjectError(reason, message)
            if reason == "later":
                return Postponed("host", datetime.datetime.now(datetime.UTC) + NOT_OVER_AGAIN, message)
            return opened.visit.asked_to_wait(opened.last_asked or url, None, message)
    known = next((each for each in causes if isinstance(each, ExtractorError)), None)
    return SubjectError(Reason.UNSUPPORTED if known and known.expected else Reason.ERROR, message)


def _of_status(opened: Client, status: int, message: str) -> SubjectError:
    if status in _GONE:
        return SubjectError(Reason.GONE, message)
    if status in _FORBIDDEN:
        return SubjectError(Reason.FORBIDDEN, message)
    if status == _NO_SUCH_RANGE and opened.visit.folder:
        # what is here is no beginning of what is there now
        for part in opened.visit.folder.glob("*.part*"):
            part.unlink()
    if status >= 500 or status in _AGAIN:
        opened.visit.failed(opened.last_asked, message)
        return SubjectError(Reason.UNREACHABLE, message)
    return SubjectError(Reason.UNSUPPORTED, message)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, by every way that yt-dlp keeps that."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        found = queue.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        wrapped = (getattr(found, "exc_info", None) or (None, None))[1]
        queue += [wrapped, getattr(found, "cause", None), found.__cause__, found.__context__]


def _text(error: BaseException) -> str:
    text = str(error).removeprefix("ERROR: ") or type(error).__name__
    # how to report a bug to yt-dlp is no part of what went wrong
    return re.sub(r";? ?please report this issue.*", "", text, flags=re.S | re.IGNORECASE).strip()
