"""Loading a clip's arrays in one call, from a catalog that real stages filled."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from humannet_ops import read
from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import CatalogError
from humannet_ops.cli import app
from humannet_ops.media import panels

pytestmark = pytest.mark.corpus


def test_a_clip_is_loaded_whole_in_one_call(gone_through) -> None:
    (clip,) = read.clips("SELECT clip_id FROM v_clips WHERE status = 'kept'")
    assert (clip.status, clip.viewpoint) == ("kept", "exo")
    assert clip.people is not None
    assert clip.bodies is not None
    assert clip.bodies.frames == clip.people.frames == round((clip.end_s - clip.start_s) * clip.bodies.fps)
    assert clip.bodies.world_m.shape == (len(clip.bodies.frame), 33, 3)
    assert np.isfinite(clip.bodies.px).all()
    # what the catalog says is what the arrays say
    assert clip.scores["body_frame_share"] == pytest.approx(clip.bodies.frame_share, abs=1e-4)
    assert clip.annotations["pose_body"]["body_frame_share"] == clip.scores["body_frame_share"]
    assert clip.looks is not None
    ((stored,),) = reading.ask(f"SELECT vector::vector::text FROM embeddings WHERE clip_id = '{clip.clip_id}'")[1]
    # halfvec has eleven bits
    assert np.allclose(json.loads(stored), clip.looks.clip, atol=2**-11)
    with clip.file() as path:
        assert path.stat().st_size > 1000
    with pytest.raises(LookupError, match=r"has no poem; it has .*body_tracks, clip"), clip.file("poem"):
        pass


def test_what_is_not_there_is_said(gone_through) -> None:
    with pytest.raises(LookupError, match="the catalog has no clip c1"):
        read.clip("c1")
    rejected = reading.ask("SELECT clip_id FROM v_clips WHERE status <> 'kept'")[1]
    for (clip_id,) in rejected:
        assert read.clip(clip_id).bodies is None
    with pytest.raises(CatalogError, match="exactly one statement"):
        list(read.clips("DELETE FROM clips"))


def test_a_clip_is_shown_beside_what_was_made_of_it(gone_through, tmp_path: Path) -> None:
    (clip,) = read.clips("SELECT clip_id FROM v_clips WHERE status = 'kept'")
    assert clip.people is not None
    target = tmp_path / "shown" / "walk.mp4"
    told = CliRunner().invoke(app, ["show", clip.clip_id, "--to", str(target)])
    assert (told.exit_code, told.stdout.strip()) == (0, str(target)), told.output
    with av.open(str(target)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert file.streams.video[0].average_rate == clip.people.fps
    assert len(pictures) == clip.people.frames
    assert pictures[0].shape == (2 * (panels.HEIGHT + panels.TITLE), 2 * panels.WIDTH, 3)
    # the clip and the body move; where there is no camera's path, the panel says so and stands still
    change = np.abs(pictures[-1].astype(int) - pictures[0]).max(axis=2)
    half = panels.HEIGHT + panels.TITLE
    assert change[panels.TITLE : half, : panels.WIDTH].max() > 60
    assert change[panels.TITLE : half, panels.WIDTH + 2 :].max() > 60
    assert change[half + panels.TITLE :, : panels.WIDTH - 2].max() < 60
    assert list(target.parent.iterdir()) == [target]


def test_a_clip_that_is_not_there_cannot_be_shown(gone_through, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["show", "c1", "--to", str(tmp_path / "c1.mp4")])
    assert told.exit_code == 1
    assert told.stderr.strip() == "humannet: the catalog has no clip c1: the view v_clips lists what there is"
    assert not list(tmp_path.iterdir())
