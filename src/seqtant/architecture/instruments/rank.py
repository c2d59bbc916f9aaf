"""Measures the exact separation rank of a small network and compares it with its closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqtant.architecture.config import NetworkShape, RankConfig
from seqtant.architecture.separation import closed_forms
from seqtant.architecture.separation.polynomial_attention import SeparationRank, rank_of_shape
from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

LARGEST_WHOLE = 2**53
"""Whole numbers above it are no exact float64; such ranks are beyond measuring and shown by their logarithm."""
DEEPEST_DRAWN = 3
"""Depth up to which the curve of the next layer is recorded too; beyond it ranks have too many digits to compare."""
LARGEST_DRAWN = 1e12
"""Widths beyond the measured one whose closed form is larger are left out of the curves."""


@dataclass(frozen=True)
class Prediction:
    """What the closed forms say about one configuration."""

    closed_form: int
    """Upper bound on the rank, proved."""
    is_exact: bool
    """Whether equality is expected: generic weights reach the bound in every such case measured."""
    why: str
    """Which form it is, and why equality is or is not expected."""

    @property
    def log3(self) -> float:
        """Its logarithm to base 3."""
        return math.log(self.closed_form) / closed_forms.LN3

    @property
    def estimate(self) -> Estimate | None:
        """The prediction as a number: exact, or an upper end; None where it is no exact float64."""
        if self.closed_form > LARGEST_WHOLE:
            return None
        if self.is_exact:
            return Estimate.exact(self.closed_form, method="closed form")
        return Estimate(value=self.closed_form, high=self.closed_form, method="closed form, an upper bound")

    def __str__(self) -> str:
        number = self.closed_form if self.closed_form <= LARGEST_WHOLE else f"3^{self.log3:.1f}"
        return f"{'' if self.is_exact else 'at most '}{number} ({self.why})"


def predict(shape: NetworkShape) -> Prediction:
    """Chooses the closed form that applies.

    Example:
        >>> predict(NetworkShape(width=6, embed_rank=2))
        Prediction(closed_form=18, is_exact=True, why='effective width 2')
    """
    rank = shape.rank
    bounded = closed_forms.closed_form_rank(shape.depth, rank, shape.tokens)
    reasons: list[str] = []
    if shape.positions == "free" and rank < shape.width:
        bounded, rank = closed_forms.many_token_rank(shape.depth, shape.width), shape.width
        reasons.append("free positions lift the rank of the input")
    if shape.vocab is not None:
        # Second halves that the network can tell apart: words with positions, multisets of tokens without.
        half = shape.tokens // 2
        multisets = math.comb(shape.vocab + half - 1, half)
        bounded = min(bounded, multisets if shape.positions == "none" else shape.vocab**half)
        reasons.append("a finite vocabulary has finitely many inputs")
    if shape.heads > 1 and shape.tokens > 2 and shape.depth > 1:
        reasons.append("several heads may stay below it")
    if shape.inner < shape.width:
        reasons.append("attention is narrower than the stream")
    if shape.projection is not None and shape.projection < shape.width:
        reasons.append("a projection narrows the stream")
    if shape.depth > 3 and 2 < shape.tokens < 2 * rank:
        reasons.append("the form for few tokens is not tight beyond three layers")
    return Prediction(bounded, not reasons, "; ".join([f"effective width {rank}", *reasons]))


@verb(RankConfig)
def rank(config: RankConfig, context: Context) -> Result:
    """Measures the exact separation rank of a small attention network, and compares it with its closed form.

    The rank of M[s, t] = y_0(a_s, b_t), the network's output over random first and second halves of its input, with
    generic weights modulo two primes; see :func:`seqtant.architecture.separation_rank`.

    Returns:
        The rank, the closed form and whether it is expected to be met, the theorems' bounds, every elimination.

    Raises:
        InputError: The shape is too large to be measured, or its numbers do not fit together.

    Example:
        >>> from seqtant import architecture
        >>> result = architecture.rank(depth=2, width=3, tokens=6)
        >>> result.values["rank"], result.values["closed_form"]
        (49, 49)
    """
    title = f"Separation rank of {config.depth} layers of width {config.width} on {config.tokens} tokens"
    with Recorder("architecture.rank", title, config, context, papers=(7, 8)) as record:
        predicted = predict(config)
        found = rank_of_shape(
            config, config.templates, config.max_templates, seed=context.seed, progress=context.progress
        )
        # The theorem's lower side is stated for whole vocabularies and attention as wide as the stream.
        as_stated = config.vocab is None and config.projection is None and config.inner >= config.width
        lower = max(0.0, closed_forms.multiset_lower(config.depth, config.rank, config.heads)) if as_stated else 0.0
        for name, number in {
            "rank": found.rank,
            "closed_form": predicted.closed_form if predicted.estimate else None,
            "closed_form_log3": predicted.log3,
            "closed_form_exact": int(predicted.is_exact),
            "templates": found.templates,
            "saturated": int(found.saturated),
            "rank_log3": math.log(found.rank) / closed_forms.LN3 if found.rank else None,
            "lower_bound_log3": lower,
            "upper_bound_log3": closed_forms.theorem1_upper(config.depth, config.inner, config.heads),
            "effective_width": config.rank,
            "runs": len(found.runs),
        }.items():
            record.value(name, number)
        _record_finding(record, predicted, found)
        record.table(
            "runs",
            "Eliminations at the final grid",
            ("seed", "prime", "inputs per half", "rank", "saturated"),
            [(run.seed, run.prime, run.templates, run.rank, run.saturated) for run in found.runs],
            note="Saturated: the rank is below the number of inputs, or every input there is was used.",
        )
        # The closed form against the width, one group per curve of the figure.
        depths = [config.depth, config.depth + 1] if config.depth < DEEPEST_DRAWN else [config.depth]
        limits = [None] if config.embed_rank is None else [None, config.embed_rank]
        for width in range(1, max(8, config.width + 2) + 1):
            ranks = {
                (depth, limit): closed_forms.closed_form_rank(depth, min(width, limit or width), config.tokens)
                for limit in limits
                for depth in depths
            }
            if width > config.width and ranks[depths[-1], None] >= LARGEST_DRAWN:
                continue
            for (depth, limit), possible in ranks.items():
                group = f"depth {depth}, full-rank input" if limit is None else f"depth {depth}, rank {limit}"
                # Some are too long for a float64; the axis ends before.
                record.measure("closed_form_by_width", float(min(possible, 10**300)), step=width, group=group)
    return record.result


def _record_finding(record: Recorder, predicted: Prediction, found: SeparationRank) -> None:
    relation = "is" if found.saturated else "is at least"
    summary = f"The rank {relation} {found.rank}; the closed form says {predicted}."
    if not found.saturated:
        record.warn(
            f"the grid of {found.templates} inputs per half is too small: raise max_templates or shrink the network"
        )
    # Above a proved upper bound something is wrong; below it only where equality is expected.
    if found.rank > predicted.closed_form:
        verdict: Verdict = "disagrees"
    elif not found.saturated:
        verdict = "inconclusive"
    else:
        verdict = "agrees" if found.rank == predicted.closed_form or not predicted.is_exact else "disagrees"
    ranks = {run.rank for run in found.runs}
    if len(ranks) > 1:
        record.warn(f"seeds or primes disagree ({sorted(ranks)}): the largest is reported, which is the generic one")
    record.finding(
        "rank",
        "How strongly can the network entangle the two halves of its input?",
        verdict,
        summary,
        predicted=predicted.estimate,
        measured=Estimate.exact(found.rank, method="elimination modulo two primes")
        if found.saturated
        else Estimate(value=found.rank, low=found.rank, method="grid too small: a lower bound"),
        assumptions=(
            Assumption(
                statement="The grid holds enough inputs",
                status="holds" if found.saturated else "fails",
                how=f"{found.templates} inputs per half, rank {found.rank}",
            ),
            Assumption(
                statement="Random weights are generic",
                status="holds" if len(ranks) == 1 else "fails",
                how=f"{len(found.runs)} eliminations: two seeds, two primes",
            ),
            Assumption(
                statement="No softmax, normalization or feed-forward layers", status="holds", how="by construction"
            ),
        ),
    )
