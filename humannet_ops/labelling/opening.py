"""Opens matchers, each once a process: the tree's phrases are encoded when the first clip comes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from humannet_ops.detectors.sentence import Encoder, open_encoder
from humannet_ops.domain.taxonomy import taxonomy
from humannet_ops.labelling import asking, inherited, matching, rules, signals, texts
from humannet_ops.labelling.matching import Matcher

if TYPE_CHECKING:
    from humannet_ops.detectors.lock import ModelLock
    from humannet_ops.settings import Settings

_opened: dict[tuple[str, str], tuple[Encoder, Matcher]] = {}


def open_matcher(lock: ModelLock | None, config: Settings, facet: str) -> Matcher:
    """Return the matcher of a facet with the installed sentence model.

    Raises:
        ModelError: it is not installed, or changed.
    """
    release = lock.release("sentence") if lock is not None else ""
    if (release, facet) not in _opened:
        others = [encoder for (of, _), (encoder, _) in _opened.items() if of == release]
        encoder = others[0] if others else open_encoder(lock, config)
        _opened[release, facet] = (encoder, Matcher(encoder, taxonomy(), facet))
    return _opened[release, facet][1]


def versions() -> Mapping[str, Any]:
    """Return what decides a label beside the models: the tree and the code's and coefficients' versions."""
    return {
        "taxonomy": taxonomy().version,
        "calibration": _digest(),
        "versions": [each.VERSION for each in (texts, matching, inherited, rules, signals, asking)],
    }


@lru_cache
def _digest() -> str:
    return hashlib.sha256((Path(matching.__file__).with_name("calibration.yaml")).read_bytes()).hexdigest()[:8]
