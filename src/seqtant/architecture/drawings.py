"""Draws the results of every verb: one function each, from what the result holds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from seqtant.architecture.planning.rules_of_thumb import LAW, RULES
from seqtant.architecture.theory import Z95
from seqtant.boundary import size_text
from seqtant.findings import Cell, Measurement, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def plan(result: Result) -> list[Figure]:
    """Draws the depth law with the plan on it, and where the rules of practice put the depth."""
    size, best = float(result.values["active_parameters"] or 0), float(result.values["optimal_depth"] or 0)
    costs, rules = _table(result, "costs"), _table(result, "rules")
    # Of a mixture of experts, what a token passes through between embedding and head.
    wide = "active" in costs.columns
    sizes = [float(row[6] or 0) - float(row[3] or 0) if wide else float(row[2] or 0) for row in costs.rows]
    candidates = [(int(row[0] or 0), int(row[1] or 0), size) for row, size in zip(costs.rows, sizes, strict=True)]
    widths = {each.group: int(each.value) for each in result.series("built_width")}
    built = [(each.group, int(each.value), int(each.step or 0)) for each in result.series("built_depth")]
    rows: list[tuple[Cell, ...]] = [
        ("this plan's law", round(best, 1), None, size),
        *(("candidate", *candidate) for candidate in candidates),
        *((name, depth, widths[name], count) for name, depth, count in built),
    ]
    points = {
        "built": [(count, depth, name) for name, depth, count in built],
        "candidates": [(count, depth, f"{depth} x {width}") for depth, width, count in candidates],
    }
    data = _law(result, "law, 12 d² per layer")
    for color, (name, group) in enumerate(points.items(), start=1):
        x, y, text = ([point[place] for point in group] for place in range(3))
        hover = {"text": text, "hovertemplate": "%{text}: %{y} layers<extra></extra>"}
        data.append(_markers(name, x, y, color=COLORS[color], size=9) | hover)
    law = Figure(
        name="depth_law",
        title=f"At {size_text(size)} parameters the law asks for about {best:.0f} layers",
        caption="The band is 95 % of the fit's error and half a step of the depths it was fitted on. "
        "The law was fitted up to 6e8 parameters; beyond that it is extrapolated. "
        "Below the band depth would still pay; above it width would.",
        alt=f"Depth against non-embedding parameters on a logarithmic axis: a rising curve with its band, "
        f"{len(candidates)} candidate shapes at {size_text(size)} parameters, and {len(built)} published networks.",
        data=data,
        layout=axes("non-embedding parameters", "depth (layers)", xaxis={"type": "log"}),
        table=_points("depth_law", "Points drawn", ("shape", "depth", "width", "parameters"), rows),
    )
    return [law, _rules(rules)]


def _rules(table: Table) -> Figure:
    """Bars of the depths that each rule asks for, the plan's band first."""
    band, *others = table.rows
    low, high = float(band[1] or 0), float(band[2] or 0)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": str(row[0]),
            "x": [row[1], row[2]],
            "y": [str(row[0])] * 2,
            "mode": "lines+markers",
            "line": {"color": COLORS[0 if row is band else 1], "width": 8 if row is band else 4},
            "showlegend": False,
        }
        for row in reversed(table.rows)
    ]
    layout = axes("depth (layers)", "", xaxis={"type": "log"}, yaxis={"automargin": True})
    shade = {"fillcolor": COLORS[0] + "22", "line": {"width": 0}}
    layout["shapes"] = [_upright("rect", low, high) | shade]
    overlapping = sum(row[3] == "overlaps" for row in others)
    depths = {row[0]: row[1:3] for row in table.rows}
    said = [(rule.name, *depths.get(rule.name, (None, None)), rule.says, rule.source, rule.strength) for rule in RULES]
    return Figure(
        name="rules",
        title=f"{overlapping} of {len(others)} rules of practice overlap the band",
        caption="Each bar spans the depths that one rule asks for at this size; the shaded part is this plan's band. "
        "A single dot is a rule with one answer.",
        alt=f"Ranges of depth by rule: the plan's band from {low:g} to {high:g} layers and {len(others)} other rules.",
        data=data,
        layout=layout,
        table=Table(
            name="rules_drawn",
            title="What each rule says",
            columns=("rule", "depth from", "depth to", "says", "source", "how far it was read"),
            rows=((LAW.name, *depths[LAW.name], LAW.says, LAW.source, LAW.strength), *said),
            note="No depth: the rule names none, or was made for other sizes.",
        ),
    )


