"""A worker: run as a program, it fetches its addresses one after the other and waits where it must."""

from __future__ import annotations

import datetime
import json
import sys
import time
from pathlib import Path

from humannet_ops.domain.outcome import Postponed, SubjectError
from humannet_ops.domain.records import VideoSubject
from humannet_ops.sources.config import Network
from humannet_ops.sources.ytdlp import fetch_url


def main() -> None:
    """Print one JSON line an item: its address and its size, or why it was not fetched."""
    config, folder, *urls = sys.argv[1:]
    source = Network.model_validate_json(config)
    for number, url in enumerate(urls):
        while True:
            try:
                video = VideoSubject(f"{Path(folder).name}-{number}", source.source, url)
                with fetch_url(source, video, Path(folder) / str(number), lambda: None) as fetched:
                    end = str(fetched.path.stat().st_size)
            except Postponed as wait:
                if wait.cause != "host":
                    end = wait.cause
                else:
                    time.sleep(max(0.0, (wait.until - datetime.datetime.now(datetime.UTC)).total_seconds()))
                    continue
            except SubjectError as error:
                end = str(error.reason)
            print(json.dumps([url, end]), flush=True)
            break


if __name__ == "__main__":
    main()
