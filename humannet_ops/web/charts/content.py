"""Of what: the trees of motion and scene, interactions, objects."""

from __future__ import annotations

from humannet_ops.domain.ledger import spoken_hours
from humannet_ops.domain.statistics import Statistics
from humannet_ops.web.charts.chart import MOST_BARS, ROOT, Chart, bars, hues_of, percent, to_json
from humannet_ops.web.page import counted


def sunburst(statistics: Statistics, facet: str, title: str) -> Chart:
    """Draw a facet's tree: the ring's parts are clips; a click goes into a class."""
    import plotly.graph_objects as go

    nodes = [node for node in statistics.classes if node.facet == facet and node.clips]
    tops = sorted((node for node in nodes if node.level == 1), key=lambda node: -node.clips)
    total = sum(node.clips for node in tops)
    columns = ("Class", "Level", "Clips", "Hours", "Videos", "Share of labelled clips")
    rows = tuple(
        (node.path, node.level, node.clips, node.hours, node.videos, percent(node.clips, total))
        for node in sorted(nodes, key=lambda node: node.path)
    )
    key = f"{facet}-tree"
    if not nodes:
        return Chart(key, title, "No clip has such a label yet.", None, 0, columns, ())
    hues = hues_of(statistics, facet)
    suffix = {1: "", 2: "-2", 3: "-3"}
    drawn = go.Figure(
        go.Sunburst(
            ids=[ROOT, *(node.path for node in nodes)],
            labels=[f"{title}<br>{counted(total, 'clip')}", *(node.name for node in nodes)],
            parents=["", *(node.path.rpartition("/")[0] or ROOT for node in nodes)],
            values=[total, *(node.clips for node in nodes)],
            branchvalues="total",
            maxdepth=3,
            marker={
                "colors": [
                    "var(--well)",
                    *(f"var(--c{hues[node.path.split('/')[0]]}{suffix[node.level]})" for node in nodes),
                ],
                "line": {"color": "var(--paper)", "width": 1.5},
            },
            leaf={"opacity": 1},
            customdata=[
                [spoken_hours(sum(node.hours for node in tops)), ""],
                *([spoken_hours(node.hours), node.path] for node in nodes),
            ],
            hovertemplate="<b>%{label}</b><br>%{value:,} clips, %{customdata[0]}<br>"
            "%{percentRoot:.1%} of all labelled<extra></extra>",
            insidetextorientation="auto",
            sort=True,
        )
    )
    drawn.update_layout(margin={"l": 0, "r": 0, "t": 4, "b": 4}, uniformtext={"minsize": 9, "mode": "hide"})
    lead = " and ".join(f"{node.name} ({percent(node.clips, total)})" for node in tops[:2])
    known = len({node.path for node in statistics.classes if node.facet == facet and node.level == 1})
    said = f"{lead} {'lead' if len(tops) > 1 else 'is all there is'}; {len(tops)} of {known} classes have clips."
    return Chart(key, title, said, to_json(drawn), 460, columns, rows)


def top_classes(statistics: Statistics) -> Chart:
    """Draw the largest classes of motion's second level."""
    nodes = statistics.at("motion", 2)
    hues, parents = hues_of(statistics, "motion"), {node.path: node.name for node in statistics.at("motion", 1)}
    shown = [node for node in nodes if node.clips][:MOST_BARS]
    with_clips = sum(1 for node in nodes if node.clips)
    said = (
        f"{shown[0].name} has most clips; {with_clips} of {len(nodes)} classes have any."
        if shown
        else "No clip has such a label yet."
    )
    rows = tuple(
        (f"{parents.get(node.path.split('/')[0], '')}: {node.name}", node.clips, node.hours, node.videos)
        for node in nodes
    )
    return bars(
        "top-motion",
        "What is done most",
        said,
        [(node.name, node.clips, node.hours) for node in shown],
        [f"var(--c{hues[node.path.split('/')[0]]})" for node in shown],
        ("Class", "Clips", "Hours", "Videos"),
        rows,
    )


def interactions(statistics: Statistics) -> Chart:
    """Draw how many clips show each interaction; a clip may show several."""
    nodes = statistics.at("interaction", 1)
    shown = [node for node in nodes if node.clips]
    clips = statistics.totals.clips
    said = "No clip has such a label yet."
    if shown:
        said = f"{shown[0].name} in {percent(shown[0].clips, clips)} of all clips. A clip may show several."
    rows = tuple((node.name, node.clips, node.hours, node.videos, percent(node.clips, clips)) for node in nodes)
    return bars(
        "interactions",
        "Interactions",
        said,
        [(node.name, node.clips, node.hours) for node in shown],
        ["var(--accent)"] * len(shown),
        ("Interaction", "Clips", "Hours", "Videos", "Share of clips"),
        rows,
    )


def objects(statistics: Statistics) -> Chart:
    """Draw the objects that are followed most often."""
    found = sorted(statistics.objects, key=lambda each: (-each.tracks, each.label))
    shown = found[:12]
    total = statistics.totals.objects
    said = "No clip was looked through for objects yet."
    if found:
        lead = f"{percent(shown[0].tracks, total)} are {shown[0].label}"
        said = f"{counted(total, 'object')} of {len(found)} classes; {lead}."
    rows = tuple((each.label, each.tracks, each.clips) for each in found)
    return bars(
        "objects",
        "Annotated objects",
        said,
        [(each.label, each.tracks, None) for each in shown],
        ["var(--exo)" if each.label == "person" else "var(--accent)" for each in shown],
        ("COCO class", "Objects", "Clips"),
        rows,
        noun="objects",
    )
