"""How right the offline labels are, on texts that a person labelled and on the corpus, after abstention and without.

python tests/benchmarks/annotation_labels.py          the table
python tests/benchmarks/annotation_labels.py --tune   fits calibration.yaml anew, on the tuning half alone
python tests/benchmarks/annotation_labels.py --rules  what each rule on signals said of the corpus
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from measure import Measure, share

from humannet_ops.domain.records import ClipSubject, VideoSubject
from humannet_ops.labelling import opening, rules, signals, texts
from humannet_ops.labelling.matching import Match, Verdict, judge, probability
from humannet_ops.labelling.signals import Signals
from humannet_ops.settings import REPOSITORY, settings
from humannet_ops.stages import registry
from humannet_ops.stages.label_activity import compared
from humannet_ops.stages.label_interactions import implied

LIST = Path(__file__).with_name("labelled_clips.yaml")
CORPUS = REPOSITORY.parent / "shared" / "corpus"
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)
RIGHT_OF_LABELLED = 0.9
"""A facet is labelled from the lowest of these confidences on at which so many labelled first levels are right, on the
tuning half."""
RIDGE = 0.01
SECONDS = 4.0
"""How much of a corpus clip the signals are measured on."""


@dataclass(frozen=True)
class Case:
    """A text, the classes that are right, and the signals."""

    title: str
    pieces: list[str]
    subject: ClipSubject
    right: Mapping[str, tuple[str, ...]]
    leaves: tuple[str, ...]
    interactions: frozenset[str]
    signals: Signals
    tuning: bool


def content() -> dict[str, Any]:
    """Read the labelled list."""
    found: dict[str, Any] = yaml.safe_load(LIST.read_text())
    return found


def subject(title: str, entry: Mapping[str, Any], scores: Mapping[str, Any] | None = None) -> ClipSubject:
    """Return the clip that a source says this of."""
    published = {name: entry[name] for name in ("description", "tags") if name in entry}
    return ClipSubject(
        "c", VideoSubject("v", "s", "u", title=title, published=published), 0, 0, 1, 0.0, 10.0, scores=scores or {}
    )


def cases() -> list[Case]:
    """Return the invented texts, in turns for tuning and held out."""
    listed = content()
    found = []
    for place, item in enumerate(listed["items"]):
        motion = tuple(item[name] for name in ("motion", "also") if name in item)
        leaves = tuple(f"{item['motion']}/{leaf}" for leaf in item.get("leaf", "").split("|") if leaf)
        clip = subject(item["title"], item)
        found.append(
            Case(
                item["title"],
                texts.pieces(texts.said(clip)),
                clip,
                {"motion": motion, "scene": (item["scene"],) if "scene" in item else ()},
                leaves,
                frozenset(item["interactions"]),
                Signals(**{"person_share": 1.0, "body_share": 0.8, **listed["profiles"][item["signals"]]}),
                place % 2 == 0,
            )
        )
    return found


def is_right(path: str, level: int, right: Sequence[str]) -> bool:
    """Say whether a path names one of the right classes, as far as it goes; what is right may end before."""
    mine = path.split("/")[:level]
    return any(mine == each.split("/")[: len(mine)] for each in right if len(each.split("/")) >= len(mine))


def right_of(case: Case, facet: str, level: int) -> Sequence[str]:
    """Return the classes that are right at a level."""
    if facet == "motion" and level == 3:
        return case.leaves
    return [each for each in case.right[facet] if len(each.split("/")) >= level]


def matched(facet: str, of: Iterable[Case]) -> list[tuple[Case, Match | None, Verdict]]:
    """Compare cases with a facet."""
    matcher = opening.open_matcher(registry.models(), settings(), facet)
    found = []
    for case in of:
        match = matcher.match(case.pieces)
        found.append((case, match, judge(match, facet)))
    return found


def fit(features: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Fit a logistic function by Newton's method, with a ridge on the slopes."""
    x = np.column_stack([np.ones(len(features)), features])
    weights, ridge = np.zeros(x.shape[1]), RIDGE * np.r_[0.0, np.ones(x.shape[1] - 1)]
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - right) + ridge * weights
        weights -= np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + np.diag(ridge), gradient)
    return weights


