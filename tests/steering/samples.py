"""A small random model over the words of the reference world, and synthetic trade-offs with known truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.config import ShapeConfig
from seqtant.reference.oracle import build_tokenizer
from seqtant.reference.recipe import build_network
from seqtant.reference.world.world import World
from seqtant.steering.inputs import fact_questions, mood_questions
from seqtant.steering.sweeping.bench import BehaviorScores, Bench, BenchScores, HelpfulnessScores
from seqtant.steering.vectors.vector import SteeringVector

SHAPE = ShapeConfig(hidden_size=32, layers=4, heads=2, intermediate_size=48, context_length=128)


def make_model(world: World, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> HuggingFaceLM:
    network = build_network(SHAPE, world.vocabulary.size, seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim == 2:
                weight.mul_(20.0 if "embed" in name else 8.0)  # as initialized, nothing changes anything much
    words = build_tokenizer(world.vocabulary, context_length=SHAPE.context_length)
    return HuggingFaceLM(network.to(dtype), words, name="small")


def random_vector(layers: Sequence[int], seed: int = 0, width: int = SHAPE.hidden_size) -> SteeringVector:
    generator = torch.Generator().manual_seed(seed)
    return SteeringVector({layer: torch.randn(width, generator=generator) for layer in layers})


def make_bench(model: HuggingFaceLM, vector: SteeringVector, *, prompts: int = 6, items: int = 10) -> Bench:
    generator = np.random.default_rng(1)
    return Bench(model, vector, mood_questions(prompts, generator), list(fact_questions(items, generator)))


class Synthetic:
    """A trade-off in closed form: log P = log P_0 + L r + Q r^2 + higher terms, per item, and B = tanh of a line."""

    def __init__(
        self,
        *,
        items: int = 200,
        linear: float = 0.0,
        quadratic: float = -0.01,
        quartic: float = 0.0,
        odds: float = 0.0,
        seed: int = 0,
    ) -> None:
        generator = np.random.default_rng(seed)
        self.base = generator.uniform(0.3, 0.95, items)
        self.linear = linear + 0.02 * generator.standard_normal(items) * abs(linear or quadratic) ** 0.5
        self.quadratic = quadratic * generator.uniform(0.5, 1.5, items)
        self.quartic = quartic
        self.odds = odds
        self.calls: list[float] = []

    def probabilities(self, strengths: Sequence[float]) -> np.ndarray:
        r = np.asarray(strengths, dtype=np.float64)[:, None]
        return self.base * np.exp(self.linear * r + self.quadratic * r**2 + self.quartic * r**4)

    def loss(self, strength: float) -> float:
        return 1 - float(self.probabilities([strength]).mean() / self.base.mean())

    def __call__(self, strengths: Sequence[float]) -> BenchScores:
        self.calls += list(strengths)
        p = self.probabilities(strengths)
        odds = 0.3 * np.asarray(strengths)[:, None] + self.odds + np.linspace(-0.5, 0.5, 8)
        good = [np.log(1 / (1 + np.exp(-odds[:, [i]]))) for i in range(8)]
        bad = [np.log(1 / (1 + np.exp(odds[:, [i]]))) for i in range(8)]
        read = HelpfulnessScores(p, p, np.ones_like(p), np.ones_like(p), 0.25)
        return BenchScores(tuple(strengths), BehaviorScores(tuple(strengths), good, bad), read)
