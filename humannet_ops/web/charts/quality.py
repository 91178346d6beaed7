"""How good: scores, robot yield, labels, what each clip carries."""

from __future__ import annotations

from humannet_ops.domain.ledger import spoken_hours
from humannet_ops.domain.statistics import BINS, MEASURES, Statistics
from humannet_ops.web.charts.chart import (
    ORIGINS,
    UNKNOWN,
    VIEWPOINTS,
    Cell,
    Chart,
    hues_of,
    left,
    percent,
    shares_layout,
    short,
    to_json,
)
from humannet_ops.web.page import counted


def histogram(statistics: Statistics, measure: str, words: str, unit: str) -> Chart | None:
    """Draw a measure's histogram, cut off at P99, by viewpoint; None where no clip has it."""
    import plotly.graph_objects as go

    whole = statistics.summary(measure)
    if whole is None:
        return None
    some = next(entry for entry in statistics.bins if entry.measure == measure)
    low, high = some.low, max(some.high, some.low + 1e-9)
    width = (high - low) / BINS
    centres = [low + (number + 0.5) * width for number in range(BINS)]
    bars = statistics.histogram(measure)
    drawn = go.Figure()
    shown = [
        (key, label, colour) for key, label, colour in (*VIEWPOINTS, (None, UNKNOWN, "var(--away)")) if key in bars
    ]
    unit_ = f" {unit}" if unit else ""
    for key, label, colour in shown:
        drawn.add_bar(
            x=centres,
            y=bars[key],
            width=width,
            name=label,
            marker={"color": colour, "line": {"width": 0}},
            customdata=[[low + number * width, low + (number + 1) * width] for number in range(BINS)],
            hovertemplate=f"%{{customdata[0]:.3~g}} to %{{customdata[1]:.3~g}}{unit_}<br>%{{y:,}} clips, {label}"
            "<extra></extra>",
        )
    for value, name, at in ((whole.p50, "P50", 1.09), (whole.mean, "mean", 1.0)):
        if low <= value <= high:
            drawn.add_vline(x=value, line={"color": "var(--ink)", "width": 1, "dash": "dot"})
            drawn.add_annotation(
                x=value,
                y=at,
                yref="paper",
                yanchor="bottom",
                text=f"{name} {short(value)}",
                showarrow=False,
                font={"size": 11, "color": "var(--ink)"},
                xanchor="left" if value < (low + high) / 2 else "right",
            )
    drawn.update_layout(
        barmode="stack",
        bargap=0,
        showlegend=False,
        margin={"l": 54, "r": 8, "t": 40, "b": 42},
        xaxis={"title": {"text": unit or "0 to 1"}, "range": [low, high], "showgrid": False},
        yaxis={"title": {"text": "clips"}, "nticks": 5},
    )
    beyond = statistics.beyond(measure)
    said = (
        f"Half of {whole.count:,} clips lie below {short(whole.p50)}{unit_}, 99 % below {short(whole.p99)}{unit_}"
        + (f"; {counted(beyond, 'clip')} above, up to {short(whole.maximum)}, not drawn." if beyond else ".")
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{short(low + number * width)} to {short(low + (number + 1) * width)}",
            *(bars[key][number] for key, *_ in shown),
        )
        for number in range(BINS)
    )
    columns = (f"{words}{', ' if unit else ''}{unit}", *(label for _, label, _ in shown))
    return Chart(measure.replace("_", "-"), words, said, to_json(drawn), 260, columns, rows)


