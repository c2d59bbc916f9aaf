"""Draws the figures of every verb from what its result holds."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Measurement, Result
from seqtant.report.figures import COLORS, Figure, axes, line


def pack(result: Result) -> list[Figure]:
    """Draws the packing strategies: one point each, fill against documents cut."""
    table = next(table for table in result.tables if table.name == "strategies")
    names = [str(row[0]) for row in table.rows]
    fill, cut = [row[2] for row in table.rows], [row[4] for row in table.rows]
    return [
        Figure(
            name="packing",
            title="Full windows against whole documents",
            caption="Up is fuller, left is fewer documents cut: the upper left corner is best.",
            alt="Fill against documents cut: "
            + ", ".join(f"{n} {f}, {c}" for n, f, c in zip(names, fill, cut, strict=True)),
            data=[
                {
                    "type": "scatter",
                    "name": name,
                    "x": [cuts],
                    "y": [share],
                    "mode": "markers+text",
                    "text": [name],
                    "textposition": "top center",
                    "marker": {"size": 14, "color": COLORS[index]},
                }
                for index, (name, share, cuts) in enumerate(zip(names, fill, cut, strict=True))
            ],
            layout=axes("documents cut", "fill", showlegend=False),
            table=table,
        )
    ]


def audit(result: Result) -> list[Figure]:
    """Draws the mean similarity of two segments of one example against their distance, one line per arm."""
    series = _by_group(result, "similarity")
    if not series:
        return []
    return [
        Figure(
            name="similarity",
            title="How alike segments of one example are",
            caption="Mean cosine similarity of all pairs of segments so far apart, over every example. An arm of "
            "related text should lie above random, and random near split.",
            alt="Mean similarity against distance: "
            + "; ".join(f"{arm} {own[0].value:.3f} at distance 1" for arm, own in series.items()),
            data=[
                trace
                for color, (arm, own) in enumerate(series.items())
                for trace in line([row.step or 0.0 for row in own], [row.value for row in own], arm, color=color)
            ],
            layout=axes("distance in segments", "mean cosine similarity", xaxis={"dtick": 1}),
            table=next(table for table in result.tables if table.name == "similarity"),
        )
    ]


build = audit  # a build records the same similarities


def bias(result: Result) -> list[Figure]:
    """Draws the gains by a step against its length, and the gains in context as level lines."""
    rows = {group: result.series("gain_sequential", group) for group in ("related", "random")}
    steps = [row.step or 0.0 for row in rows["related"]]
    levels = {
        "related": result.values["gain_in_context"] or 0.0,
        "random": result.values["gain_in_context_random"] or 0.0,
    }
    data = []
    for color, (group, own) in enumerate(rows.items()):
        data += line(steps, [row.value for row in own], f"gradient step, {group} text", color=color)
        data += line(
            steps, [levels[group]] * len(steps), f"in context, {group} text", color=color, dash="dash", mode="lines"
        )
    return [
        Figure(
            name="gains",
            title="Gain in context against gain by one gradient step",
            caption="The loss of a text falls by so much when another was read before it (level lines), or learned "
            "by one gradient step of a given length (points). What random text gains is getting used to the style.",
            alt=f"In context: {levels['related']:.3f} from related, {levels['random']:.3f} from random text. Steps "
            + ", ".join(f"{row.step:g}: {row.value:.3f}" for row in rows["related"]),
            data=data,
            layout=axes("length of the step, in lengths of the weights", "nats per token", xaxis={"type": "log"}),
            table=next(table for table in result.tables if table.name == "gains"),
        )
    ]


def epsilon_rank(result: Result) -> list[Figure]:
    """Draws the bounds on the effective rank by depth, one band per way to read the earlier text."""
    lower, upper = _by_group(result, "rank_lower"), _by_group(result, "rank_upper")
    precision = min(float(group.rpartition(" at ")[2]) for group in lower)
    finest = [group for group in lower if float(group.rpartition(" at ")[2]) == precision]
    data, first = [], []
    for color, group in enumerate(finest):
        low, high, name = lower[group], upper[group], group.rpartition(" at ")[0]
        data += line(
            [row.step or 0.0 for row in low],
            [(a.value + b.value) / 2 for a, b in zip(low, high, strict=True)],
            name,
            color=color,
            low=[row.value for row in low],
            high=[row.value for row in high],
        )
        first.append(f"{name}: {low[-1].value:g} to {high[-1].value:g} at depth {low[-1].step:g}")
    return [
        Figure(
            name="ranks",
            title=f"Effective rank at precision {precision:g}: one pass against one step",
            caption="Bands are proved bounds for the tabulated texts, lines their middle. Smaller steps keep less of "
            "what the two texts have to do with each other.",
            alt="Bounds on the effective separation rank. " + "; ".join(first),
            data=data,
            layout=axes("depth", "effective separation rank", xaxis={"dtick": 1}),
            table=next(table for table in result.tables if table.name == "ranks"),
        )
    ]


def deficit(result: Result) -> list[Figure]:
    """Draws the layers lost against the length of the step."""
    rows = result.series("depth_deficit")
    return [
        Figure(
            name="deficit",
            title="Smaller steps lose more layers",
            caption="Layers that the derived bound takes from a network for dependencies between texts in different "
            "examples, against the step in units of the radius in which the network is analytic.",
            alt="Layers lost by step: " + ", ".join(f"{row.step:g}: {row.value:.2f}" for row in rows),
            data=line([row.step or 0.0 for row in rows], [row.value for row in rows], "layers lost"),
            layout=axes("step", "layers lost", xaxis={"type": "log"}),
            table=next(table for table in result.tables if table.name == "steps"),
        )
    ]


def compose(result: Result) -> list[Figure]:
    """Draws the joined facts answered right, one point per arm and seed, beside the share of a guess."""
    guess = 1 / int(result.config["values"])
    level = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": guess, "y1": guess, "line": {"dash": "dot"}}
    title = "Joined facts that were never shown"
    caption = f"Share answered right, one point per seed; the dotted line is chance, {guess:g}."
    return [_points(result, "held_out_accuracy", "accuracy", title, caption, "share right", shapes=[level])]


def compare_arms(result: Result) -> list[Figure]:
    """Draws two losses on held-out text, one point per arm and seed."""
    caption = "One point per seed; lower is better. The same held-out text for every arm."
    return [
        _points(result, key, "losses", f"Loss on held-out text: {key}", caption, "nats per token")
        for key in ("after neighbors", "running text")
    ]


def tapt(result: Result) -> list[Figure]:
    """Draws the rank correlation of sentence similarity, one point per arm."""
    title = "Sentence similarity from averaged token embeddings"
    caption = "Spearman correlation with the scores; higher is better. Intervals are in the table."
    return [_points(result, "spearman", "similarity", title, caption, "Spearman correlation")]


def _by_group(result: Result, key: str) -> dict[str, list[Measurement]]:
    """Sorts the rows of one measurement into their groups, in the order of the first of each."""
    rows = result.series(key)
    return {group: [row for row in rows if row.group == group] for group in dict.fromkeys(row.group for row in rows)}


def _points(result: Result, key: str, table: str, title: str, caption: str, unit: str, **layout: Any) -> Figure:
    """Draws one measurement as a point per arm and seed."""
    own = _by_group(result, key)
    means = {arm: sum(row.value for row in each) / len(each) for arm, each in own.items()}
    return Figure(
        name=key.replace(" ", "_"),
        title=title,
        caption=caption,
        alt=f"{title}: " + ", ".join(f"{arm} {value:.3f}" for arm, value in means.items()),
        data=[
            {
                "type": "scatter",
                "name": arm,
                "x": [arm] * len(each),
                "y": [row.value for row in each],
                "mode": "markers",
                "marker": {"size": 11, "color": COLORS[color % len(COLORS)], "opacity": 0.8},
            }
            for color, (arm, each) in enumerate(own.items())
        ],
        layout=axes("arm", unit, showlegend=False, **layout),
        table=next(each for each in result.tables if each.name == table),
    )
