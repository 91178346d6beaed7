"""Edited copies of videos, as people upload them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def edited(source: Path, target: Path, *arguments: str) -> None:
    """Encode a video anew with FFmpeg's options for the output."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), "-loglevel", "error", "-y", "-i", str(source), *arguments, str(target)]
    subprocess.run(command, check=True)