def tune() -> dict[str, Any]:
    """Fit every level's confidence on the tuning half; texts that tell no class count as wrong."""
    facets: dict[str, Any] = {}
    for facet, levels in (("motion", 3), ("scene", 2)):
        found = [(case, match) for case, match, _ in matched(facet, (c for c in cases() if c.tuning)) if match]
        fitted: dict[int, list[float]] = {}
        for level in range(1, levels + 1):
            features = np.array([match.features[level] for _, match in found])
            right = right_at(found, facet, level)
            fitted[level] = [round(float(value), 2) for value in fit(features, right)]
        sure = np.array([probability(match.features[1], fitted[1]) for _, match in found])
        right = right_at(found, facet, 1)
        threshold = next(
            (limit for limit in THRESHOLDS if right[sure >= limit].mean() >= RIGHT_OF_LABELLED), THRESHOLDS[-1]
        )
        facets[facet] = {level: {"logistic": fitted[level], "threshold": threshold} for level in fitted}
    return {"facets": facets}


def right_at(found: Sequence[tuple[Case, Match]], facet: str, level: int) -> np.ndarray:
    """Say of each match whether its path is right as far as a level: 1 or 0."""
    return np.array(
        [is_right(match.path(level) or "", level, right_of(case, facet, level)) for case, match in found], float
    )


def calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 5) -> float:
    """Return the expected calibration error (Guo et al. 2017, arXiv 1706.04599) over bins of equal width."""
    sure, hit = np.array(confidences), np.array(right, float)
    at = np.minimum((sure * bins).astype(int), bins - 1)
    return float(
        sum(abs(sure[at == b].mean() - hit[at == b].mean()) * np.mean(at == b) for b in range(bins) if (at == b).any())
    )


def of_facet(facet: str, levels: int, held: Sequence[Case]) -> list[Measure]:
    """Measure one facet on the held-out half."""
    truth = "labelled_clips.yaml, held-out half"
    rows = matched(facet, held)
    found = []
    for level in range(1, levels + 1):
        told = [(case, match) for case, match, _ in rows if right_of(case, facet, level)]
        hits = sum(
            is_right((match.path(level) or "") if match else "", level, right_of(case, facet, level))
            for case, match in told
        )
        found.append(
            share(f"label {facet} L{level}: right without abstaining, where the text tells", hits, len(told), truth)
        )
    for level in range(1, levels + 1):
        said = [(case, verdict) for case, _, verdict in rows if verdict.path and verdict.path.count("/") + 1 >= level]
        hits = sum(is_right(verdict.path or "", level, right_of(case, facet, level)) for case, verdict in said)
        found.append(share(f"label {facet} L{level}: labelled (coverage)", len(said), len(rows), truth))
        found.append(share(f"label {facet} L{level}: right where labelled (precision)", hits, len(said), truth))
    judged = [(v.levels[1], is_right(m.path(1) or "", 1, right_of(c, facet, 1))) for c, m, v in rows if m]
    error = calibration_error(*zip(*judged, strict=True))
    found.append(
        Measure(f"label {facet} L1: expected calibration error", error, "share", len(judged), None, None, truth)
    )
    return found


def of_kinetics() -> list[Measure]:
    """Measure motion on the names of Kinetics' classes."""
    truth = "names of Kinetics-400 classes, mapped by hand"
    named = {name: tuple(paths.split("|")) for name, paths in content()["kinetics"].items() if paths}
    listed = [
        Case(
            name,
            texts.pieces(texts.said(subject(name, {}))),
            subject(name, {}),
            {"motion": right},
            (),
            frozenset(),
            Signals(),
            False,
        )
        for name, right in named.items()
    ]
    rows = matched("motion", listed)
    found = []
    for level in (1, 2):
        hits = sum(
            is_right((match.path(level) or "") if match else "", level, case.right["motion"]) for case, match, _ in rows
        )
        found.append(share(f"label motion L{level}, others' words: right without abstaining", hits, len(rows), truth))
        said = [(case, v) for case, _, v in rows if v.path and v.path.count("/") + 1 >= level]
        hits = sum(is_right(v.path or "", level, case.right["motion"]) for case, v in said)
        found.append(share(f"label motion L{level}, others' words: labelled (coverage)", len(said), len(rows), truth))
        found.append(
            share(f"label motion L{level}, others' words: right where labelled (precision)", hits, len(said), truth)
        )
    return found


def of_interactions(held: Sequence[Case]) -> list[Measure]:
    """Measure what a text's motion implies; rules on signals need real ones, see ``of_corpus``."""
    truth = "labelled_clips.yaml, held-out half, texts alone"
    matcher = opening.open_matcher(registry.models(), settings(), "motion")
    hits = said = there = 0
    for case in held:
        labelled = {label.path for label in implied(matcher, case.subject, texts.said(case.subject)).labels}
        hits, said, there = (
            hits + len(labelled & case.interactions),
            said + len(labelled),
            there + len(case.interactions),
        )
    return [
        share("label interaction, implied by the motion: precision", hits, said, truth),
        share("label interaction, implied by the motion: recall", hits, there, truth),
    ]


