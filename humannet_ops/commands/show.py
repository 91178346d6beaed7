"""``humannet show``: a clip beside what was made of it, as a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from humannet_ops.commands.output import console, one_line_errors

if TYPE_CHECKING:
    from humannet_ops.media.panels import Picture
    from humannet_ops.read import Clip


def show(
    clip_id: Annotated[str, typer.Argument(metavar="CLIP_ID", help="A clip of v_clips.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where the video goes; CLIP_ID.mp4 if not said.")
    ] = None,
) -> None:
    """Draw a clip beside its poses, its camera's path and its robot's motion, as an MP4.

    Four panels: the clip with boxes, bodies and hands; bodies and hands in metres; the camera's path; the robot. A
    panel that has nothing to show says why.
    """
    from rich.progress import track

    from humannet_ops import read

    with one_line_errors():
        clip = read.clip(clip_id)
        target = to or Path(f"{clip_id}.mp4")
        drawn = _frames(clip)
        total = clip.people.frames if clip.people else None
        fps = clip.people.fps if clip.people else 30.0
        _encode(target, track(drawn, f"Drawing {target.name}", total=total, console=console, transient=True), fps)
        console.print(f"{target}", highlight=False, soft_wrap=True)


def _frames(clip: Clip) -> Iterator[Picture]:
    from humannet_ops.media import clip_frames, panels, poses
    from humannet_ops.settings import settings

    camera, robot = _camera(clip), _robot(clip)
    title = "hands in front of the camera, metres" if clip.grippers and not clip.robot else _robot_title(clip)
    one = clip.bodies or clip.hands
    seen = None
    if one is not None:
        size = one.frames, one.fps, one.width, one.height
        seen = poses.together(clip.bodies, clip.hands, *size)
    said = panels.said_panel(panels.why(clip.outcomes, "pose_body"))
    config = settings()
    with (
        clip.file() as path,
        clip_frames.open_clip(path, threads=config.threads, timeout_s=config.subject_timeout_s) as source,
    ):
        for number, rgb in enumerate(source):
            yield panels.compose(
                (
                    (
                        f"clip {clip.clip_id}  {number / source.fps:5.2f} s",
                        panels.clip_panel(rgb, seen, clip.people, number),
                    ),
                    ("bodies and hands, metres", panels.metres_panel(seen, number) if seen else said),
                    ("camera", camera(number)),
                    (title, robot(number)),
                )
            )


def _camera(clip: Clip) -> Callable[[int], Picture]:
    from humannet_ops.media import panels

    if clip.camera is None:
        said = panels.said_panel(panels.why(clip.outcomes, "camera_trajectory"))
        return lambda _number: said
    there = clip.camera.registered
    path = panels.Path(clip.camera.frame[there], clip.camera.position[there], clip.camera.unit)
    return lambda number: panels.camera_panel(path, number)


def _robot_title(clip: Clip) -> str:
    if clip.robot is None:
        return "robot"
    scores = clip.scores
    error, share = scores["retarget_error_mm_mean"], scores["retarget_coverage"]
    ready = "robot-ready" if scores["robot_ready"] else "not robot-ready"
    return f"{clip.robot.robot}: {ready}, {error:.1f} mm, {share:.0%} of frames"


def _robot(clip: Clip) -> Callable[[int], Picture]:
    from humannet_ops.media import panels

    if clip.robot is None:
        if (grippers := clip.grippers) is not None:
            return lambda number: panels.grippers_panel(grippers, number)
        said = panels.said_panel(panels.why(clip.outcomes, "retarget"))
        return lambda _number: said
    from humannet_ops.embodiment import picture, robots
    from humannet_ops.stages import registry

    model = registry.models()["robot"]
    motion = clip.robot
    if model.name != motion.robot:
        other = panels.said_panel(f"this motion is of {motion.robot}, and {model.name} is installed (HUMANNET_ROBOT)")
        return lambda _number: other
    robot = robots.load(model.name, model.path)
    row_of = {int(frame): row for row, frame in enumerate(motion.frame)}

    def drawn(number: int) -> Picture:
        if number not in row_of:
            return panels.blank()
        return picture.draw(robot, motion.qpos[row_of[number]], panels.blank())

    return drawn


def _encode(target: Path, frames: Any, fps: float) -> None:
    """Write an H.264 MP4; it appears whole.

    Raises:
        OSError: it cannot be written.
    """
    import av

    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new.mp4")
    try:
        with av.open(str(new), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream: Any = None
            for picture in frames:
                if stream is None:
                    stream = container.add_stream("h264", rate=round(fps), options={"crf": "23", "preset": "veryfast"})
                    stream.height, stream.width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
                    stream.pix_fmt = "yuv420p"
                frame = av.VideoFrame.from_ndarray(picture[: stream.height, : stream.width], format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
