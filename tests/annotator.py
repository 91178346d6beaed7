"""Runs annotation stages on one real clip, without a catalog: what a stage stores is the next one's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from humannet_ops.domain.records import Annotation, ClipSubject, Result, VideoSubject
from humannet_ops.media import body_tracks, encode, hand_tracks, people, poses
from humannet_ops.stages import registry
from humannet_ops.stages.protocol import Context


class Annotator:
    """Opens each stage once, and keeps what was cut."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._stages: dict[str, Any] = {}
        self._cuts: dict[tuple[Path, float, float], Any] = {}

    def cut(self, video: Path, start_s: float, end_s: float, **fields: Any) -> ClipSubject:
        """Cut a clip as the cut stage does."""
        wanted = video, start_s, end_s
        if wanted not in self._cuts:
            target = self.context.scratch / "clip.mp4"
            encode.cut(video, target, start_s, end_s)
            self._cuts[wanted] = self.context.store.put(target, kind="clip", suffix=".mp4", media_type="video/mp4")
        origin = VideoSubject("v1", "videos", video.as_uri(), title=video.stem)
        return ClipSubject("c1", origin, 0, 0, 1, start_s, end_s, inputs={"clip": self._cuts[wanted]}, **fields)

    def detected(self, subject: ClipSubject) -> ClipSubject:
        """Give a clip's video what analyse and detect find in it; the video is then the clip itself."""
        video = replace(subject.video, inputs={"video": subject.inputs["clip"]}, duration_s=subject.duration_s)
        for name in ("analyse", "detect"):
            made = self.stage(name).process(video).artifacts
            video = replace(video, inputs={**video.inputs, **{artifact.kind: artifact for artifact in made}})
        return replace(subject, video=video, start_s=0.0, end_s=subject.duration_s)

    def stage(self, name: str) -> Any:
        """Return a stage, opened."""
        if name not in self._stages:
            self._stages[name] = registry.open_stage(name, self.context)
        return self._stages[name]

    def run(self, subject: ClipSubject, *names: str) -> tuple[ClipSubject, dict[str, Result]]:
        """Run stages one after the other; return the clip with all inputs, and what each said."""
        said = {}
        for name in names:
            said[name] = self.stage(name).process(subject)
            subject = replace(subject, inputs={**subject.inputs, **{made.kind: made for made in said[name].artifacts}})
        return subject, said

    def poses(self, subject: ClipSubject) -> poses.Poses | None:
        """Read a clip's bodies and hands."""
        paths = [self.path(subject, kind) for kind in (body_tracks.KIND, hand_tracks.KIND)]
        return poses.read(*paths)

    def people(self, subject: ClipSubject) -> people.People:
        """Read a clip's people and things."""
        path = self.path(subject, people.KIND)
        assert path is not None
        return people.read(path)

    def path(self, subject: ClipSubject, kind: str) -> Path | None:
        """Return where an input lies; the tests' store is a folder."""
        if kind not in subject.inputs:
            return None
        with self.context.store.local(subject.inputs[kind].uri) as path:
            return path


def annotation(result: Result, kind: str) -> Annotation:
    """Return a result's one annotation of a kind."""
    (found,) = [record for record in result.records if isinstance(record, Annotation) and record.kind == kind]
    return found
