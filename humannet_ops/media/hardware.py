"""The decoder and the encoder of a GPU (NVDEC, NVENC), used where somebody asks for them and a GPU has them.

Which they are is found out in each process, by opening them: what FFmpeg was built with says nothing about the machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel

logger = logging.getLogger(__name__)

Codecs = Literal["software", "hardware"]

DEVICE = "cuda"
# Constant quality, on NVENC's own scale, which goes as x264's does; p4 is the middle of its seven presets.
ENCODER, OPTIONS = "h264_nvenc", {"preset": "p4", "tune": "hq", "rc": "vbr", "b": "0"}


class Encoder(NamedTuple):
    """One of FFmpeg's encoders, and its options."""

    name: str
    options: Mapping[str, str]


def decoder(codecs: Codecs) -> HWAccel | None:
    """Return what ``av.open`` decodes by, None for FFmpeg's own decoders.

    A stream that the GPU does not know is decoded by FFmpeg's own all the same. Frames come back to memory.
    """
    if codecs == "software" or not _decodes():
        return None
    from av.codec.hwaccel import HWAccel

    return HWAccel(DEVICE, allow_software_fallback=True)


def encoder(codecs: Codecs, quality: int) -> Encoder | None:
    """Return the GPU's H.264 encoder; None where there is none, or nobody wants it.

    Args:
        codecs: What is asked for.
        quality: Of x264's scale, 0 (best) to 51.
    """
    if codecs == "software" or not _encodes():
        return None
    return Encoder(ENCODER, {**OPTIONS, "cq": str(quality)})


@cache
def _decodes() -> bool:
    import av
    from av.codec.hwaccel import HWAccel

    try:
        HWAccel(DEVICE).create(av.Codec("h264", "r"))
    except av.error.FFmpegError as error:
        logger.warning("no GPU that decodes here (%s): FFmpeg's own decoders do it", error.strerror)
        return False
    return True


@cache
def _encodes() -> bool:
    import av

    context = av.CodecContext.create(ENCODER, "w")
    context.width, context.height, context.pix_fmt, context.time_base = 256, 256, "yuv420p", Fraction(1, 30)
    context.options = dict(OPTIONS)
    try:
        context.open()
    except av.error.FFmpegError as error:
        logger.warning("no %s here (%s): clips are encoded by x264", ENCODER, error.strerror)
        return False
    return True
