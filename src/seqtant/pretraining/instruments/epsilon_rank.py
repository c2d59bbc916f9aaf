"""Effective separation rank of small networks in context and across one gradient step; what the bound rests on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from seqtant.findings import Assumption, Estimate, Result
from seqtant.pretraining.config import EpsilonRankConfig
from seqtant.pretraining.evaluation.effective_rank import RandomNetwork, RankRow, rank_rows, truncation_errors
from seqtant.progress import track
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.fits import fit_line

_STEPS = (1e-4, 3e-5, 1e-5)


def run(config: EpsilonRankConfig, context: Context) -> Result:
    """Fills the table, and checks the orders of the expansion that the bound rests on."""
    title = f"Effective separation rank of random networks of depth {', '.join(map(str, config.depths))}"
    with Recorder("pretraining.epsilon-rank", title, config, context, papers=(6,)) as record:
        rows = [
            row
            for depth in track(config.depths, context.progress, "depths")
            for row in _rows(config, depth, context.seed)
        ]
        _record_table(record, rows)
        gaps = [_Gap.of(config, rows, context.seed)]
        _record_gap(record, config, gaps[0])
        if config.networks > 1:
            alone = _gap_alone(config)
            seeds = range(context.seed + 1, context.seed + config.networks)
            more = track(seeds, context.progress, "networks")
            gaps += [_Gap.of(alone, _rows(alone, alone.depths[0], seed), seed) for seed in more]
            _record_networks(record, gaps)
        _record_slopes(record, context.seed)
    return record.result


def _rows(config: EpsilonRankConfig, depth: int, seed: int) -> list[RankRow]:
    return rank_rows(
        RandomNetwork(depth, config.width, config.heads),
        vocabulary=config.vocabulary,
        words=config.words,
        texts=config.texts,
        relative_steps=config.relative_steps,
        precisions=config.precisions,
        generator=torch.Generator().manual_seed(seed),
    )


def _gap_alone(config: EpsilonRankConfig) -> EpsilonRankConfig:
    """The depth, step and precision of the gap, and no others."""
    depth = 2 if 2 in config.depths else config.depths[-1]
    step, precision = min(config.relative_steps), min(config.precisions)
    return replace(config, depths=(depth,), relative_steps=(step,), precisions=(precision,))


@dataclass(frozen=True)
class _Gap:
    """One pass against the smallest step, at the finest precision."""

    seed: int
    inside: RankRow
    across: RankRow

    @classmethod
    def of(cls, config: EpsilonRankConfig, rows: list[RankRow], seed: int) -> _Gap:
        alone = _gap_alone(config)
        here = [r for r in rows if (r.depth, r.precision) == (alone.depths[0], alone.precisions[0])]
        inside = next(row for row in here if row.relative_step is None)
        across = next(row for row in here if row.relative_step == alone.relative_steps[0])
        return cls(seed, inside, across)

    @property
    def proved(self) -> bool:
        """Whether the bounds do not touch."""
        return self.inside.lower > self.across.upper


def _record_table(record: Recorder, rows: list[RankRow]) -> None:
    record.table(
        "ranks",
        "Bounds on the effective separation rank",
        ("depth", "earlier text seen", "precision", "at least", "at most"),
        [(r.depth, _seen(r), r.precision, r.lower, r.upper) for r in rows],
        note="Both sides are proved for the tabulated texts. Without a precision the comparison points the wrong way: "
        "an exact step writes into all weights, and its exact rank is full.",
    )
    for row in rows:
        group = f"{_seen(row)} at {row.precision:g}"
        record.measure("rank_lower", row.lower, step=row.depth, group=group)
        record.measure("rank_upper", row.upper, step=row.depth, group=group)


def _seen(row: RankRow) -> str:
    return "in context" if row.relative_step is None else f"step {row.relative_step:g}"


def _record_gap(record: Recorder, config: EpsilonRankConfig, gap: _Gap) -> None:
    inside, across = gap.inside, gap.across
    record.value("in_context_rank_lower", inside.lower)
    record.value("in_context_rank_upper", inside.upper)
    record.value("sequential_rank_lower", across.lower)
    record.value("sequential_rank_upper", across.upper)
    record.finding(
        "rank_gap",
        f"Is the rank larger in context than across a step of {across.relative_step:g}, at depth {inside.depth} and "
        f"precision {inside.precision:g}?",
        "agrees" if gap.proved else "disagrees" if inside.upper < across.lower else "inconclusive",
        f"At least {inside.lower} of {config.texts} in context, at most {across.upper} across the step.",
        predicted=Estimate(value=across.upper, high=across.upper, method="across the step, proved"),
        measured=Estimate(value=inside.lower, low=inside.lower, high=inside.upper, method="singular values"),
        assumptions=(
            Assumption(statement="Trained networks behave as random ones do", how="random weights only; not probed"),
        ),
    )


def _record_networks(record: Recorder, gaps: list[_Gap]) -> None:
    lower, upper = [gap.inside.lower for gap in gaps], [gap.across.upper for gap in gaps]
    proved = sum(gap.proved for gap in gaps)
    record.value("networks", len(gaps))
    record.value("networks_with_gap", proved)
    record.value("in_context_rank_lower_least", min(lower))
    record.value("sequential_rank_upper_largest", max(upper))
    record.table(
        "networks",
        "The gap in each random network",
        ("seed", "in context, at least", "at most", "across the step, at least", "at most "),
        [(g.seed, g.inside.lower, g.inside.upper, g.across.lower, g.across.upper) for g in gaps],
    )
    record.finding(
        "networks",
        "Is it larger in every random network?",
        "agrees" if proved == len(gaps) else "disagrees",
        f"In {proved} of {len(gaps)} networks: in context at least {min(lower)} (median {np.median(lower):g}), across "
        f"the step at most {max(upper)} (median {np.median(upper):g}).",
        predicted=Estimate(value=max(upper), high=max(upper), method="across the step, the largest bound"),
        measured=Estimate(value=min(lower), low=min(lower), method="in context, the least bound"),
    )


def _record_slopes(record: Recorder, seed: int) -> None:
    errors = truncation_errors(
        RandomNetwork(2, 6, 1, softmax=False),
        vocabulary=12,
        words=4,
        texts=20,
        relative_steps=_STEPS,
        generator=torch.Generator().manual_seed(seed),
    )
    slopes = [fit_line(np.log(_STEPS), np.log(line)).estimate("slope") for line in errors]
    for order, slope in enumerate(slopes):
        record.value(f"truncation_slope_{order}", slope.value)
        record.finding(
            f"truncation_{order}",
            f"Does the error after order {order} fall as the step to the power {order + 1}?",
            "agrees" if abs(slope.value - order - 1) < 0.15 else "disagrees",
            f"With power {slope.value:.3f}, from a polynomial network of two layers.",
            predicted=Estimate.exact(order + 1, method="next term of the expansion"),
            measured=slope,
        )
