"""What a user can ask of the architecture room: one frozen configuration per verb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.errors import InputError
from seqtant.ranges import at_least, at_most, positive
from seqtant.training.config import TrainingConfig

Modality = Literal["text", "bytes", "image-tokens", "pixels", "amino-acids", "dna", "patches"]
Positions = Literal["none", "span", "free"]
EmbeddingKind = Literal["plain", "control"] | int
TokenKind = Literal["bytes", "characters", "bpe"]

MAX_DEPTH = 600
"""Deepest network the closed forms accept: 3^depth must stay a finite float64."""


def _depths_within(**fields: int) -> None:
    at_least(1, **fields)
    for name, depth in fields.items():
        if depth > MAX_DEPTH:
            raise InputError(f"{name} is {depth}: the closed forms reach {MAX_DEPTH} layers, give fewer")


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Which shapes suit a parameter budget."""

    params: float
    """Parameter budget: 1.3e9, "1.3B" or "350M"."""
    count: Literal["non-embedding", "total"] = "non-embedding"
    """Whether the budget leaves the embedding and output tables out (as the depth law does) or includes them."""
    modality: Modality | None = None
    """Kind of data; sets the vocabulary and the rank of the input where they are not given."""
    vocab: int | None = None
    """Vocabulary size; by default that of the modality, or 50257 (English byte-pair encoding)."""
    embed_rank: int | None = None
    """Rank of the input embedding when it is below the vocabulary: factorized embeddings, patch dimension."""
    tied: bool = True
    """Whether the output head shares the embedding table."""
    d_ff_ratio: float | None = None
    """Feed-forward width over model width; by default 4, or 8/3 with gated feed-forward layers."""
    glu: bool = False
    """Gated feed-forward layers (three matrices instead of two)."""
    head_dim: int = 64
    """Width of one attention head."""
    kv_heads: int | None = None
    """Key-value heads of grouped-query attention; by default as many as query heads."""
    snap: int = 64
    """Widths are rounded to a multiple of this: 128 suits tensor cores."""
    context: int = 2048
    """Tokens of context at which attention is counted."""
    cache_dtype: Literal["float32", "float16", "bfloat16", "int8"] = "bfloat16"
    """Number format of the key-value cache."""

    def __post_init__(self) -> None:
        positive(params=self.params, d_ff_ratio=self.d_ff_ratio)
        if self.params < 1e3:
            raise InputError(f"params is {self.params:g}: give the size of a network, at least 1000 parameters")
        if self.params > 1e18:
            raise InputError(f"params is {self.params:g}: give at most 1e18 parameters")
        at_least(1, embed_rank=self.embed_rank, head_dim=self.head_dim, kv_heads=self.kv_heads, snap=self.snap)
        at_most(1024, head_dim=self.head_dim, kv_heads=self.kv_heads, snap=self.snap)
        at_least(1, context=self.context)
        at_least(2, vocab=self.vocab)

    @classmethod
    def smoke(cls) -> PlanConfig:
        """A budget inside the fitted range of the depth law."""
        return cls(params=8.5e7)

    @classmethod
    def cpu(cls) -> PlanConfig:
        """A budget at the middle of today's practice."""
        return cls(params=1.3e9)

    @classmethod
    def gpu(cls) -> PlanConfig:
        """The size of GPT-3."""
        return cls(params=1.74e11)