def by_class(statistics: Statistics) -> Chart:
    """Draw the three measures by first level of motion: P50 as a dot, the mean as a tick, a line up to P99."""
    from plotly.subplots import make_subplots

    names = {node.path: node.name for node in statistics.at("motion", 1)}
    present = [node for node in statistics.at("motion", 1) if node.clips][::-1]
    columns = ("Measure", "Motion", "Clips", "Mean", "Variance", "Std", "P50", "P99")
    rows = tuple(
        (
            words,
            "all" if s.by is None else names.get(s.value or "", "not labelled"),
            s.count,
            s.mean,
            s.variance,
            s.std,
            s.p50,
            s.p99,
        )
        for measure, words, _ in MEASURES
        for s in sorted(
            (s for s in statistics.summaries if s.measure == measure and s.by in (None, "l1")),
            key=lambda s: (s.by is not None, s.value is None, -s.count),
        )
    )
    title = "The same by class of motion"
    if not present:
        return Chart("by-class", title, "No clip has a motion label yet.", None, 0, columns, rows)
    hues = hues_of(statistics, "motion")
    drawn = make_subplots(rows=1, cols=3, shared_yaxes=True, horizontal_spacing=0.045)
    for column, (measure, words, unit) in enumerate(MEASURES[:3], start=1):
        found = [(node, s) for node in present if (s := statistics.summary(measure, "l1", node.path))]
        colours = [f"var(--c{hues[node.path]})" for node, _ in found]
        y = [node.name for node, _ in found]
        for (node, s), colour in zip(found, colours, strict=True):
            drawn.add_scatter(
                x=[s.p50, s.p99],
                y=[node.name, node.name],
                mode="lines+markers",
                line={"color": colour, "width": 2},
                marker={"symbol": "line-ns-open", "size": [0, 9], "color": colour},
                opacity=0.5,
                hoverinfo="skip",
                row=1,
                col=column,
            )
        drawn.add_scatter(
            x=[s.mean for _, s in found],
            y=y,
            mode="markers",
            hoverinfo="skip",
            row=1,
            col=column,
            marker={"symbol": "line-ns-open", "size": 13, "color": "var(--ink)", "line": {"width": 1.5}},
        )
        drawn.add_scatter(
            x=[s.p50 for _, s in found],
            y=y,
            mode="markers",
            marker={"color": colours, "size": 10},
            row=1,
            col=column,
            customdata=[[s.count, s.mean, s.std, s.p99] for _, s in found],
            hovertemplate="<b>%{y}</b>, %{customdata[0]:,} clips<br>P50 %{x:.3~g}, mean %{customdata[1]:.3~g}<br>"
            "std %{customdata[2]:.3~g}, P99 %{customdata[3]:.3~g}<extra></extra>",
        )
        drawn.update_xaxes(
            title={"text": words + (f", {unit}" if unit else "")}, rangemode="tozero", nticks=5, row=1, col=column
        )
    drawn.update_yaxes(showgrid=True, tickfont={"color": "var(--ink)"}, ticksuffix="  ")
    drawn.update_layout(showlegend=False, margin={"l": left(names.values()), "r": 10, "t": 6, "b": 44})
    fastest = max(
        (node for node in present if statistics.summary("motion_score", "l1", node.path)),
        key=lambda node: getattr(statistics.summary("motion_score", "l1", node.path), "p50", 0.0),
        default=None,
    )
    said = "Dot: P50. Tick: mean. Line: up to P99."
    if fastest is not None:
        said = f"{fastest.name} moves fastest. {said}"
    return Chart("by-class", title, said, to_json(drawn), 70 + 34 * len(present), columns, rows, least=640)


