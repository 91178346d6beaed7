"""The sound of a clip: stereo at 48 kHz, on the clock of its pictures, as AAC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.media.container import open_video, packets_to_frames

if TYPE_CHECKING:
    import numpy as np
    from av.container import OutputContainer

RATE = 48_000
_FRAME = 1024
# Sound whose time stamps wander by less runs on without a gap: a container's rounding is no silence.
_GAP_S = 0.02
# Below this, decoding from the start costs less than a seek.
_SEEK_FROM_S = 4.0


class SoundTrack:
    """An output file's AAC stream, written as far as its pictures are."""

    def __init__(self, output: OutputContainer, samples: np.ndarray) -> None:
        """Add the stream to ``output``: ``samples`` as ``decoded`` returns them."""
        self._output, self._samples, self._heard = output, samples, 0
        self._stream: Any = output.add_stream("aac", rate=RATE, options={"flags": "+bitexact"})
        self._stream.layout = "stereo"

    def add(self, until_s: float) -> None:
        """Encode whole AAC frames up to a time of the clip."""
        self._encode(round(until_s * RATE), last=False)

    def finish(self) -> None:
        """Encode the rest, and write what the encoder holds back."""
        self._encode(self._samples.shape[1], last=True)
        self._output.mux(self._stream.encode(None))

    def _encode(self, until: int, *, last: bool) -> None:
        from av.audio.frame import AudioFrame

        while self._heard < until:
            if self._heard + _FRAME > until and not last:
                return
            piece = self._samples[:, self._heard : self._heard + _FRAME].copy()
            frame = AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, self._heard, Fraction(1, RATE)
            self._output.mux(self._stream.encode(frame))
            self._heard += piece.shape[1]


def decoded(source: Path, start_s: float, seconds: float, check_time: Callable[[], None]) -> np.ndarray | None:
    """Return the sound of a span as float32 (2, samples) at 48 kHz, silent where there is none.

    Args:
        source: The file.
        start_s: On the container's clock.
        seconds: Length.
        check_time: Raises when the time is over.

    Returns:
        None where no sound can be decoded in the span.
    """
    import av
    import numpy as np

    samples = np.zeros((2, round(seconds * RATE)), np.float32)
    heard, place = False, 0
    with open_video(source) as (container, _):
        stream = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
        if stream is None:
            return None
        if start_s > _SEEK_FROM_S and stream.time_base:
            try:
                container.seek(int((start_s - 0.5) / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                container.seek(0)
        for t_s, piece in _resampled(packets_to_frames(container, stream, [])):
            check_time()
            if t_s >= start_s + seconds:
                break
            due = round((t_s - start_s) * RATE)
            # pieces follow each other to the sample; only a real gap moves them
            if not heard or abs(due - place) > _GAP_S * RATE:
                place = due
            heard |= _lay(samples, piece, place)
            place += piece.shape[1]
    return samples if heard else None


def _resampled(frames: Iterator[Any]) -> Iterator[tuple[float, np.ndarray]]:
    """Yield ``(t_s, float32 (2, samples))`` at 48 kHz; a stream may change its layout or rate on the way."""
    import av

    resampler, kind = None, None
    for frame in frames:
        if frame.time is None:
            continue
        if resampler is None or kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for piece in resampler.resample(frame):
            yield float(frame.time), piece.to_ndarray()


def _lay(samples: np.ndarray, piece: np.ndarray, start: int) -> bool:
    """Copy what of a piece lies within the samples; say whether anything did."""
    begin, end = max(start, 0), min(start + piece.shape[1], samples.shape[1])
    if begin >= end:
        return False
    samples[:, begin:end] = piece[:, begin - start : end - start]
    return True
