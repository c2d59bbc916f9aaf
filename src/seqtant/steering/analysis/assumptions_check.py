"""Reads off a model what the theorems assume: growth of the logits' change, noise on wrong answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats

from seqtant.steering.sweeping.batches import Row
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.sweep import Plan, Swept, sweep_states


@torch.no_grad()
def logit_norms(bench: Bench, strengths: Sequence[float]) -> Float[np.ndarray, "strengths prompts"]:
    """Norm of the change of all logits after each behavior prompt, at every strength."""
    scoring = _prompts_only(bench.behavior_plan)
    found = np.zeros((len(strengths), len(scoring.rows)))
    for swept in _swept(bench, scoring, strengths):
        for place, row in enumerate(swept.rows):
            after = bench.model.head(swept.states[:, place])
            found[:, row] = (after[1:] - after[0]).norm(dim=-1).double().cpu().numpy()
    return found


@dataclass(frozen=True)
class Noise:
    """X = change of a wrong answer's logit minus change of the right one's."""

    values: Float[np.ndarray, "strengths samples"]
    """X of the likeliest wrong tokens of every question."""

    def deviation(self) -> Float[np.ndarray, " strengths"]:
        """Standard deviation about zero at every strength."""
        return np.sqrt((self.values**2).mean(axis=1))

    def shape(self) -> tuple[float, float, float]:
        """Skewness, excess kurtosis, and Kolmogorov-Smirnov distance to a Gaussian, at the smallest strength."""
        x = self.values[0]
        scaled = (x - x.mean()) / x.std()
        distance = float(stats.kstest(scaled, "norm").statistic)
        return float(stats.skew(x)), float(stats.kurtosis(x)), distance


@torch.no_grad()
def wrong_noise(bench: Bench, strengths: Sequence[float], top: int) -> Noise:
    """Noise of the ``top`` likeliest wrong tokens (the right one left out) of every question."""
    scoring = _prompts_only(bench.helpfulness_plan)
    right = _right_tokens(bench)
    parts: list[np.ndarray] = []
    for swept in _swept(bench, scoring, strengths):
        for place, row in enumerate(swept.rows):
            after = bench.model.head(swept.states[:, place]).double()
            correct = right[scoring.rows[row].item]
            start = after[0].clone()
            start[correct] = -torch.inf
            wrong = start.topk(min(top, len(start) - 1)).indices
            change = after[1:] - after[0]
            parts.append((change[:, wrong] - change[:, [correct]]).cpu().numpy())
    return Noise(np.concatenate(parts, axis=1))


def _swept(bench: Bench, scoring: Plan, strengths: Sequence[float]) -> Iterator[Swept]:
    return sweep_states(
        bench.model,
        bench.vector,
        scoring,
        [0.0, *strengths],
        positions=bench.positions,
        last_only=True,
        tokens_per_batch=bench.tokens_per_batch,
        progress=bench.progress,
        description="logits",
    )


def _prompts_only(scoring: Plan) -> Plan:
    """One row per item: its prompt."""
    first = {}
    for row in scoring.rows:
        first.setdefault(row.item, Row(row.tokens[: row.prompt_length], row.prompt_length, row.item))
    return Plan([first[item] for item in sorted(first)], [], scoring.counts)


def _right_tokens(bench: Bench) -> list[int]:
    answers = {
        target.item: target.tokens[0]
        for target in bench.helpfulness_plan.targets
        if target.number == bench.questions[target.item].answer
    }
    return [answers[item] for item in sorted(answers)]