def robot_yield(statistics: Statistics) -> Chart:
    """Draw which share of the clips a robot can follow: all, by viewpoint, by class of motion."""
    import plotly.graph_objects as go

    names = {node.path: node.name for node in statistics.at("motion", 1)}
    views = {key: label for key, label, _ in VIEWPOINTS}
    found = [("All clips", statistics.robot())]
    found += [(views.get(y.value or "", UNKNOWN), y) for y in statistics.robots if y.by == "viewpoint" and y.value]
    by_motion = sorted((y for y in statistics.robots if y.by == "l1" and y.value), key=lambda y: -y.clips)
    found += [(names.get(y.value or "", str(y.value)), y) for y in by_motion]
    entries = [(name, y) for name, y in found if y is not None and y.clips]
    columns = ("Clips", "Of them", "Judged", "Robot-ready", "Hours", "Share of judged", "Share of all")
    rows = tuple(
        (name, y.clips, y.judged, y.ready, y.ready_hours, percent(y.ready, y.judged), percent(y.ready, y.clips))
        for name, y in entries
    )
    whole = statistics.robot()
    title = "Robot-ready"
    if whole is None or not whole.judged:
        return Chart("robot-ready", title, "No clip was retargeted to a robot yet.", None, 0, columns, rows)
    drawn = go.Figure()
    order = entries[::-1]
    parts = (
        ("robot-ready", "var(--accent)", [y.ready for _, y in order]),
        ("judged, not ready", "var(--away)", [y.judged - y.ready for _, y in order]),
        ("not judged", "var(--well)", [y.clips - y.judged for _, y in order]),
    )
    for label, colour, counts in parts:
        x = [100 * count / y.clips for count, (_, y) in zip(counts, order, strict=True)]
        drawn.add_bar(
            x=x,
            y=[name for name, _ in order],
            orientation="h",
            name=label,
            marker={"color": colour},
            width=0.66,
            customdata=counts,
            hovertemplate=f"<b>%{{y}}</b><br>{label}: %{{customdata:,}} clips, %{{x:.1f}} %<extra></extra>",
            text=[f"{value:.0f} %" if label == "robot-ready" and value >= 5 else "" for value in x],
            textposition="inside",
            insidetextanchor="start",
        )
    shares_layout(drawn, [name for name, _ in order])
    drawn.update_layout(barmode="stack", showlegend=False, margin={"t": 4, "b": 4})
    drawn.update_xaxes(visible=False)
    said = (
        f"{whole.ready:,} clips, {spoken_hours(whole.ready_hours)}: {percent(whole.ready, whole.judged)} of those "
        f"judged, {percent(whole.ready, whole.clips)} of all."
    )
    legend = tuple((colour, label) for label, colour, _ in parts)
    return Chart("robot-ready", title, said, to_json(drawn), 16 + 29 * len(order), columns, rows, legend)


def surety(statistics: Statistics, facets: dict[str, str]) -> Chart:
    """Draw how many clips each facet labels and where it abstains."""
    import plotly.graph_objects as go

    clips = statistics.totals.clips
    found = [entry for entry in statistics.facets if entry.facet in facets]
    columns = ("Facet", "Clips judged", "Labelled", "Abstained", "Share abstained", "Mean confidence", "P50 confidence")
    rows = tuple(
        (
            facets[f.facet],
            f.judged,
            f.judged - f.abstained,
            f.abstained,
            percent(f.abstained, f.judged),
            f.mean_confidence,
            f.p50_confidence,
        )
        for f in found
    )
    title = "Labels: how many, how sure"
    if not found:
        return Chart("surety", title, "No clip was labelled yet.", None, 0, columns, rows)
    order = sorted(found, key=lambda entry: entry.judged - entry.abstained)
    drawn = go.Figure()
    parts = (
        ("labelled", "var(--accent)", [f.judged - f.abstained for f in order]),
        ("abstained", "var(--warm)", [f.abstained for f in order]),
        ("not judged", "var(--well)", [clips - f.judged for f in order]),
    )
    for label, colour, counts in parts:
        drawn.add_bar(
            x=[100 * count / clips for count in counts],
            y=[facets[f.facet] for f in order],
            orientation="h",
            name=label,
            marker={"color": colour},
            width=0.62,
            customdata=[[count, f.mean_confidence] for count, f in zip(counts, order, strict=True)],
            text=[
                f"confidence {f.mean_confidence:.2f}" if label == "labelled" and f.mean_confidence else ""
                for f in order
            ],
            textposition="inside",
            insidetextanchor="start",
            hovertemplate=f"<b>%{{y}}</b><br>{label}: %{{customdata[0]:,}} clips, %{{x:.1f}} %<extra></extra>",
        )
    shares_layout(drawn, [facets[f.facet] for f in order])
    drawn.update_layout(barmode="stack", showlegend=False, margin={"t": 4, "b": 4})
    drawn.update_xaxes(visible=False)
    shyest = max(found, key=lambda entry: entry.abstained / entry.judged)
    said = (
        f"{facets[shyest.facet]} abstains most, on {percent(shyest.abstained, shyest.judged)} of the clips that it "
        "judged. Confidence is the mean where it labelled."
    )
    legend = tuple((colour, label) for label, colour, _ in parts)
    return Chart("surety", title, said, to_json(drawn), 12 + 34 * len(order), columns, rows, legend)


