"""Evaluates the derived bound: how much depth is lost for dependencies between texts in different examples."""

from __future__ import annotations

import math

from seqtant.findings import Assumption, Estimate, Result
from seqtant.pretraining import theory
from seqtant.pretraining.config import DeficitConfig
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

_STEPS = (1e-1, 1e-2, 1e-3, 1e-4)


@verb(DeficitConfig)
def deficit(config: DeficitConfig, context: Context) -> Result:
    """Evaluates the derived bound: how many layers are lost for dependencies between texts in different examples.

    One pass over both texts is a polynomial of degree 2 (3^L - 1) in the weights. One gradient step keeps, at a given
    precision, interactions up to a degree K only, which is the degree of a network of log_3(1 + K / 2) layers.

    Returns:
        The degree that survives, the depth that has it, and the layers lost; a table over steps.

    Example:
        >>> round(deficit(depth=12, step=0.01).values["depth_deficit"], 2)
        11.17
    """
    most = theory.weight_degree(config.depth)
    degree = theory.surviving_degree(config.step, config.precision, most=most)
    power = str(most) if most <= 10**9 else f"3^{math.log(most) / math.log(3):.1f}"
    title = f"Layers lost between examples at depth {config.depth} and step {config.step:g}"
    with Recorder("pretraining.deficit", title, config, context, papers=(6,)) as record:
        deficit = theory.depth_deficit(config.depth, degree)
        # Beyond 2^53 the degree is no exact float64: its logarithm is shown in its place.
        record.value("weight_degree", most if most <= 2**53 else None)
        record.value("weight_degree_log3", math.log(most) / math.log(3))
        record.value("surviving_degree", degree)
        record.value("sequential_depth", theory.sequential_depth(degree))
        record.value("depth_deficit", deficit)
        record.value("sequential_log_rank", theory.sequential_log_rank(config.span, degree))
        record.finding(
            "deficit",
            "How deep is the network for dependencies between texts in different examples?",
            "vacuous" if degree >= most else "inconclusive",
            f"As deep as {theory.sequential_depth(degree):.2f} layers instead of {config.depth}: one step keeps "
            f"interactions up to degree {degree}, one pass those of degree {power}.",
            predicted=Estimate(value=deficit, low=deficit, method="derived bound, in the spirit of Levine et al. 2022"),
            assumptions=(
                Assumption(statement="The network is analytic and bounded within the radius", how="not measured here"),
                Assumption(statement="One plain gradient step on the earlier text", how="m small steps: m times it"),
            ),
        )
        steps = sorted({*_STEPS, config.step}, reverse=True)
        degrees = [theory.surviving_degree(step, config.precision, most=most) for step in steps]
        lost = [theory.depth_deficit(config.depth, kept) for kept in degrees]
        record.table(
            "steps",
            "Smaller steps lose more layers",
            ("step", "degree kept", "like a depth of", "layers lost"),
            list(zip(steps, degrees, map(theory.sequential_depth, degrees), lost, strict=True)),
            note="Step: learning rate times gradient over the radius in which the network is analytic.",
        )
        for step, layers in zip(steps, lost, strict=True):
            record.measure("depth_deficit", layers, step=step)
    return record.result
