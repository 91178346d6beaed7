"""The decision on a clip: a pure function of its scores and of a policy, which a versioned file holds.

A policy has three parts. ``measure`` says what counts while scores are computed (``clip_scores``). ``checks`` are asked
in order; every one is recorded, and the first that fails gives the reason. ``viewpoint`` weighs signs of a worn camera.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from humannet_ops.domain.outcome import Outcome, Reason

Viewpoint = Literal["ego", "exo"]


class PolicyError(ValueError):
    """The policy file is wrong; the message says where."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. A clip fails it if its score lies below ``at_least`` or above ``at_most``."""

    reason: Reason
    score: str
    threshold: float
    is_minimum: bool

    def passes(self, value: float) -> bool:
        """Compare a score with the threshold; the threshold itself passes."""
        return value >= self.threshold if self.is_minimum else value <= self.threshold


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file's content.

    Attributes:
        version: The file's ``version`` and a digest of what it says, so that two policies never share a version.
        measure: Numbers that computing the scores needs.
        checks: In the order in which they give their reason.
        ego_weights: What each score adds to the sum that makes a clip first-person.
        ego_above: The sum from which it is.
    """

    version: str
    measure: Mapping[str, float]
    checks: tuple[Check, ...]
    ego_weights: Mapping[str, float]
    ego_above: float


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. ``name`` is the score's; ``reason`` is given if this is the first that failed."""

    name: str
    value: float
    threshold: float
    passed: bool
    reason: Reason
    is_minimum: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a clip. ``viewpoint`` is None where no person is seen: then it means nothing."""

    outcome: Outcome
    reason: Reason | None
    viewpoint: Viewpoint | None
    checks: tuple[CheckResult, ...]


def decide(scores: Mapping[str, float], policy: Policy) -> Decision:
    """Apply every check in order.

    Args:
        scores: As ``clip_scores.measure`` gives them.
        policy: The thresholds.

    Raises:
        PolicyError: the policy asks for a score that was not computed.
    """
    unknown = {check.score for check in policy.checks} | set(policy.ego_weights)
    unknown -= set(scores)
    if unknown:
        raise PolicyError(f"the policy uses {sorted(unknown)}; the scores are {sorted(scores)}")
    checks = tuple(
        CheckResult(
            name=check.score,
            value=float(scores[check.score]),
            threshold=check.threshold,
            passed=check.passes(scores[check.score]),
            reason=check.reason,
            is_minimum=check.is_minimum,
        )
        for check in policy.checks
    )
    reason = next((check.reason for check in checks if not check.passed), None)
    person = all(check.passed for check in checks if check.reason is Reason.NO_PERSON)
    ego = sum(weight * scores[name] for name, weight in policy.ego_weights.items()) > policy.ego_above
    return Decision(
        outcome=Outcome.KEPT if reason is None else Outcome.REJECTED,
        reason=reason,
        viewpoint=("ego" if ego else "exo") if person else None,
        checks=checks,
    )


def parse(text: str) -> Policy:
    """Read a policy file.

    Raises:
        PolicyError: it is no YAML, misses a part, or names an unknown reason.
    """
    try:
        content: Any = yaml.safe_load(text)
        if content["version"] != int(content["version"]):
            raise PolicyError("version must be a whole number")
        viewpoint = content["viewpoint"]
        return Policy(
            version=f"{content['version']}-{_digest(content)}",
            measure={name: float(value) for name, value in content["measure"].items()},
            checks=tuple(_check(entry) for entry in content["checks"]),
            ego_weights={name: float(value) for name, value in viewpoint["weights"].items()},
            ego_above=float(viewpoint["ego_above"]),
        )
    except yaml.YAMLError as error:
        raise PolicyError(f"the policy file is not YAML: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise PolicyError(f"the policy file lacks or misplaces {error}") from error
    except ValueError as error:
        raise PolicyError(f"the policy file: {error}") from error


def _check(entry: Mapping[str, Any]) -> Check:
    sides = [side for side in ("at_least", "at_most") if side in entry]
    if len(sides) != 1:
        raise PolicyError(f"check on {entry['score']}: give at_least or at_most")
    reason = {reason.value: reason for reason in Reason}.get(entry["reason"])
    if reason is None or reason.outcome is not Outcome.REJECTED:
        raise PolicyError(f"check on {entry['score']}: {entry['reason']} is no reason to reject")
    return Check(reason, str(entry["score"]), float(entry[sides[0]]), sides[0] == "at_least")


def _digest(content: Mapping[str, Any]) -> str:
    """Return eight hex digits of what the file says; comments and layout do not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