@dataclass(frozen=True, kw_only=True)
class BoundsConfig:
    """Bounds on the separation rank of one shape."""

    depth: int = 6
    """Attention layers."""
    width: int = 768
    """Width of the residual stream."""
    heads: int = 12
    """Attention heads; must divide the width."""
    embed_rank: int | None = None
    """Rank of the input embedding; by default full."""

    def __post_init__(self) -> None:
        _depths_within(depth=self.depth)
        at_least(1, width=self.width, heads=self.heads, embed_rank=self.embed_rank)
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")

    @classmethod
    def smoke(cls) -> BoundsConfig:
        """BERT-Base's width at 6 layers."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class MatchConfig:
    """The width that another depth needs for the same separation rank."""

    depth: int = 3
    """Layers of the network to match."""
    width: int = 16
    """Width of the network to match."""
    to_depth: int = 2
    """Layers of the network that must match it."""

    def __post_init__(self) -> None:
        _depths_within(depth=self.depth, to_depth=self.to_depth)
        at_least(1, width=self.width)

    @classmethod
    def smoke(cls) -> MatchConfig:
        """Three layers of width 16 against two."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class RankConfig:
    """A small polynomial attention network whose separation rank is measured exactly."""

    depth: int = 2
    """Attention layers."""
    width: int = 4
    """Width of the residual stream."""
    heads: int = 1
    """Attention heads; must divide the inner dimension."""
    tokens: int = 8
    """Input vectors, half of them on each side of the cut: an even number."""
    embed_rank: int | None = None
    """Rank of the input embedding; by default full."""
    inner_dim: int | None = None
    """Heads times head width; by default the width."""
    positions: Positions = "none"
    """Position vectors added to the input: none, inside the span of the embedding, or free."""
    vocab: int | None = None
    """Finite vocabulary, all of whose inputs are enumerated; by default inputs are continuous."""
    residual: bool = False
    """Adds each layer's input to its output."""
    projection: int | None = None
    """Rank of a projection after the first layer; by default there is none."""
    templates: int = 32
    """Inputs per half to begin with; doubled until the rank stays below them."""
    max_templates: int = 2048
    """Largest number of inputs per half; beyond it the result is a lower bound."""

    def __post_init__(self) -> None:
        at_least(1, depth=self.depth, width=self.width, heads=self.heads, embed_rank=self.embed_rank)
        if self.depth > 10 or self.width > 64:
            raise InputError(
                f"depth is {self.depth} and width {self.width}: exact ranks are measured up to depth 10 and width 64; "
                "use 'seqtant architecture bounds' beyond"
            )
        at_least(1, inner_dim=self.inner_dim, vocab=self.vocab, projection=self.projection, templates=self.templates)
        at_least(2, tokens=self.tokens, max_templates=self.max_templates)
        if self.tokens % 2:
            raise InputError(f"tokens is {self.tokens}: give an even number, half of them on each side of the cut")
        if self.inner % self.heads:
            what = "width" if self.inner_dim is None else "inner_dim"
            raise InputError(f"heads is {self.heads}: it must divide the {what} {self.inner}")

    @property
    def inner(self) -> int:
        """Heads times head width."""
        return self.width if self.inner_dim is None else self.inner_dim

    @classmethod
    def smoke(cls) -> RankConfig:
        """Two layers of width 4 on 8 tokens: rank 110."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """The shape of an existing model: exact counts, depth against the law, narrow places."""

    model: str = "reference"
    """Model folder, config.json, hub name as owner/name, or "reference" for the model that ships."""
    length: int | None = None
    """Tokens of a sequence at which attention is counted; by default the model's context, at most 2048."""
    dtype: str | None = None
    """Number format of the key-value cache, e.g. bfloat16; by default the one the configuration names."""

    def __post_init__(self) -> None:
        at_least(1, length=self.length)

    @classmethod
    def smoke(cls) -> AuditConfig:
        """The model that ships in the package."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class EmbeddingRankConfig:
    """How many directions a trained input embedding really uses."""

    model: str = "reference"
    """Model folder, .safetensors file, hub name as owner/name, or "reference" for the model that ships."""

    @classmethod
    def smoke(cls) -> EmbeddingRankConfig:
        """The model that ships in the package."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A grid of networks of equal size, trained: does depth or width win, and does a limited rank change it?"""

    text: str | None = None
    """Text to train on: .txt, or .jsonl with the text under ``field``; by default a small phrase grammar."""
    field: str = "text"
    """Name of the text in a JSON line."""
    tokens: TokenKind = "characters"
    """How text becomes numbers."""
    vocab: int = 2000
    """Vocabulary size of ``bpe``."""
    sizes: tuple[float, ...] = (1e5,)
    """Sizes in non-embedding parameters; every depth is built at every size."""
    depths: tuple[int, ...] = (2, 8)
    """Depths, rising; neighbors are compared."""
    embeddings: tuple[EmbeddingKind, ...] = ("plain", "control", 2)
    """Input embeddings: a plain table, a factorized one of full rank (the control of a rank test), or a rank."""
    positions: Literal["learned", "rotary"] = "learned"
    """Learned vectors add rank to the input; rotary positions add none."""
    heads: int = 4
    """Attention heads of every network; widths are multiples of it."""
    head_size: int | None = None
    """Width of one head; then wider networks have more heads, and widths are multiples of it."""
    context: int = 64
    """Tokens per window."""
    rows: int = 24
    """Windows per step."""
    steps: int = 400
    """Optimizer steps of each run."""
    warmup: int = 20
    """Steps of warm-up."""
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    """Peak learning rates to choose from, for each network on its own; one alone is taken as it is."""
    tuning_steps: int = 200
    """Steps of the runs that choose the learning rate; their seed is not used again."""
    seeds: int = 3
    """Runs per network; runs of equal seed see the same batches in the same order."""
    weight_decay: float = 0.1
    """Decoupled weight decay of the matrices."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    validation_windows: int = 400
    """Windows on which the loss is measured, the same for every network."""

    def __post_init__(self) -> None:
        at_least(
            1,
            heads=self.heads,
            head_size=self.head_size,
            rows=self.rows,
            steps=self.steps,
            tuning_steps=self.tuning_steps,
        )
        at_least(2, context=self.context, seeds=self.seeds, validation_windows=self.validation_windows)
        for name in ("sizes", "depths", "embeddings", "learning_rates"):
            values = getattr(self, name)
            if len(set(values)) != len(values) or not values:
                raise InputError(f"{name} is {list(values)}: give at least one value, each once")
        positive(**{f"sizes[{index}]": size for index, size in enumerate(self.sizes)})
        positive(**{f"learning_rates[{index}]": rate for index, rate in enumerate(self.learning_rates)})
        if len(self.depths) < 2 or list(self.depths) != sorted(self.depths) or self.depths[0] < 1:
            raise InputError(f"depths is {list(self.depths)}: give at least two, rising from 1 or more")
        for embedding in self.embeddings:
            at_least(1, embeddings=embedding if isinstance(embedding, int) else 1)
        if any(isinstance(embedding, int) for embedding in self.embeddings) and "control" not in self.embeddings:
            raise InputError("a rank needs its control: add 'control' (factorized, full rank) to embeddings")
        if not 0 <= self.warmup <= min(self.steps, self.tuning_steps):
            raise InputError(f"warmup is {self.warmup}: it must lie between 0 and steps and tuning_steps")

    def training(self, steps: int, learning_rate: float) -> TrainingConfig:
        """Settings of one training run."""
        return TrainingConfig(
            steps=steps,
            learning_rate=learning_rate,
            warmup=self.warmup,
            weight_decay=self.weight_decay,
            precision=self.precision,
        )

    @classmethod
    def smoke(cls) -> SweepConfig:
        """Tiny networks on the phrase grammar: shows the course of a sweep, decides nothing."""
        return cls(
            sizes=(1.2e4,),
            depths=(1, 4),
            embeddings=("control", 2),
            context=32,
            rows=8,
            steps=30,
            warmup=3,
            learning_rates=(3e-3, 1e-2),
            tuning_steps=10,
            validation_windows=40,
        )

    @classmethod
    def cpu(cls) -> SweepConfig:
        """About ten minutes on two cores."""
        return cls()

    @classmethod
    def gpu(cls) -> SweepConfig:
        """Six layers against twelve around the transition of the law; give a text of some hundred megabytes."""
        return cls(
            tokens="bpe",
            sizes=(1e6, 3e6, 1e7, 3e7),
            depths=(6, 12),
            embeddings=("plain",),
            head_size=16,
            context=512,
            rows=64,
            steps=3000,
            warmup=150,
            learning_rates=(1e-3, 2e-3, 4e-3),
            tuning_steps=600,
            precision="bf16",
        )


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The depth law of your own losses: crossings of depth pairs and the line through them."""

    losses: str | None = None
    """CSV with columns size, depth, loss and optionally seed, embedding; by default losses are simulated."""
    embedding: str = "plain"
    """Which embedding to take, where the file has a column for it."""
    draws: int = 2000
    """Draws of the bootstrap over seeds behind the error of each crossing."""
    pair_depth: Literal["deep", "shallow"] = "deep"
    """Which depth of a crossing pair the line is drawn through; the paper does not say."""
    spread: float = 0.003
    """Seed-to-seed standard deviation of simulated losses, nats."""
    simulated_depths: tuple[int, ...] = (6, 12, 18, 24, 30, 36)
    """Depths of simulated losses."""

    def __post_init__(self) -> None:
        at_least(100, draws=self.draws)
        positive(spread=self.spread)
        if len(self.simulated_depths) < 2 or list(self.simulated_depths) != sorted(set(self.simulated_depths)):
            raise InputError(f"simulated_depths is {list(self.simulated_depths)}: give at least two, rising")
        at_least(1, simulated_depths=self.simulated_depths[0])

    @classmethod
    def smoke(cls) -> FitConfig:
        """Losses simulated from the published law: does the procedure find it again?"""
        return cls()


CONFIGS: dict[str, type] = {
    "plan": PlanConfig,
    "bounds": BoundsConfig,
    "match": MatchConfig,
    "rank": RankConfig,
    "audit": AuditConfig,
    "embedding-rank": EmbeddingRankConfig,
    "sweep": SweepConfig,
    "fit": FitConfig,
}