def bounds(result: Result) -> list[Figure]:
    """Draws the bounds against depth, with the transition marked."""
    names = {
        "two_token": "one vector per half (exact)",
        "many_token": "many vectors per half",
        "lower": "best lower bound",
        "upper": "best stated upper bound",
    }
    depths = [row.step or 0.0 for row in result.series("lower")]
    curves = {key: [row.value for row in result.series(key)] for key in names}
    transition, width = float(result.values["transition_depth"] or 0), result.values["effective_width"]
    data: list[dict[str, Any]] = []
    for color, (key, name) in enumerate(names.items()):
        # A logarithmic axis has no place for bounds of 0, which say nothing.
        kept = [(depth, value) for depth, value in zip(depths, curves[key], strict=True) if value > 0]
        x, y = [depth for depth, _ in kept], [value for _, value in kept]
        data += line(x, y, name, color=color, mode="lines", dash="dash" if color > 1 else "solid")
    layout = axes("depth (layers)", "log3 of the separation rank", yaxis={"type": "log"})
    layout["shapes"] = [_upright("line", transition, transition) | {"line": {"dash": "dot", "width": 1}}]
    return [
        Figure(
            name="bounds_by_depth",
            title=f"Depth stops being worth more than width at about {transition:.1f} layers",
            caption="Dotted: the transition log_3(width). Below it the logarithm triples with every layer; "
            "above it, it grows by the same amount with every layer. A bound that says nothing is left out.",
            alt=f"Logarithm of the separation rank against depth for effective width {width}: two exact curves between "
            f"a lower and an upper bound, with the transition at depth {transition:.2f}.",
            data=data,
            layout=layout,
            table=_points(
                "bounds_by_depth",
                "log3 of the separation rank by depth",
                ("depth", *names.values()),
                zip(depths, *curves.values(), strict=True),
            ),
        )
    ]


def match(result: Result) -> list[Figure]:
    """Draws the rank of both depths against the width, and where one reaches the other."""
    depth, width, to_depth = (int(result.config[name]) for name in ("depth", "width", "to_depth"))
    needed, target = result.values["matching_width"], result.values["rank_log3"]
    widths, ranks, data = _by_width(result, "rank_log3", mode="lines")
    if not ranks:  # a run of a version that recorded none
        return []
    points = [(width, "given")] + ([(int(needed), "matching")] if needed is not None else [])
    x, text = [place for place, _ in points], [name for _, name in points]
    style = {"mode": "lines+markers", "line": {"dash": "dot", "color": COLORS[3]}}
    data.append(_markers("shapes", x, [target] * len(points), size=10) | {"text": text} | style)
    answer = f"width {needed}" if needed is not None else "a width out of reach"
    return [
        Figure(
            name="rank_by_width",
            title=f"{to_depth} layers need {answer} to match {depth} layers of width {width}",
            caption="Both axes are logarithmic (the rank is drawn as its logarithm to base 3). "
            "The dotted line joins the two shapes of equal rank.",
            alt=f"Logarithm of the separation rank against width for depths {depth} and {to_depth}; "
            f"the given shape at width {width} and the match at {answer}.",
            data=data,
            layout=axes("width", "log3 of the separation rank", xaxis={"type": "log"}, yaxis={"type": "log"}),
            table=_points(
                "rank_by_width",
                "log3 of the separation rank by width",
                ("width", *ranks),
                zip(widths, *ranks.values(), strict=True),
            ),
        )
    ]


def rank(result: Result) -> list[Figure]:
    """Draws the closed form against the width, with the measured rank on it."""
    depth, width, limit = (result.config[name] for name in ("depth", "width", "embed_rank"))
    measured = int(result.values["rank"] or 0)
    widths, ranks, data = _by_width(result, "closed_form_by_width", dash="solid" if limit else "dot")
    if not ranks:  # a run of a version that recorded none
        return []
    data.append(_markers("measured", [width], [measured], color=COLORS[3], size=13, symbol="star"))
    rows = zip(widths, *ranks.values(), [measured if each == width else None for each in widths], strict=True)
    stop = f"; beyond width {limit} the input's rank holds it" if limit else ""
    return [
        Figure(
            name="rank_by_width",
            title=f"Rank {measured} at width {width} and depth {depth}{stop}",
            caption="Lines are the closed form (exact for one head and generic weights, an upper bound otherwise); "
            "the star is the measured rank. A flat line means that width adds parameters but no rank.",
            alt=f"Separation rank against width on a logarithmic axis, {len(ranks)} curves, "
            f"and the measured rank {measured} at width {width}.",
            data=data,
            layout=axes("width", "separation rank", yaxis={"type": "log"}),
            table=_points(
                "rank_by_width", "Closed form and measured rank by width", ("width", *ranks, "measured"), rows
            ),
        )
    ]


