"""decide: keep or reject a clip by its scores and the policy, and say whose view it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from humannet_ops.domain import clip_scores, policy
from humannet_ops.domain.records import ClipSubject, Result, VideoSubject, kept, rejected
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import detections, signals
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

if TYPE_CHECKING:
    import numpy as np

SPEC = StageSpec("decide", "clip", revision=1, queue="cpu", needs=("detect",), reads=("analyse", "detect"))


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result: the policy's content."""
    return asdict(load_policy(config))


def load_policy(config: Settings) -> policy.Policy:
    """Read the policy file that the settings name.

    Raises:
        PolicyError: it is missing or wrong.
    """
    try:
        return policy.parse(config.policy_file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise policy.PolicyError(
            f"the policy file {config.policy_file} cannot be read ({error}): check HUMANNET_POLICY_FILE"
        ) from error
    except policy.PolicyError as error:
        raise policy.PolicyError(f"{config.policy_file}: {error}") from error


class Decide:
    """Decides on one clip."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.policy = load_policy(context.config)
        # clips of a video come together: its arrays are read once
        self._video_id: str | None = None

    def process(self, subject: ClipSubject) -> Result:
        """Score, then decide."""
        video = subject.video
        if video.video_id != self._video_id:
            self._found, self._signals = self._read(video)
            self._video_id = video.video_id
        span = clip_scores.Span(subject.start_s, subject.end_s, video.width or 0, video.height or 0)
        scores = clip_scores.measure(
            span, self._found.columns, self._found.frame_times, self._signals, self.policy.measure
        )
        decision = policy.decide(scores, self.policy)
        fields: dict[str, Any] = {
            "scores": scores,
            "detail": {
                "viewpoint": decision.viewpoint,
                "checks": [asdict(check) for check in decision.checks],
            },
            "policy_version": self.policy.version,
        }
        return kept(**fields) if decision.reason is None else rejected(decision.reason, **fields)

    def _read(self, video: VideoSubject) -> tuple[detections.Detections, dict[str, np.ndarray]]:
        store = self.context.store
        with store.local(video.inputs["detections"].uri) as found, store.local(video.inputs["signals"].uri) as measured:
            return detections.read(found), signals.read(measured)
