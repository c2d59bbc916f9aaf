"""Lists what others advise for the same budget, each rule with its source and how far that source was read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from seqtant.architecture import theory
from seqtant.architecture.planning.planner import Plan

Strength = Literal["read at the source", "read second-hand", "counted here", "unverified"]


@dataclass(frozen=True)
class Rule:
    """One rule of practice."""

    name: str
    """Who says it."""
    says: str
    """What it says, in words."""
    source: str
    """Where it can be read."""
    strength: Strength
    """How far the source was read: an unverified rule is never a published truth."""
    advice: Callable[[Plan], tuple[float, float] | None] | None = None
    """Depths it asks for at the plan's size; None where it names none."""
    sizes: tuple[float, float] = (0.0, math.inf)
    """Non-embedding sizes it speaks about, roughly those that were built."""

    def depths(self, plan: Plan) -> tuple[float, float] | None:
        """Shallowest and deepest network it asks for; None where it says nothing about this size."""
        return self.advice(plan) if self.advice and self.sizes[0] <= plan.size <= self.sizes[1] else None


def aspect_ratio(low: float, high: float) -> Callable[[Plan], tuple[float, float]]:
    """Makes a rule of thumb of two ratios: depths whose width over depth lies between them."""
    # A larger ratio means a wider, so a shallower network.
    return lambda plan: (
        theory.depth_of_aspect_ratio(plan.size, high, plan.family.layer_parameters),
        theory.depth_of_aspect_ratio(plan.size, low, plan.family.layer_parameters),
    )


def as_built(plan: Plan) -> tuple[float, float] | None:
    """Depth of the catalogue's networks as a multiple of the law's, by size; silent below 0.5B."""
    for low, high, least, most in ((5e8, 2e10, 0.58, 0.67), (2e10, 5e10, 0.9, 0.9), (5e10, math.inf, 1.1, 1.1)):
        if low <= plan.size < high:
            return least * plan.best.depth, most * plan.best.depth
    return None


LAW = Rule(
    "Levine et al. 2020",
    "depth where width and depth are worth the same: ln width = 5.039 + 0.0555 depth",
    "arXiv 2006.12467; coefficients confirmed by bigscience, their covariance unverified",
    "read second-hand",
    lambda plan: (float(plan.band.low), float(plan.band.high)),
)
"""The law itself, beside which the others are shown."""

RULES: tuple[Rule, ...] = (
    Rule(
        "Kaplan et al. 2020",
        "shape hardly matters: 6 x 4288 comes within 3 % of the loss of 48 x 1600",
        "arXiv 2001.08361; the abstract says minimal effects within a wide range",
        "unverified",
        aspect_ratio(1600 / 48, 4288 / 6),
        (1e6, 1.6e9),
    ),
    Rule(
        "Tay et al. 2021, DeepNarrow",
        "add depth before width; gains flatten at 32 to 36 layers",
        "T5-Efficient model cards quoting arXiv 2109.10686",
        "read second-hand",
        lambda plan: (32.0, 36.0),
        (1.5e7, 1.2e10),
    ),
    Rule(
        "MobileLLM 2024",
        "deep and thin below 1B: published shapes have width / depth 19 to 30",
        "its configurations, 125M to 1.5B",
        "read at the source",
        aspect_ratio(19.0, 30.0),
        (8e7, 2e9),
    ),
    Rule(
        "Petty et al. 2023",
        "deeper helps loss and compositional generalization at 41M to 374M, with fast diminishing returns",
        "abstract",
        "read second-hand",
    ),
    Rule(
        "Chinchilla, table A9",
        "50 trained shapes with width / depth 40 to 109",
        "the table as copied in nanoGPT's notebook; arXiv 2203.15556",
        "read second-hand",
        aspect_ratio(40.0, 109.0),
        (4e7, 1.7e10),
    ),
    Rule(
        "nanochat",
        "one dial: width = 64 x depth",
        "scripts/base_train.py",
        "read at the source",
        aspect_ratio(64.0, 64.0),
        (1e7, 4e9),
    ),
    Rule(
        "Cerebras-GPT",
        "width / depth about 80",
        "model card",
        "read at the source",
        aspect_ratio(80.0, 80.0),
        (1e8, 1.4e10),
    ),
    Rule(
        "Open models, as built",
        "63 shapes of LitGPT's catalogue: median depth 0.58 to 0.67 of the law at 0.5B to 20B, 0.9 to 50B, 1.1 above",
        "LitGPT config.py",
        "counted here",
        as_built,
    ),
    Rule(
        "SoViT 2023, images only",
        "grow the feed-forward width fastest, then depth, then width",
        "big_vision; arXiv 2305.13035",
        "read second-hand",
    ),
    Rule(
        "Hardware",
        "wide and shallow trains faster per second; widths in multiples of 128 up to 39 % faster",
        "abstract of arXiv 2401.14489; bigscience chronicles",
        "read second-hand",
    ),
)
"""Every rule shown beside the law."""


def vocabulary_parameters(size: float, approach: Literal[1, 2] = 2) -> float:
    """Computes the embedding parameters that suit N non-embedding parameters, by Tao et al. 2024.

    Approach 2: 3145728 (N / 33e6)^0.8354. Approach 1: e^(-1.589) F^0.41636 with F = (N / e^(-2.48465))^2. Divide by
    the width for a vocabulary size. Source: sail-sg/scaling-with-vocab, the predictor's code.
    """
    theory.check_size(size)
    if approach == 2:
        return 3145728.0 * (size / 33e6) ** 0.8354
    return math.exp(-1.589) * (size / math.exp(-2.48465)) ** (2.0 * 0.41636)


BUILT: dict[str, tuple[int, int]] = {
    "GPT-2": (12, 768),
    "GPT-2 XL": (48, 1600),
    "iGPT-S": (24, 512),
    "iGPT-M": (36, 1024),
    "iGPT-L": (48, 1536),
    "iGPT-XL": (60, 3072),
    "GPT-3": (96, 12288),
    "GatorTron": (48, 2560),
    "Chinchilla": (80, 8192),
    "Gopher": (80, 16384),
    "BLOOM": (70, 14336),
}
"""Depth and width of published networks, drawn beside the law; their layers have 12 d^2 parameters."""
