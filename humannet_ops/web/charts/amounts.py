"""How much there is: by viewpoint, source, licence, crawl day."""

from __future__ import annotations

from humannet_ops.domain.ledger import spoken_hours
from humannet_ops.domain.statistics import Statistics
from humannet_ops.web.charts.chart import (
    SHARE_COLUMNS,
    UNKNOWN,
    VIEWPOINTS,
    Chart,
    cut,
    outside,
    percent,
    share_rows,
    shares_layout,
    to_json,
)
from humannet_ops.web.page import counted


def viewpoints(statistics: Statistics) -> Chart:
    """Draw first against third person, in hours and in clips."""
    import plotly.graph_objects as go

    found = {share.value: share for share in statistics.shares if share.dimension == "viewpoint"}
    hours, clips = statistics.totals.hours, statistics.totals.clips
    drawn = go.Figure()
    for key, label, colour in (*VIEWPOINTS, (None, UNKNOWN, "var(--away)")):
        if key not in found:
            continue
        x = [100 * found[key].clips / clips, 100 * found[key].hours / hours if hours else 0]
        drawn.add_bar(
            x=x,
            y=["clips", "hours"],
            orientation="h",
            name=label,
            marker={"color": colour},
            width=0.72,
            customdata=[f"{found[key].clips:,} clips", spoken_hours(found[key].hours)],
            text=[f"{value:.0f} %" if value >= 6 else "" for value in x],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate=f"<b>{label}</b><br>%{{customdata}}, %{{x:.1f}} %<extra></extra>",
        )
    shares_layout(drawn, ["clips", "hours"])
    drawn.update_layout(barmode="stack", showlegend=False, margin={"t": 4, "b": 4})
    drawn.update_xaxes(visible=False)
    parts = [f"{percent(found[key].hours, hours)} {label}" for key, label, _ in VIEWPOINTS if key in found]
    said = f"By hours: {', '.join(parts)}." if parts else "No clip has a viewpoint."
    rows = share_rows(found.values(), clips, hours)
    return Chart("viewpoint", "Viewpoint", said, to_json(drawn) if found else None, 92, SHARE_COLUMNS, rows)


def shares(statistics: Statistics, dimension: str, title: str, noun: str) -> Chart:
    """Draw a dimension's values: hours as bars, the share of clips as a tick."""
    import plotly.graph_objects as go

    found = statistics.of(dimension)
    missing = [share for share in statistics.shares if share.dimension == dimension and share.value is None]
    hours, clips = statistics.totals.hours, statistics.totals.clips
    rows = share_rows([*found, *missing], clips, hours)
    if not found:
        return Chart(dimension, title, "Of no clip this is known.", None, 0, SHARE_COLUMNS, rows)
    drawn = go.Figure()
    shown = sorted(found, key=lambda share: share.hours)[-12:]
    names = [cut(str(share.value)) for share in shown]
    x = [100 * share.hours / hours if hours else 0 for share in shown]
    drawn.add_bar(
        x=x,
        y=names,
        orientation="h",
        marker={"color": "var(--accent)"},
        width=0.62,
        customdata=[[outside(share.value), spoken_hours(share.hours), share.clips, share.videos] for share in shown],
        text=[f"{value:.0f} %" if value >= 1 else "< 1 %" for value in x],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}, %{customdata[2]:,} clips of %{customdata[3]:,} "
        "videos<extra></extra>",
    )
    shares_layout(drawn, names)
    drawn.update_layout(margin={"t": 4, "b": 4, "r": 44}, showlegend=False)
    drawn.update_xaxes(visible=False)
    lead = max(found, key=lambda share: share.hours)
    said = f"{lead.value} has {percent(lead.hours, hours)} of the hours; {counted(len(found), noun)} in all."
    return Chart(dimension, title, said, to_json(drawn), 34 + 30 * len(shown), SHARE_COLUMNS, rows)


def growth(statistics: Statistics) -> Chart | None:
    """Draw the hours that were kept of each crawl day, added up; None before there are two days."""
    import plotly.graph_objects as go

    days = sorted(statistics.of("crawl_day"), key=lambda share: str(share.value))
    if len(days) < 2:
        return None
    added = [sum(day.hours for day in days[: number + 1]) for number in range(len(days))]
    drawn = go.Figure(
        go.Scatter(
            x=[day.value for day in days],
            y=added,
            mode="lines+markers",
            fill="tozeroy",
            fillcolor="var(--flow)",
            line={"color": "var(--accent)", "width": 2, "shape": "hv"},
            marker={"size": 5},
            cliponaxis=False,
            customdata=[
                [spoken_hours(total), spoken_hours(day.hours), day.clips]
                for total, day in zip(added, days, strict=True)
            ],
            hovertemplate="<b>%{x}</b><br>%{customdata[0]} so far<br>%{customdata[1]}, %{customdata[2]:,} clips of "
            "this day<extra></extra>",
        )
    )
    drawn.update_layout(margin={"l": 54, "r": 12, "t": 10, "b": 46}, showlegend=False)
    drawn.update_xaxes(type="date", showgrid=False)
    drawn.update_yaxes(title={"text": "hours"}, rangemode="tozero", nticks=5)
    said = f"{spoken_hours(added[-1])} from {len(days)} crawl days, {days[0].value} to {days[-1].value}."
    rows = tuple((day.value, day.clips, day.hours, day.videos, total) for day, total in zip(days, added, strict=True))
    return Chart(
        "growth",
        "Growth by crawl day",
        said,
        to_json(drawn),
        220,
        ("Crawl day", "Clips", "Hours", "Videos", "Hours so far"),
        rows,
    )