def audit(result: Result) -> list[Figure]:
    """Draws the parameters by component, and the depth law with the model on it where the law speaks."""
    table = _table(result, "parameters")
    rows = [row for row in table.rows if row[0] != "total" and row[1]]
    names, counts = [str(row[0]) for row in rows], [float(row[1] or 0) for row in rows]
    total = float(result.values["parameters"] or 0)
    largest = names[counts.index(max(counts))]
    bars = {"type": "bar", "orientation": "h", "x": counts[::-1], "y": names[::-1]}
    bars |= {"marker": {"color": COLORS[0]}, "hovertemplate": "%{y}: %{x:,}<extra></extra>"}
    components = Figure(
        name="components",
        title=f"Most of the {total:,.0f} parameters are in {largest}",
        caption=f"{table.title}. Tied and shared weights count once.",
        alt=f"Bars of parameters by component; the largest is {largest} with {max(counts) / total:.0%}.",
        data=[bars],
        layout=axes("parameters", "", yaxis={"automargin": True}),
        table=table,
    )
    if result.values["optimal_depth"] is None:
        return [components]

    size, depth = float(result.values["non_embedding_parameters"] or 0), float(result.values["depth"] or 0)
    low, high, best = (float(result.values[key] or 0) for key in ("depth_low", "depth_high", "optimal_depth"))
    band = {"x": [size, size], "y": [low, high], "mode": "lines", "line": {"color": COLORS[2], "width": 6}}
    data = [*_law(result, "law"), {"type": "scatter", "name": "advised band"} | band]
    data.append(_markers("this model", [size], [depth], color=COLORS[1], size=12))
    return [
        components,
        Figure(
            name="depth",
            title=f"{depth:g} layers, where the law asks for about {best:.1f}",
            caption="The law with 95 % of the fit's error, fitted on 6 to 48 layers and about 3e6 to 6e8 parameters; "
            "beyond that it is drawn out. The bar is the band of depths worth considering at this size.",
            alt=f"Depth against non-embedding parameters: a rising curve; this model at {size_text(size)} parameters "
            f"and {depth:g} layers, the curve at {best:.1f}.",
            data=data,
            layout=axes("non-embedding parameters", "layers", xaxis={"type": "log"}),
            table=_points(
                "depth_drawn",
                "Depths at this size",
                ("what", "layers"),
                [
                    ("this model", depth),
                    ("law", round(best, 2)),
                    ("band from", result.values["depth_low"]),
                    ("band to", result.values["depth_high"]),
                ],
            ),
        ),
    ]


def embedding_rank(result: Result) -> list[Figure]:
    """Draws the singular values of each table, over the largest."""
    curves = _curves(result, "singular_value")
    data: list[dict[str, Any]] = []
    rows: list[tuple[Cell, ...]] = []
    for color, (group, curve) in enumerate(curves.items()):
        largest = max(row.value for row in curve) or 1.0
        index = [float(row.step or 0) for row in curve]
        share = [row.value / largest for row in curve]
        data += line(index, share, group, color=color, mode="lines")
        rows += [(group, int(i), s) for i, s in zip(index, share, strict=True)]
    fine, possible = result.values["effective_width"], result.values["input_rank"]
    return [
        Figure(
            name="spectrum",
            title=f"{fine} of {possible} directions hold 99.9 % of what tells tokens apart",
            caption="Singular values over the largest, from the largest down. A flat curve uses every direction alike; "
            "a steep one uses few. Centered: less the mean row, which all tokens share.",
            alt=f"Falling curves of normalized singular values by index for {', '.join(curves)}.",
            data=data,
            layout=axes("direction", "singular value over the largest", yaxis={"type": "log"}),
            table=_points("spectrum", "Points drawn", ("table", "direction", "over the largest"), rows),
        )
    ]


