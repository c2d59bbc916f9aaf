"""How steering changes the distribution of the token after each behavior prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float

from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.sweep import ScoringPlan, SweptStates, TokenRow, sweep_states


@torch.no_grad()
def logit_changes(
    bench: Bench, strengths: Sequence[float]
) -> tuple[Float[np.ndarray, "strengths prompts"], Float[np.ndarray, "strengths prompts"]]:
    """Computes the norm of the change of all logits after each behavior prompt, and KL(without || with steering)."""
    plan = prompts_only(bench.behavior_plan)
    norms, divergences = (np.zeros((len(strengths), len(plan.rows))) for _ in range(2))
    for swept in sweep_with_zero(bench, plan, strengths):
        for place, row in enumerate(swept.rows):
            logits = bench.model.head(swept.states[:, place])  # [1 + strengths, tokens]
            norms[:, row] = (logits[1:] - logits[0]).norm(dim=-1).double().cpu().numpy()
            log_probs = torch.log_softmax(logits.double(), dim=-1)
            # A token of probability zero adds nothing, but 0 * inf is no number.
            gaps = torch.where(log_probs[0].isinf(), 0.0, log_probs[0] - log_probs[1:])
            divergences[:, row] = (log_probs[0].exp() * gaps).sum(dim=-1).cpu().numpy()
    return norms, divergences


def prompts_only(plan: ScoringPlan) -> ScoringPlan:
    """Makes a plan with one row per item, its prompt, in the order of the items."""
    first: dict[int, TokenRow] = {}
    for row in plan.rows:
        first.setdefault(row.item, TokenRow(row.tokens[: row.prompt_length], row.prompt_length, row.item))
    return ScoringPlan([first[item] for item in sorted(first)], [], plan.counts)


def sweep_with_zero(bench: Bench, plan: ScoringPlan, strengths: Sequence[float]) -> Iterator[SweptStates]:
    """Sweeps the states after each prompt at strength 0 and then at the strengths."""
    return sweep_states(
        bench.model,
        bench.vector,
        plan,
        [0.0, *strengths],
        positions=bench.positions,
        last_only=True,
        tokens_per_batch=bench.tokens_per_batch,
        progress=bench.progress,
        description="logits",
    )
