"""Loading a clip's arrays in one call, from a catalog that real stages filled."""

from __future__ import annotations

import numpy as np
import pytest

from humannet_ops import read
from humannet_ops.catalog import reading
from humannet_ops.catalog.connection import CatalogError

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
