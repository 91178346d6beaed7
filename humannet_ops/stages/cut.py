"""cut: write a clip that was kept, frame-accurate and normalised; what was refused is never encoded."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from humannet_ops.domain.records import ClipSubject, Result, kept
from humannet_ops.domain.stage import StageSpec
from humannet_ops.media import encode
from humannet_ops.settings import Settings
from humannet_ops.stages.protocol import Context

# A clip's name says which frames it has, so a new decision only opens or shuts the gate: nothing is encoded again.
SPEC = StageSpec("cut", "clip", revision=2, queue="cpu", needs=("decide",), reads=("fetch",))
FPS, SHORT_SIDE, CRF, PRESET = 30, 720, 22, "veryfast"
# A minute of ten-second clips. Each run begins with a seek, which decodes some seconds in vain; and while a run waits
# for its clips to be stored, its files lie in the scratch folder.
RUN_CLIPS = 6


def configuration(config: Settings, models: Any) -> dict[str, Any]:
    """Return what else decides the result: the output's format."""
    hardware = {"codecs": config.codecs} if config.codecs != "software" else {}
    return {"fps": FPS, "short_side": SHORT_SIDE, "crf": CRF, "preset": PRESET, **hardware}


class Cut:
    """Encodes clips; those of one video that follow each other are decoded in one go, several such runs side by side.

    A clip's bytes do not depend on the clips that were cut with it.
    """

    # Decoders are C: a file may end the process, and then it must be known at which clip.
    ahead_may_crash = True

    def __init__(self, context: Context) -> None:
        self.context = context
        self._ahead: _Ahead | None = None

    @contextmanager
    def ahead(self, subjects: Sequence[ClipSubject]) -> Iterator[None]:
        """Cut side by side, in ``HUMANNET_THREADS`` threads, a little ahead of each clip's turn."""
        folder = tempfile.TemporaryDirectory(prefix="humannet-cut-", dir=self.context.scratch.parent)
        with folder as name, ThreadPoolExecutor(self.context.config.threads, thread_name_prefix="cutting") as pool:
            self._ahead = _Ahead(self.context, runs(subjects), Path(name), pool)
            try:
                yield
            finally:
                self._ahead.stop()
                self._ahead = None

    def process(self, subject: ClipSubject) -> Result:
        """Encode into the scratch folder, or take what was cut ahead; then store."""
        target = self.context.scratch / "clip.mp4"
        begun = self._ahead.take(subject) if self._ahead else None
        if begun:
            target, report = begun.result()
        else:
            with self.context.store.local(subject.video.inputs["video"].uri) as source:
                report = _cut(self.context, source, target, subject)
        artifact = self.context.store.put(target, kind="clip", suffix=".mp4", media_type="video/mp4")
        target.unlink(missing_ok=True)
        return kept(
            scores={
                "frames": report.frames,
                "width": report.width,
                "height": report.height,
                "fps": report.fps,
                "duration_s": report.duration_s,
                "bytes": artifact.bytes,
            },
            detail={
                "has_audio": report.has_audio,
                "held_frames": report.held_frames,
                "is_copied": report.is_copied,
                "encoder": report.encoder,
            },
            artifacts=(artifact,),
        )


def runs(subjects: Sequence[ClipSubject]) -> list[list[ClipSubject]]:
    """Part clips into runs of ``RUN_CLIPS`` at most that go forwards through one video."""
    parted: list[list[ClipSubject]] = []
    for subject in subjects:
        last = parted[-1][-1] if parted else None
        follows = last and last.video.video_id == subject.video.video_id and last.end_s <= subject.start_s
        if follows and len(parted[-1]) < RUN_CLIPS:
            parted[-1].append(subject)
        else:
            parted.append([subject])
    return parted


Made = tuple[Path, encode.CutReport]


class _Ahead:
    """Cuts runs in the order of the clips' turns.

    As many runs are begun beyond the one whose turn it is as there are threads. So memory holds one decoder and one
    encoder a thread, and the folder ``(threads + 1) * RUN_CLIPS`` clips at most.
    """

    def __init__(
        self, context: Context, parted: list[list[ClipSubject]], folder: Path, pool: ThreadPoolExecutor
    ) -> None:
        self._context, self._runs, self._folder, self._pool = context, parted, folder, pool
        self._stopped = threading.Event()
        self._begun = 0
        self._waiting: dict[str, tuple[int, Future[Made]]] = {
            subject.clip_id: (number, Future()) for number, run in enumerate(parted) for subject in run
        }

    def take(self, subject: ClipSubject) -> Future[Made] | None:
        """Return where the clip will be; None if it was taken before."""
        number, made = self._waiting.pop(subject.clip_id, (0, None))
        if made:
            wanted = min(number + self._context.config.threads + 1, len(self._runs))
            while self._begun < wanted:
                run = self._runs[self._begun]
                futures = [made if other is subject else self._waiting[other.clip_id][1] for other in run]
                self._pool.submit(self._work_off, run, futures)
                self._begun += 1
        return made

    def stop(self) -> None:
        """Begin no further clip."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work_off(self, run: list[ClipSubject], futures: list[Future[Made]]) -> None:
        try:
            with self._context.store.local(run[0].video.inputs["video"].uri) as source:
                footage = encode.Footage(source, self._context.config.codecs)
                for subject, future in zip(run, futures, strict=True):
                    if self._stopped.is_set():
                        break
                    target = self._folder / f"{subject.clip_id}.mp4"
                    try:
                        future.set_result((target, _cut(self._context, source, target, subject, footage)))
                    except Exception as error:
                        future.set_exception(error)
                footage.close()
        except Exception as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)


def _cut(
    context: Context, source: Path, target: Path, subject: ClipSubject, footage: encode.Footage | None = None
) -> encode.CutReport:
    return encode.cut(
        source,
        target,
        subject.start_s,
        subject.end_s,
        fps=FPS,
        short_side=SHORT_SIDE,
        crf=CRF,
        preset=PRESET,
        timeout_s=context.config.subject_timeout_s,
        footage=footage,
        codecs=context.config.codecs,
    )