@dataclass(frozen=True)
class Real:
    """A corpus clip with its measured signals and what a person sees in it."""

    name: str
    entry: Mapping[str, Any]
    clip: ClipSubject
    signals: Signals
    things: Mapping[str, int]


def real_clips(names: Sequence[str] | None = None) -> list[Real]:
    """Run the stages that measure on the corpus' clips; empty where there is no corpus."""
    if not (CORPUS / "MANIFEST.tsv").exists():
        return []
    sys.path.append(str(Path(__file__).parents[1]))
    from annotator import Annotator

    from humannet_ops.media import people
    from humannet_ops.stages.protocol import Context
    from humannet_ops.storage import open_store

    found = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        config = settings().model_copy(update={"home": Path(folder)})
        annotator = Annotator(Context(config, open_store(config), registry.models(), scratch))
        for name, entry in content()["corpus"].items():
            if names is not None and name not in names:
                continue
            begin = float(entry.get("at", 0))
            clip = annotator.cut(CORPUS / name, begin, begin + SECONDS)
            clip, said = annotator.run(clip, "track_people", "pose_body", "pose_hands", "describe_motion")
            scores = {key: value for result in said.values() for key, value in result.scores.items()}
            with annotator.context.store.local(clip.inputs[people.KIND].uri) as path:
                around = people.read(path)
            view = name.partition("/")[0]
            measured = signals.of_clip(scores, view, SECONDS, around)
            found.append(Real(name, entry, subject(Path(name).stem, {}, scores), measured, around.objects))
    return found


def of_corpus(real: Sequence[Real]) -> list[Measure]:
    """Measure labels on real clips, whose only text is a file name."""
    truth = "corpus clips, labelled by eye"
    matcher = opening.open_matcher(registry.models(), settings(), "motion")
    found, told = [], [each for each in real if "motion" in each.entry]
    decided = [(each, compared(matcher, each.clip, texts.said(each.clip))) for each in told]
    for level in (1, 2):
        hits = said = 0
        for each, decision in decided:
            right = [each.entry[name] for name in ("motion", "also") if name in each.entry]
            for label in decision.labels:
                if label.path.count("/") + 1 >= level:
                    said, hits = said + 1, hits + is_right(label.path, level, right)
        found.append(
            share(f"label motion L{level}, real clips by file name: labelled (coverage)", said, len(told), truth)
        )
        found.append(
            share(
                f"label motion L{level}, real clips by file name: right where labelled (precision)", hits, said, truth
            )
        )
    hits = said = there = 0
    for each in real:
        by_rule, right = {one.path for one in rules.interactions(each.signals)}, set(each.entry["interactions"])
        hits, said, there = hits + len(by_rule & right), said + len(by_rule), there + len(right)
    found.append(share("label interaction, rules on real signals: precision", hits, said, truth))
    found.append(share("label interaction, rules on real signals: recall", hits, there, truth))
    return found


def measure() -> list[Measure]:
    """Measure the offline labels; about two minutes with the corpus, seconds without."""
    held = [case for case in cases() if not case.tuning]
    found = [*of_facet("motion", 3, held), *of_facet("scene", 2, held), *of_interactions(held), *of_kinetics()]
    if real := real_clips():
        found += of_corpus(real)
    return found


def print_rules() -> None:
    """Print what each rule said of each corpus clip, and the confidence that follows: (right + 1) / (said + 2)."""
    real = real_clips()
    for each in real:
        print(
            each.name,
            signals.plain(each.signals),
            dict(each.things),
            [one.rule for one in rules.interactions(each.signals)],
        )
    for rule in rules.SIGNAL_RULES:
        said = [rule.path in each.entry["interactions"] for each in real if rule.holds(each.signals)]
        print(f"{rule.name}: {sum(said)} of {len(said)}: {(sum(said) + 1) / (len(said) + 2):.2f}")


def main() -> None:
    """Print what is asked for."""
    if "--tune" in sys.argv:
        print(yaml.safe_dump(tune(), default_flow_style=None))
    elif "--rules" in sys.argv:
        print_rules()
    else:
        for row in measure():
            interval = "" if row.low is None else f" [{row.low:.2f}, {row.high:.2f}]"
            print(f"{row.name:75} {row.value:.3f}{interval} n={row.count}  ({row.truth})")


if __name__ == "__main__":
    main()