def sweep(result: Result) -> list[Figure]:
    """Draws how much better the deep network is at equal size, by embedding, with intervals and every seed."""
    table = _table(result, "gaps")
    places: list[str] = []
    for row in table.rows:
        embedding = f"rank {row[3]}" if str(row[3]).isdecimal() else row[3]
        places.append(f"{row[0]:.3g}: {row[1]} / {row[2]}, {embedding}")
    values = [float(row[4] or 0) for row in table.rows]
    above = [float(row[6] or 0) - value for row, value in zip(table.rows, values, strict=True)]
    means = _markers("mean and interval", places, values, size=11, color=COLORS[0])
    means["error_y"] = {"type": "data", "array": above, "color": COLORS[0]}
    # The curves come in the order of the table's rows.
    curves = zip(places, _curves(result, "gap").values(), strict=True)
    seeds = [(place, row.value) for place, rows in curves for row in rows]
    x, y = [place for place, _ in seeds], [value for _, value in seeds]
    winners = [str(row[-1]) for row in table.rows]
    counts = ", ".join(f"{winners.count(name)} {name}" for name in dict.fromkeys(winners))
    return [
        Figure(
            name="gaps",
            title=f"Which depth wins at equal size, in {len(winners)} comparisons: {counts}",
            caption="Validation loss of the shallow network minus that of the deep one at equal size. Above the line "
            "the deep one is better. Points are seeds, bars Student's 95 % intervals of their mean.",
            alt="Gap between shallow and deep network for each size, pair of depths and embedding: "
            + "; ".join(f"{place}: {value:.3f} nats" for place, value in zip(places, values, strict=True)),
            data=[means, _markers("seeds", x, y, size=6, color=COLORS[1], symbol="circle-open")],
            layout=axes("size, pair and embedding", "shallow minus deep (nats)", yaxis={"zeroline": True}),
            table=replace(table, note=""),
        )
    ]


def fit(result: Result) -> list[Figure]:
    """Draws transition widths against depth: crossings with their errors, the fitted and the published line."""
    points = result.series("log_width")
    depths = [float(each.step or 0) for each in points]
    errors = {each.group: Z95 * each.value for each in result.series("log_width_error")}
    spans = [(math.exp(each.value), errors.get(each.group, 0.0)) for each in points]
    crossings = _markers("crossings", depths, [width for width, _ in spans], size=10, color=COLORS[0])
    crossings["error_y"] = {
        "type": "data",
        "array": [width * math.expm1(error) for width, error in spans],
        "arrayminus": [-width * math.expm1(-error) for width, error in spans],
    }
    data = [crossings]
    for color, (key, name) in enumerate({"fitted_width": "fitted line", "published_width": "paper 8"}.items()):
        ends = result.series(key)
        x, y = [row.step or 0.0 for row in ends], [row.value for row in ends]
        data += line(x, y, name, color=color, mode="lines", dash="dash" if color else "solid")
    a, b = float(result.values["a"] or 0), float(result.values["b"] or 0)
    table = _table(result, "crossings")
    return [
        Figure(
            name="transition_widths",
            title=f"The transition width grows by {100 * math.expm1(b):.1f} % per layer",
            caption="At each point two neighboring depths are equally good at equal size; bars are 95 % of the "
            "scatter over seeds. The width axis is logarithmic. Below the lines width pays, above them depth.",
            alt=f"Transition width against depth for {len(depths)} pairs of depths, the fitted line "
            f"ln d = {a:.3f} + {b:.4f} L and the published line.",
            data=data,
            layout=axes("depth (layers)", "transition width", yaxis={"type": "log"}),
            table=replace(table, name="transition_widths", note=""),
        )
    ]


def _table(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)


def _curves(result: Result, key: str) -> dict[str, list[Measurement]]:
    """Rows of one quantity by group, groups in the order they were recorded."""
    groups = dict.fromkeys(row.group for row in result.measurements if row.key == key)
    return {group: result.series(key, group) for group in groups}


def _by_width(result: Result, key: str, **style: Any) -> tuple[list[int], dict[str, list[float]], list[dict[str, Any]]]:
    """Widths, ranks by curve, and the traces of one quantity that was recorded against the width."""
    curves = _curves(result, key)
    widths = [int(row.step or 0) for row in next(iter(curves.values()), [])]
    ranks = {name: [row.value for row in rows] for name, rows in curves.items()}
    data: list[dict[str, Any]] = []
    for color, (name, values) in enumerate(ranks.items()):
        data += line([float(width) for width in widths], values, name, color=color, **style)
    return widths, ranks, data


def _points(name: str, title: str, columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> Table:
    return Table(name=name, title=title, columns=columns, rows=tuple(rows))


def _law(result: Result, name: str) -> list[dict[str, Any]]:
    """The recorded depth law over sizes, with its band."""
    x = [row.step or 0.0 for row in result.series("law_depth")]
    middle, low, high = ([row.value for row in result.series(f"law_depth{end}")] for end in ("", "_low", "_high"))
    return line(x, middle, name, low=low, high=high, mode="lines")


def _markers(name: str, x: list[Any], y: list[Any], **marker: Any) -> dict[str, Any]:
    return {"type": "scatter", "name": name, "x": x, "y": y, "mode": "markers", "marker": marker}


def _upright(kind: str, low: float, high: float) -> dict[str, Any]:
    """A shape from one depth to another over the whole height."""
    return {"type": kind, "xref": "x", "yref": "paper", "x0": low, "x1": high, "y0": 0, "y1": 1}
