"""The statistics page: charts, the bias sheet and what they mean; one file that needs nothing else, or on a server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from humannet_ops.domain.balance import Balance, balances
from humannet_ops.domain.statistics import MEASURES, Statistics
from humannet_ops.web.charts import amounts, content, leaning, quality
from humannet_ops.web.charts.chart import HUES, Chart, percent, short
from humannet_ops.web.page import TEMPLATES, draw

FACETS = {
    "motion": "Motion",
    "scene": "Scene",
    "interaction": "Interactions",
    "task_structure": "Task structure",
    "source_type": "Source type",
}
# Aspects that the chart of ratios draws; the second levels are in its table and in the list of what is missing.
DRAWN = (
    "viewpoint",
    "motion_l1",
    "scene_l1",
    "task_structure",
    "source",
    "source_type",
    "language",
    "country",
    "resolution",
    "license",
)
SCRIPT = TEMPLATES / "statistics.js"


def render(
    statistics: Statistics,
    code_revision: str,
    reference: Mapping[str, Mapping[str, float]] | None = None,
    *,
    script_address: str | None = None,
) -> str:
    """Draw the page as one HTML document.

    Args:
        statistics: What it shows.
        code_revision: The code that counted it.
        reference: What the bias sheet holds the corpus against; uniform where it says nothing.
        script_address: Where plotly.js is, on a server; None puts it into the document, which then needs nothing else.

    Raises:
        LookupError: the reference names what there is not.
    """
    sheet = balances(statistics, reference)
    drawn = _charts(statistics, sheet) if statistics.totals.clips else {}
    everything = [chart for chart in drawn.values() if isinstance(chart, Chart)] + drawn.get("histograms", [])
    figures = ",".join(f'"{chart.key}":{chart.figure}' for chart in everything if chart.figure)
    return draw(
        "statistics.html.j2",
        totals=statistics.totals,
        condition=statistics.condition,
        code_revision=code_revision,
        charts=drawn,
        measures=[
            (words, unit, summary)
            for name, words, unit in MEASURES
            if (summary := statistics.summary(name)) is not None
        ],
        absent=[
            (balance.aspect.title, balance.empty, balance.classes)
            for balance in sheet
            if balance.aspect.facet and balance.classes
        ]
        + _absent_leaves(statistics),
        caveats=_caveats(statistics, sheet),
        reference="what was stated, and equal shares where nothing was" if reference else "equal shares of every class",
        figures=f"{{{figures}}}",
        script=_script(),
        plotly_js=plotly_js() if script_address is None else "",
        plotly=plotly_version(),
        script_address=script_address,
        live=script_address is not None,
        hues=HUES,
        policy=policy(inside=script_address is None),
    )


def write(
    path: Path,
    statistics: Statistics,
    code_revision: str,
    reference: Mapping[str, Mapping[str, float]] | None = None,
) -> Path:
    """Write the page as a file; it appears whole, in the place of an older one.

    Raises:
        LookupError: the reference names what there is not.
        OSError: it cannot be written.
    """
    html = render(statistics, code_revision, reference)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(html, encoding="utf-8", errors="replace")
    new.replace(path)
    return path


def policy(*, inside: bool) -> str:
    """Return the page's content security policy: no address but its own, no script but those that it came with."""
    allowed = [_hash(_script()), _hash(plotly_js()) if inside else "'self'"]
    return (
        f"default-src 'none'; script-src {' '.join(allowed)}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def plotly_js() -> str:
    """Return plotly.js as the Python package carries it, some 5 MB."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("\r\n", "\n")


def plotly_version() -> str:
    """Return the version of plotly.js that the page draws with."""
    from plotly.offline import get_plotlyjs_version

    return str(get_plotlyjs_version())


@cache
def _script() -> str:
    return SCRIPT.read_text(encoding="utf-8")


@cache
def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _charts(statistics: Statistics, sheet: list[Balance]) -> dict[str, Any]:
    drawn = [quality.histogram(statistics, name, words, unit) for name, words, unit in MEASURES]
    return {
        "viewpoint": amounts.viewpoints(statistics),
        "growth": amounts.growth(statistics),
        "source": amounts.shares(statistics, "source", "Sources", "source"),
        "license": amounts.shares(statistics, "license", "Licences", "licence"),
        "motion": content.sunburst(statistics, "motion", "Motion"),
        "scene": content.sunburst(statistics, "scene", "Scene"),
        "top_motion": content.top_classes(statistics),
        "objects": content.objects(statistics),
        "interactions": content.interactions(statistics),
        "histograms": [chart for chart in drawn if chart is not None],
        "by_class": quality.by_class(statistics),
        "robot": quality.robot_yield(statistics),
        "surety": quality.surety(statistics, FACETS),
        "origins": quality.origins(statistics, FACETS),
        "coverage": quality.coverage(statistics),
        "representation": leaning.representation(sheet, DRAWN),
        "mixture": leaning.mixture(statistics, sheet),
    }


def _absent_leaves(statistics: Statistics) -> list[tuple[str, tuple[str, ...], int]]:
    leaves = sorted(statistics.at("motion", 3), key=lambda node: node.path)
    empty = tuple(node.name for node in leaves if not node.clips)
    return [("Motion, third level", empty, len(leaves))] if leaves else []


def _caveats(statistics: Statistics, sheet: list[Balance]) -> list[str]:
    """Say what the numbers cannot tell, with the numbers that make it matter here."""
    clips = statistics.totals.clips
    by_key = {balance.aspect.key: balance for balance in sheet}
    motion = next((facet for facet in statistics.facets if facet.facet == "motion"), None)
    said = [
        "Equal shares are a yardstick, not an aim: walking is more common than falconry. State your own shares with "
        "--reference."
    ]
    if motion is not None and motion.judged:
        said.append(
            f"Labels are made by models. Motion has none on {percent(motion.abstained, motion.judged)} of the clips "
            "that were judged, and what is hard to name is missing more often than what is easy: a rare class may be "
            "one that the models do not know. How right they are: tests/benchmarks/annotation.py."
        )
    videos = statistics.dimension("video")
    if videos.effective:
        said.append(
            "Clips of one video are alike, so the intervals take the effective number of videos "
            f"({short(videos.effective)} of {videos.classes:,}) as their sample, not the clips. They say how sure a "
            "share would be if the videos were drawn by chance, which crawls do not do."
        )
    source, channel = by_key["source"], statistics.dimension("channel")
    if source.top_share:
        also = ""
        if channel.most_clips and channel.classes > 1:
            share = percent(channel.most_clips, channel.known)
            also = f", the largest channel {share} of those whose channel is known"
        said.append(
            f"The largest source brings {percent(source.top_share, 1)} of the clips{also}: its habits are the corpus's."
        )
    said += [
        "Language and country are what the source says about a video, not about the people in it; they are known of "
        f"{percent(by_key['language'].known, clips)} and {percent(by_key['country'].known, clips)} of the clips.",
        "What the filters refused is not in these numbers, and they do not refuse evenly: they want people seen large, "
        "sharp, lit and moving. The funnel (humannet status) has what left, and why.",
        "Objects are the 80 classes that the detector knows, each counted once for every clip that it is followed in.",
        "Who is in the pictures is not inferred: no sex, age, skin, origin or health. So this sheet cannot show "
        "whether people are represented fairly; that takes their own word, or the data set's.",
    ]
    return said
