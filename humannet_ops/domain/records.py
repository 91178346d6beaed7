"""What stages read and write: subjects, artifacts and the rows that belong to an outcome. Values only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from humannet_ops.domain.outcome import Outcome, Reason
from humannet_ops.domain.screening import ReviewCause
from humannet_ops.domain.taxonomy import taxonomy

Scores = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An object in the store. ``uri`` is content-addressed, so equal bytes are one object."""

    kind: str
    sha256: str
    uri: str
    bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class VideoSubject:
    """A video as stages see it.

    ``inputs`` maps an artifact kind to what earlier stages made, at current versions; ``kind`` is its source's;
    ``published`` is what the source says about it (description, tags, segments, a data set's own columns): untrusted
    text.
    """

    video_id: str
    source: str
    origin_uri: str
    signature: str = ""
    title: str | None = None
    license: str | None = None
    sha256: str | None = None
    duration_s: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    kind: str = ""
    published: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def subject_id(self) -> str:
        """The identifier that outcomes use."""
        return self.video_id


@dataclass(frozen=True, slots=True)
class ClipSubject:
    """Frames ``[start_frame, end_frame)`` of a video, on a presentation clock that starts with its first frame.

    ``viewpoint`` (``ego``, ``exo``), ``scores`` and ``annotations`` (by kind) are what earlier stages found, at current
    versions.
    """

    clip_id: str
    video: VideoSubject
    shot: int
    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    viewpoint: str | None = None
    scores: Scores = field(default_factory=dict)
    annotations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def subject_id(self) -> str:
        """The identifier that outcomes use."""
        return self.clip_id

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class VideoFile:
    """What probing told about a fetched file. Width and height are as displayed: rotation and pixel shape applied."""

    sha256: str
    bytes: int
    container: str
    codec: str
    duration_s: float
    width: int
    height: int
    fps: float
    has_audio: bool
    probe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """A clip that analysis proposes: a part of one shot."""

    shot: int
    start_frame: int
    end_frame: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Perceptual hashes of one sampled frame: 64 bits each, as it is and mirrored left to right."""

    t_s: float
    bits: int
    mirrored_bits: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Another video that this one is an edited copy of, or it of this one.

    ``similarity`` is 1 for equal pictures and 0 for what unrelated ones have; ``overlap_s`` are the seconds that both
    show; ``mirrored`` says that one is the mirror image of the other.
    """

    other_id: str
    similarity: float
    overlap_s: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """A value about a clip and the model that made it (``signals`` where none did)."""

    kind: str
    model_release: str
    value: Mapping[str, Any]
    artifact: Artifact | None = None


LabelOrigin = Literal["endpoint", "offline", "inherited", "pseudo"]
"""Who says it: a vision endpoint, the offline models, the data set that the clip comes from, a rule on signals."""


@dataclass(frozen=True, slots=True)
class Label:
    """A class of the taxonomy that a clip belongs to.

    Raises:
        TaxonomyError: the path is not in the facet's tree.
        ValueError: the confidence is no probability.
    """

    facet: str
    path: str
    confidence: float
    origin: LabelOrigin
    model_release: str

    def __post_init__(self) -> None:
        taxonomy().node(self.facet, self.path)
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"label {self.path}: confidence {self.confidence} is no probability, 0 to 1")


@dataclass(frozen=True, slots=True)
class Embedding:
    """A clip as a vector of length 1, by a model: clips that look alike have vectors that point alike.

    Raises:
        ValueError: it is not of length 1, or longer than the catalog's index can hold.
    """

    model_release: str
    vector: tuple[float, ...]

    def __post_init__(self) -> None:
        length = math.hypot(*self.vector)
        if not abs(length - 1) < 1e-3:
            raise ValueError(f"an embedding by {self.model_release} has the length {length}, not 1")
        if len(self.vector) > MOST_DIMENSIONS:
            count = f"{len(self.vector)} dimensions, at most {MOST_DIMENSIONS} are possible"
            raise ValueError(f"an embedding by {self.model_release} has {count}")


MOST_DIMENSIONS = 4000
"""Of an embedding: what pgvector's indexes of half-precision vectors take."""

Record = VideoFile | ClipSpan | Fingerprint | Copy | Annotation | Label | Embedding | ReviewCause


@dataclass(frozen=True, slots=True)
class Result:
    """One subject's outcome with everything that becomes visible together with it."""

    outcome: Outcome
    reason: Reason | None = None
    scores: Scores = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    records: tuple[Record, ...] = ()
    policy_version: str | None = None
    model_releases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.reason is None) != (self.outcome is Outcome.KEPT):
            raise ValueError(f"{self.outcome} with reason {self.reason}: exactly what is not kept has a reason")
        if self.reason is not None and self.reason.outcome is not self.outcome:
            raise ValueError(f"{self.reason} is a reason for {self.reason.outcome}, not {self.outcome}")


def kept(**fields: Any) -> Result:
    """A subject that goes on to the next stage."""
    return Result(Outcome.KEPT, **fields)


def rejected(reason: Reason, **fields: Any) -> Result:
    """A subject that a decision ends."""
    return Result(Outcome.REJECTED, reason, **fields)


def skipped(reason: Reason, message: str, *, detail: Mapping[str, Any] | None = None, **fields: Any) -> Result:
    """A subject that goes on without this stage's work; the message says why, for people."""
    return Result(Outcome.SKIPPED, reason, detail={"message": message, **(detail or {})}, **fields)


def failed(reason: Reason, message: str, **fields: Any) -> Result:
    """A subject that an error ends."""
    return Result(Outcome.FAILED, reason, detail={"error": message}, **fields)
