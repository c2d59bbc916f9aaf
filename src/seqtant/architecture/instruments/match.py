"""Finds the width that another depth needs to reach the separation rank of a given shape, in closed form."""

from __future__ import annotations

import math

from seqtant.architecture.config import MatchConfig
from seqtant.architecture.separation.closed_forms import MAX_WIDTH, log3_many_token_rank, matching_width
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(MatchConfig)
def match(config: MatchConfig, context: Context) -> Result:
    """Finds the width that another depth needs to reach the separation rank of a network.

    The matching width is the smallest whose closed form, for many vectors per half, is not below the given shape's.

    Returns:
        The width (None where it is out of reach), the logarithm of the rank, the ratio of parameters.

    Raises:
        InputError: A depth or the width lies outside its range.

    Example:
        >>> from seqtant import architecture
        >>> architecture.match(depth=2, width=4, to_depth=1).values["matching_width"]
        109
    """
    depth, width, to_depth = config.depth, config.width, config.to_depth
    title = f"Width that {to_depth} layers need to match {depth} layers of width {width}"
    with Recorder("architecture.match", title, config, context, papers=(8,)) as record:
        needed = matching_width(depth, width, to_depth)
        record.value("matching_width", needed)
        record.value("rank_log3", log3_many_token_rank(depth, width))
        shapes = [("given", depth, width)]
        if needed is not None:
            shapes.append(("matching", to_depth, needed))
            if needed > 1:
                shapes.append(("one narrower", to_depth, needed - 1))
        rows: list[tuple[Cell, ...]] = []
        for name, layers, wide in shapes:
            rank = log3_many_token_rank(layers, wide)
            rows.append((name, layers, wide, 12 * layers * wide**2, rank if math.isfinite(rank) else None))
        record.table(
            "shapes",
            "Both shapes",
            ("shape", "depth", "width", "12 L d^2", "log3 of the rank"),
            rows,
            "The matching width is the smallest whose rank is not below the given one's.",
        )
        # The curves of the figure: 41 widths on a logarithmic scale to twice the wider shape, and both shapes.
        last = max(width, needed if needed is not None else 1000 * width, 4)
        widths = sorted({max(1, round(2 * last ** (step / 40))) for step in range(41)} | {width, last})
        for layers in dict.fromkeys((depth, to_depth)):
            for wide in widths:
                record.measure("rank_log3", log3_many_token_rank(layers, wide), step=wide, group=f"depth {layers}")
        if needed is None:
            summary = f"More than {MAX_WIDTH:.0e}: no width that anybody can build makes {to_depth} layers a match."
        else:
            ratio = to_depth * needed**2 / (depth * width**2)
            record.value("parameter_ratio", ratio)
            summary = f"Width {needed}, {ratio:.3g} times the parameters."
        record.finding(
            "width",
            f"How wide must {to_depth} layers be for the separation rank of {depth} layers of width {width}?",
            "inconclusive" if needed else "vacuous",
            summary,
            predicted=None if needed is None else Estimate.exact(needed, unit="width", method="closed form"),
            assumptions=(
                Assumption(statement="One head, full-rank inputs, as many tokens per half as the width"),
                Assumption(
                    statement="The closed form is the rank, not only a bound",
                    how="measured in every small network tried: `seqtant architecture rank`",
                ),
            ),
            advice="This compares capacities, not losses: softmax, normalization and feed-forward layers are left out.",
        )
    return record.result
