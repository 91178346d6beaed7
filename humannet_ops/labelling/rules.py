"""Labels that follow from signals and from how things are told, by rules that a person can check.

Each rule is one line of a table: what it looks at, and how often it was right. What a rule says is a pseudo-label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from humannet_ops.labelling.signals import Signals

VERSION = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A class and how sure it is, with the name of the rule that says so."""

    path: str
    confidence: float
    rule: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on signals.

    Attributes:
        name: For people; it stands in the annotation.
        path: The interaction that it labels with.
        holds: Whether the signals show it.
        confidence: (right + 1) / (said + 2), Laplace's rule of succession, over the twenty clips of the corpus, as
            ``tests/benchmarks/annotation_labels.py --rules`` prints it: so few that it is no more than a hint.
    """

    name: str
    path: str
    holds: Callable[[Signals], bool]
    confidence: float


# A person who goes one body height further is somewhere else; swaying and the box's flicker stay below 0.3.
TRAVELLED = 1.0
# A fifth of the frames: brief passing by does not reach it.
TOUCHING = 0.2
# First-person clips show the wearer's hands while they do something.
HANDS_IN_VIEW = 0.3
# Mean speed, m/s, of the fastest third of the joints: a slow walk's. Gesturing while one talks has 0.1 to 0.4.
BRISK = 0.7
BODY_IN_VIEW = 0.5

SIGNAL_RULES = (
    Rule("hand near a thing", "manipulation", lambda s: s.contact_share >= TOUCHING, 0.6),
    Rule("own hands in view", "manipulation", lambda s: s.viewpoint == "ego" and s.hand_share >= HANDS_IN_VIEW, 0.83),
    Rule("a person gets further", "locomotion", lambda s: s.travel >= TRAVELLED and s.person_share > 0, 0.67),
    Rule("brisk body", "whole_body_motion", lambda s: s.body_share >= BODY_IN_VIEW and s.speed >= BRISK, 0.6),
    Rule(
        "several people most of the time",
        "multi_person_coordination",
        lambda s: s.persons >= 2 and s.person_share >= BODY_IN_VIEW,
        0.6,
    ),
    Rule(
        "a hand near a thing gets further",
        "object_transport",
        lambda s: s.contact_share >= TOUCHING and s.travel >= TRAVELLED,
        0.5,
    ),
)


def interactions(signals: Signals) -> list[Found]:
    """Return the interactions that the signals show; of several rules for one, the surest."""
    found: dict[str, Found] = {}
    for rule in SIGNAL_RULES:
        if rule.holds(signals) and rule.confidence > found.get(rule.path, Found("", 0.0, "")).confidence:
            found[rule.path] = Found(rule.path, rule.confidence, rule.name)
    return list(found.values())


PROCEDURE = re.compile(
    r"\b(how (to|i|we)|step[- ]by[- ]step|tutorial|recipe|from scratch|d\.?i\.?y|teardown|walk-?through|masterclass|"
    r"full (build|process|rebuild|restoration|routine)|start to finish|assembly (guide|instructions)|timelapse of)\b",
    re.IGNORECASE,
)
REPETITION = re.compile(
    r"\b(\d+\s*(x|reps?|repetitions|sets)|x\s*\d+|repetitions|drills?|exercises?|workout|laps|gait|practice|cycle)\b",
    re.IGNORECASE,
)
REPETITIVE_CLASSES = frozenset(
    {
        "locomotion/walking",
        "locomotion/running",
        "fitness_and_outdoor/strength_training",
        "fitness_and_outdoor/cardio_training",
    }
)
# One action of a person takes a second or two (the mean of AVA's and Charades' short actions); so does the whole clip.
ATOMIC_S = 3.0


def task_structure(texts: Sequence[str], motion: str | None, signals: Signals) -> Found | None:
    """Return how what is done hangs together, where words or the clip's length tell; None where they do not.

    Args:
        texts: What is said about the clip.
        motion: The path that its motion was labelled with, if any.
        signals: What was measured.
    """
    together = " ".join(texts)
    if PROCEDURE.search(together):
        return Found("long_horizon_procedure", STRUCTURE_CONFIDENCE["procedure words"], "procedure words")
    of_class = "/".join(motion.split("/")[:2]) if motion else None
    if REPETITION.search(together) or of_class in REPETITIVE_CLASSES:
        return Found("repetitive_action", STRUCTURE_CONFIDENCE["repetition"], "repetition")
    if 0 < signals.duration_s <= ATOMIC_S and signals.speed > 0:
        return Found("atomic_action", STRUCTURE_CONFIDENCE["short clip"], "short clip")
    return None


STRUCTURE_CONFIDENCE: Mapping[str, float] = {"procedure words": 0.5, "repetition": 0.5, "short clip": 0.5}
"""No truth exists for these rules yet: they are as good as a coin until somebody labels some clips."""

SOURCE_TYPES: Mapping[str, str] = {
    "ytdlp_search": "web_scale",
    "ytdlp_channel": "community",
    "ytdlp_playlist": "community",
    "ytdlp_url": "community",
}


def source_type(kind: str, published: Mapping[str, object]) -> str | None:
    """Return the source type that a kind of source has; None where that does not tell, as with a folder.

    A manifest tells by its data set: Ego4D's participants recorded themselves, Panda-70M and Koala-36M list web videos.
    """
    if kind == "http_manifest":
        if "video_uid" in published or "scenarios" in published:
            return "semi_structured"
        return "web_scale" if "videoID" in published else None
    return SOURCE_TYPES.get(kind)