def origins(statistics: Statistics, facets: dict[str, str]) -> Chart:
    """Draw who said the labels."""
    import plotly.graph_objects as go

    found = [entry for entry in statistics.origins if entry.facet in facets]
    rows = tuple((facets[o.facet], o.origin, o.labels, o.clips, o.mean_confidence) for o in found)
    columns = ("Facet", "Origin", "Labels", "Clips", "Mean confidence")
    title = "Labels: who says it"
    if not found:
        return Chart("origins", title, "No clip was labelled yet.", None, 0, columns, rows)
    drawn = go.Figure()
    names = [facets[facet] for facet in facets if any(entry.facet == facet for entry in found)][::-1]
    for origin, label, colour in ORIGINS:
        here = {facets[entry.facet]: entry for entry in found if entry.origin == origin}
        if here:
            drawn.add_bar(
                x=[here[name].labels if name in here else 0 for name in names],
                y=names,
                orientation="h",
                name=label,
                marker={"color": colour},
                width=0.62,
                customdata=[here[name].mean_confidence if name in here else None for name in names],
                hovertemplate=f"<b>%{{y}}</b>, {label}<br>%{{x:,}} labels, confidence %{{customdata:.2f}}"
                "<extra></extra>",
            )
    shares_layout(drawn, names)
    drawn.update_layout(barmode="stack", showlegend=False, margin={"t": 4, "b": 24})
    drawn.update_xaxes(nticks=5)
    total = sum(entry.labels for entry in found)
    parts = [
        f"{percent(sum(e.labels for e in found if e.origin == origin), total)} {label}"
        for origin, label, _ in ORIGINS
        if any(e.origin == origin for e in found)
    ]
    said = f"{counted(total, 'label')}: {', '.join(parts)}. What a data set says of itself is kept apart."
    legend = tuple((colour, label) for origin, label, colour in ORIGINS if any(e.origin == origin for e in found))
    return Chart("origins", title, said, to_json(drawn), 34 + 34 * len(names), columns, rows, legend)


def coverage(statistics: Statistics) -> Chart:
    """Draw what became of the kept clips at each stage of annotation."""
    import plotly.graph_objects as go

    clips = statistics.totals.clips
    ordered = sorted(statistics.coverage, key=lambda entry: (entry.ordinal, entry.outcome, entry.reason or ""))
    stages = list(dict.fromkeys(entry.stage for entry in ordered))
    rows = tuple((c.stage, c.outcome, c.reason, c.clips, percent(c.clips, clips)) for c in ordered)
    columns = ("Stage", "Outcome", "Reason", "Clips", "Share of clips")
    title = "What each clip carries"
    if not stages:
        return Chart("coverage", title, "No clip was annotated yet.", None, 0, columns, rows)
    drawn = go.Figure()
    for outcome, colour in (("kept", "var(--accent)"), ("skipped", "var(--away)")):
        counts, why = [], []
        for stage in stages:
            here = [entry for entry in ordered if (entry.stage, entry.outcome) == (stage, outcome)]
            counts.append(sum(entry.clips for entry in here))
            why.append(", ".join(f"{entry.reason} {entry.clips:,}" for entry in here if entry.reason))
        drawn.add_bar(
            x=[100 * count / clips for count in counts],
            y=stages,
            orientation="h",
            marker={"color": colour},
            width=0.62,
            name="annotated" if outcome == "kept" else "skipped",
            customdata=list(zip(counts, why, strict=True)),
            hovertemplate="<b>%{y}</b><br>%{customdata[0]:,} clips, %{x:.1f} %<br>%{customdata[1]}<extra></extra>",
        )
    shares_layout(drawn, [f"{stage}  " for stage in stages])
    drawn.update_layout(barmode="stack", showlegend=False, margin={"t": 4, "b": 4})
    drawn.update_xaxes(visible=False)
    drawn.update_yaxes(autorange="reversed", tickfont={"family": "ui-monospace, Menlo, monospace", "size": 11})
    done = {stage: sum(c.clips for c in ordered if c.stage == stage and c.outcome == "kept") for stage in stages}
    least = min(done, key=lambda stage: done[stage])
    said = f"{least} annotates fewest: {percent(done[least], clips)} of the clips. The numbers say why one is skipped."
    legend = (("var(--accent)", "annotated"), ("var(--away)", "skipped"))
    return Chart("coverage", title, said, to_json(drawn), 12 + 27 * len(stages), columns, rows, legend)
