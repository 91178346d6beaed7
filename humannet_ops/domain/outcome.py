"""What can happen to a subject at a stage, and the one list of reasons for it.

The same list lies in the catalog (table ``reasons``) and in ``sql/README.md``; a test keeps the three equal.
"""

from __future__ import annotations

import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """The end of one subject at one stage version. Every subject gets exactly one."""

    KEPT = "kept"
    REJECTED = "rejected"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The stage has nothing to do on it, or this installation has not what the stage needs. The subject goes on."""


class Reason(StrEnum):
    """Why a subject was rejected, failed or skipped.

    ``description`` says it in words; ``permanent`` that a retry cannot help.
    """

    description: str
    outcome: Outcome
    permanent: bool

    def __new__(cls, code: str, outcome: Outcome, description: str, permanent: bool = True) -> Reason:
        """Make a member that equals its code and carries what it means."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.outcome = outcome
        member.description = description
        member.permanent = permanent
        return member

    # rejected: a decision of ours, made from scores
    NO_PERSON = (
        "no_person",
        Outcome.REJECTED,
        "No person, hand or wearer's arm is seen in enough of the clip.",
    )
    NO_MOTION = "no_motion", Outcome.REJECTED, "A person is seen but nothing observable moves."
    BLURRED = "blurred", Outcome.REJECTED, "Too many frames are too blurred to see what is done."
    OCCLUDED = (
        "occluded",
        Outcome.REJECTED,
        "The person is seen too small, too cut off or too briefly to follow the action.",
    )
    STATIC_FRAMING = (
        "static_framing",
        Outcome.REJECTED,
        "The picture does not change: a slide, a still or a frozen stream.",
    )
    TOO_DARK = "too_dark", Outcome.REJECTED, "Too many frames are black or nearly so."
    TOO_SMALL = "too_small", Outcome.REJECTED, "The picture has fewer pixels than pose estimation needs."
    TOO_SHORT = (
        "too_short",
        Outcome.REJECTED,
        "The shot, or what is left of it, is shorter than a clip may be.",
    )
    DUPLICATE = (
        "duplicate",
        Outcome.REJECTED,
        "The same bytes are already in the corpus; the outcome names the survivor.",
    )
    NEAR_DUPLICATE = (
        "near_duplicate",
        Outcome.REJECTED,
        "An edited copy of another video; the outcome names the survivor.",
    )
    RESTRICTED = "restricted", Outcome.REJECTED, "Restricted content (nudity) was detected."
    NO_VIDEO = (
        "no_video",
        Outcome.REJECTED,
        "The file holds no moving picture: audio, a still image or a single frame.",
    )
    LICENSE_DENIED = "license_denied", Outcome.REJECTED, "The source's licence policy denies the item's licence."
    LICENSE_REVIEW = (
        "license_review",
        Outcome.REJECTED,
        "The source's licence policy asks for a person's decision before this licence is fetched.",
    )
    CHANNEL_REJECTED = (
        "channel_rejected",
        Outcome.REJECTED,
        "Its channel is paused for bringing too little, or banned by a person.",
    )
    OPTED_OUT = "opted_out", Outcome.REJECTED, "The host asks not to be crawled there (robots.txt or a header)."
    WITHHELD = "withheld", Outcome.REJECTED, "A person withheld the clip when reviewing it."
    TAKEN_DOWN = "taken_down", Outcome.REJECTED, "A takedown covers it: it is never fetched again."
    # failed: something went wrong with the subject
    UNREADABLE = (
        "unreadable",
        Outcome.FAILED,
        "FFmpeg cannot read it as video: empty, damaged from the start, or not video.",
    )
    TRUNCATED = "truncated", Outcome.FAILED, "The file ends before its index or its first frames."
    PERMISSION_DENIED = "permission_denied", Outcome.FAILED, "The file exists but may not be read."
    GONE = "gone", Outcome.FAILED, "The source offers it no more (404, 410, removed or private)."
    FORBIDDEN = "forbidden", Outcome.FAILED, "The source refuses it (401, 403, a login or a country)."
    PRIVATE_ADDRESS = (
        "private_address",
        Outcome.FAILED,
        "It leads to a loopback, link-local or private address, which its source does not allow.",
    )
    UNSUPPORTED = "unsupported", Outcome.FAILED, "There is no video at its address that can be downloaded."
    UNREACHABLE = "unreachable", Outcome.FAILED, "The host did not answer, or broke off too often.", False
    MISSING = "missing", Outcome.FAILED, "The file was there when discovered and is gone."
    CHANGED_WHILE_READ = (
        "changed_while_read",
        Outcome.FAILED,
        "The file was being written while it was read.",
        False,
    )
    TOO_LARGE = "too_large", Outcome.FAILED, "The picture or the file is larger than the configured limits."
    TIMED_OUT = "timed_out", Outcome.FAILED, "Processing took longer than the limit for one subject.", False
    CRASHED = (
        "crashed",
        Outcome.FAILED,
        "The worker process died on this subject as often as it may be tried.",
    )
    OBJECT_MISSING = (
        "object_missing",
        Outcome.FAILED,
        "The store has not an object that the catalog names: `humannet retry --lost`.",
        False,
    )
    DISK_FULL = "disk_full", Outcome.FAILED, "No space was left to write the result.", False
    ERROR = "error", Outcome.FAILED, "An unexpected error; the outcome's detail has the message.", False
    # skipped: this stage adds nothing to the clip, which goes on without
    NO_MODEL = "no_model", Outcome.SKIPPED, "No installed model fills the stage's role."
    NO_ENDPOINT = "no_endpoint", Outcome.SKIPPED, "No language model's endpoint is configured."
    SWITCHED_OFF = "switched_off", Outcome.SKIPPED, "The settings do not ask for it."
    NO_BODY = "no_body", Outcome.SKIPPED, "No body's pose is there to work from."
    NO_HANDS = "no_hands", Outcome.SKIPPED, "No hand's pose is there to work from."
    NOT_EGO = "not_ego", Outcome.SKIPPED, "The clip is not seen from the wearer's eyes."
    CAMERA_STILL = "camera_still", Outcome.SKIPPED, "The camera does not move, so there is no trajectory."
    UNSTABLE = "unstable", Outcome.SKIPPED, "The picture is too blurred or too jerky to follow the camera."
    NO_PARALLAX = (
        "no_parallax",
        Outcome.SKIPPED,
        "The camera turns without moving enough for depth to show.",
    )
    NOT_RECONSTRUCTED = (
        "not_reconstructed",
        Outcome.SKIPPED,
        "Too few frames could be placed in one reconstruction.",
    )


class SubjectError(Exception):
    """One subject cannot be processed. Its shard goes on; ``reason`` and the message become its outcome."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Postponed(Exception):
    """One subject must wait; that is no failure and no attempt. The message says for what, for people.

    Attributes:
        cause: ``host``, ``budget``, ``quiet_hours`` or ``disk``.
        until: When it is worth another look (aware).
    """

    def __init__(self, cause: str, until: datetime.datetime, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.until = until


class DeviceLost(Exception):
    """What works on subjects (a GPU, a model server) is gone: the task fails and is repeated, whatever the subject.

    Attributes:
        counts: Whether the subject in hand used up an attempt: it did where it may be what broke the device.
    """

    def __init__(self, message: str, *, counts: bool = False) -> None:
        super().__init__(message)
        self.counts = counts
