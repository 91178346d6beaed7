"""A question to a vision-language model: words, pictures, and the JSON schema that its answer must keep to."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

# Pictures of a clip that go along, evenly spaced. Qwen-VL makes a token of each 28 x 28 pixels: some 1,200 in all.
FRAMES, LONG_SIDE, QUALITY = 8, 448, 80
PICTURES = {"frames": FRAMES, "long_side": LONG_SIDE, "quality": QUALITY}


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        name: What the answer is called, and the prompt in the accounts; a letter, then letters, digits and underscores.
        version: Of the prompt: another wording is another version.
        text: The question.
        schema: JSON schema of the answer, an object.
        pictures: JPEG files.
        system: What the model is told to be.
    """

    name: str
    version: str
    text: str
    schema: Mapping[str, Any]
    pictures: Sequence[bytes] = ()
    system: str = ""

    def digest(self, model: str) -> str:
        """Return the sha256 of all that decides the answer: the model, the words, the schema and the pictures."""
        told = [model, self.version, self.system, self.text, json.dumps(self.schema, sort_keys=True)]
        told += [hashlib.sha256(picture).hexdigest() for picture in self.pictures]
        return hashlib.sha256("\0".join(told).encode()).hexdigest()

    def messages(self) -> list[dict[str, Any]]:
        """Return the chat's messages; pictures go along as data URLs, so nothing else must be reachable."""
        content: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"}}
            for picture in self.pictures
        ]
        content.append({"type": "text", "text": self.text})
        said: list[dict[str, Any]] = [{"role": "user", "content": content}]
        return [{"role": "system", "content": self.system}, *said] if self.system else said

    def response_format(self) -> dict[str, Any]:
        """Return the request's field that holds the answer to the schema."""
        schema = {"name": self.name, "strict": True, "schema": dict(self.schema)}
        return {"type": "json_schema", "json_schema": schema}


def pictures_of(clip: Path, *, threads: int, timeout_s: float) -> tuple[bytes, ...]:
    """Return ``FRAMES`` evenly spaced frames of a clip as JPEG files, long side ``LONG_SIDE`` at most.

    Raises:
        SubjectError: the clip cannot be decoded.
    """
    from humannet_ops.media import clip_frames

    # which frames are evenly spaced is known at the end; every so many are kept, and thinned out when they get many
    kept: list[NDArray[np.uint8]] = []
    every = 1
    with clip_frames.open_clip(clip, threads=threads, timeout_s=timeout_s) as frames:
        for number, frame in enumerate(frames):
            if number % every == 0:
                kept.append(_small(frame))
            if len(kept) >= 4 * FRAMES:
                kept, every = kept[::2], every * 2
    count = min(FRAMES, len(kept))
    places = [round((place + 0.5) * len(kept) / count - 0.5) for place in range(count)]
    return tuple(_jpeg(kept[place]) for place in places)


def red() -> bytes:
    """Return a red picture, JPEG."""
    import numpy as np

    return _jpeg(np.full((LONG_SIDE, LONG_SIDE, 3), (220, 20, 30), np.uint8))


def _small(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = frame.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: NDArray[np.uint8] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return small


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    import cv2

    done, coded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError("OpenCV could not encode a JPEG")
    return coded.tobytes()
