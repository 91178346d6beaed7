"""Where the corpus leans: shares against what is expected, and how mixed it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from humannet_ops.domain.balance import Balance
from humannet_ops.domain.statistics import Statistics
from humannet_ops.web.charts.chart import Chart, cut, outside, percent, shares_layout, short, to_json

_VERDICTS = (
    ("var(--warm)", "more than expected"),
    ("var(--soft)", "as expected"),
    ("var(--exo)", "less than expected"),
)


def representation(balances: Sequence[Balance], keys: Sequence[str]) -> Chart:
    """Draw each class's share against what is expected, on a scale of doublings, with its interval."""
    import plotly.graph_objects as go

    chosen = [b for key in keys for b in balances if b.aspect.key == key]
    shown = [b for b in chosen if any(weight.ratio for weight in b.weights)]
    columns = ("Aspect", "Class", "Clips", "Hours", "Videos", "Share", "95 % interval", "Expected", "Ratio", "Verdict")
    rows = tuple(
        (
            b.aspect.title,
            w.name,
            w.clips,
            w.hours,
            w.videos,
            percent(w.share, 1),
            f"{percent(w.low, 1)} to {percent(w.high, 1)}",
            None if w.expected is None else percent(w.expected, 1),
            None if w.ratio is None else round(w.ratio, 2),
            {"even": "as expected"}.get(w.verdict, w.verdict),
        )
        for b in balances
        for w in b.weights
    )
    title = "Over- and under-represented"
    if not shown:
        return Chart("representation", title, "There is nothing to compare yet.", None, 0, columns, rows)
    drawn = go.Figure()
    y, ticks, words, heads = 0.0, [], [], []
    points: dict[str, list[tuple[float, float, float, float, str]]] = {"over": [], "even": [], "under": []}
    for b in shown:
        heads.append((y, b.aspect.title))
        y += 1
        for w in b.weights[:12]:
            if not w.expected:
                continue
            points[w.verdict].append(
                (
                    w.share / w.expected,
                    max(w.low, 1e-6) / w.expected,
                    w.high / w.expected,
                    y,
                    f"<b>{outside(w.name)}</b><br>{percent(w.share, 1)} [{percent(w.low, 1)}, {percent(w.high, 1)}], "
                    f"expected {percent(w.expected, 1)}<br>{w.clips:,} clips of {w.videos:,} videos",
                )
            )
            ticks.append(y)
            words.append(cut(w.name))
            y += 1
        y += 0.6
    least = min((low for entries in points.values() for _, low, *_ in entries), default=0.1)
    for verdict, (colour, label) in zip(("over", "even", "under"), _VERDICTS, strict=True):
        entries = points[verdict]
        drawn.add_scatter(
            x=[entry[0] for entry in entries],
            y=[entry[3] for entry in entries],
            mode="markers",
            name=label,
            marker={"color": colour, "size": 9},
            customdata=[entry[4] for entry in entries],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [entry[2] - entry[0] for entry in entries],
                "arrayminus": [entry[0] - entry[1] for entry in entries],
                "thickness": 1.5,
                "width": 0,
                "color": colour,
            },
            hovertemplate="%{customdata}<br>ratio %{x:.2f}<extra></extra>",
        )
    drawn.add_vline(x=1, line={"color": "var(--ink)", "width": 1})
    scale = [2.0**power for power in range(-6, 7)]
    lowest = max(least, 1 / 48)
    highest = max(high for entries in points.values() for _, _, high, *_ in entries)
    drawn.update_xaxes(
        type="log",
        tickvals=scale,
        side="top",
        showgrid=True,
        # every second line has a number: on a telephone there is no room for more
        ticktext=[_times(value) if number % 2 == 0 else "" for number, value in enumerate(scale)],
        range=[math.log10(lowest * 0.85), math.log10(highest * 1.15)],
    )
    drawn.update_yaxes(
        tickvals=ticks,
        ticktext=words,
        range=[y, -0.8],
        showgrid=False,
        ticksuffix="  ",
        tickfont={"color": "var(--ink)"},
    )
    for at, text in heads:
        drawn.add_annotation(
            x=0,
            xref="paper",
            xanchor="right",
            y=at,
            yanchor="middle",
            text=f"<b>{text}</b>  ",
            showarrow=False,
            font={"color": "var(--soft)", "size": 12},
        )
    drawn.update_layout(showlegend=False, margin={"l": 190, "r": 12, "t": 28, "b": 4}, hovermode="closest")
    far = max(
        ((w, b) for b in shown for w in b.weights if w.ratio and w.verdict == "over"),
        key=lambda pair: pair[0].ratio or 0,
        default=None,
    )
    said = "1x is the share that is expected; lines are 95 % intervals."
    if far is not None:
        against = "equal shares" if far[1].reference == "uniform" else "what is stated"
        said = f"{far[0].name} stands out most: {far[0].ratio:.1f} times as much as {against} would give it. {said}"
    return Chart("representation", title, said, to_json(drawn), round(36 + 21 * y), columns, rows, _VERDICTS)


def _times(ratio: float) -> str:
    return f"1/{round(1 / ratio)}" if ratio < 1 else f"{ratio:g}x"


def mixture(statistics: Statistics, balances: Sequence[Balance]) -> Chart:
    """Draw how many equally large classes would be as mixed, beside how many there are."""
    import plotly.graph_objects as go

    found = [(b.aspect.title, b.effective, b.classes, b.top_share or 0.0) for b in balances if b.effective]
    for name, title in (("channel", "Channel"), ("video", "Video")):
        d = statistics.dimension(name)
        if d.effective and d.most_clips:
            found.append((title, d.effective, d.classes, d.most_clips / d.known))
    columns = ("Aspect", "Effective classes", "Classes", "Share of the largest")
    rows = tuple((title, round(eff, 2), classes, percent(top, 1)) for title, eff, classes, top in found)
    title = "Effective number of classes"
    if not found:
        return Chart("mixture", title, "There is nothing to compare yet.", None, 0, columns, rows)
    order = found[::-1]
    drawn = go.Figure(
        go.Bar(
            x=[100 * eff / classes for _, eff, classes, _ in order],
            y=[name for name, *_ in order],
            orientation="h",
            marker={"color": "var(--accent)"},
            width=0.62,
            cliponaxis=False,
            textposition="outside",
            text=[f"{short(eff)} of {classes:,}" for _, eff, classes, _ in order],
            customdata=[percent(top, 1) for *_, top in order],
            hovertemplate="<b>%{y}</b><br>as mixed as %{text}<br>the largest has %{customdata}<extra></extra>",
        )
    )
    shares_layout(drawn, [name for name, *_ in order])
    drawn.update_layout(margin={"t": 4, "b": 30, "r": 96})
    drawn.update_xaxes(range=[0, 100], title=None, ticksuffix=" %", nticks=5)
    least = min(found, key=lambda entry: entry[1] / entry[2])
    said = (
        f"exp of the Shannon entropy: {short(least[1])} of {least[2]:,} by {least[0].lower()} is the most lopsided; "
        "100 % would be evenly mixed."
    )
    return Chart("mixture", title, said, to_json(drawn), 44 + 28 * len(order), columns, rows)
