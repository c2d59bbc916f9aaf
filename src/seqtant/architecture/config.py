"""Settings of the verbs of the architecture instrument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from seqtant.boundary import parse_size
from seqtant.errors import InputError
from seqtant.settings import Count, Positive, VerbConfig, config
from seqtant.sources import InMemory, ModelSource, Rows, describe, is_path

Modality = Literal["text", "bytes", "image-tokens", "pixels", "amino-acids", "dna", "patches"]
Positions = Literal["none", "span", "free"]
EmbeddingKind = Literal["plain", "control"] | Count
TokenKind = Literal["bytes", "characters", "bpe"]

MAX_DEPTH = 600
"""Deepest network the closed forms accept: 3^depth must stay a finite float64."""
Depth = Annotated[int, Field(ge=1, le=MAX_DEPTH)]
"""Layers of a network in closed form."""
TwoOrMore = Annotated[int, Field(ge=2)]
"""A whole number of at least 2."""
UpTo1024 = Annotated[int, Field(ge=1, le=1024)]
"""A whole number from 1 to 1024."""
Ratio = Annotated[float, Field(ge=2**-10, le=2**10)]
"""A ratio of two widths."""
Size = Annotated[
    float,
    BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value),
    Field(ge=1e3, le=1e15),
]
"""The size of a network in parameters, or of a text in tokens: 1.3e9, "1.3B" or "350M"."""


def _each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) != len(values):
        raise ValueError(f"give at least one value, each once, not {list(values)}")
    return values


def _rising(values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) < 2 or list(values) != sorted(set(values)):
        raise ValueError(f"give at least two, rising, not {list(values)}")
    return values


Rising = Annotated[tuple[Count, ...], AfterValidator(_rising)]
"""Two depths or more, rising."""


def _network(value: Any) -> Any:
    if is_path(value):
        return str(value)
    given: Any = value
    inner = given[0] if isinstance(value, tuple) and given else given
    if not any(hasattr(inner, name) for name in ("model_type", "config", "model")):
        shown = " ".join(repr(given).split())
        raise InputError(
            f"{shown:.60} is no model: give a folder, a hub name, a transformers model or its configuration"
        )
    return given


def _losses(value: Any) -> Any:
    """A path as it is; columns, or the losses of all seeds by (size, depth), as rows."""
    if is_path(value):
        return str(value)
    table: Any = value
    if isinstance(value, bytes | int | float) or not hasattr(value, "__iter__"):
        raise InputError(f"{value!r:.60} is neither a CSV file nor rows (size, depth, loss, seed)")
    if not isinstance(value, Mapping):
        return table
    if all(isinstance(key, str) for key in table):
        columns: dict[str, list[Any]] = {key: list(each) for key, each in table.items() if hasattr(each, "__iter__")}
        if len(columns) < len(table) or len({len(values) for values in columns.values()}) != 1:
            raise InputError("losses: every column must be a list, all of one length")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    rows: list[dict[str, Any]] = []
    for key, values in table.items():
        pair: Any = key
        if not isinstance(key, tuple) or len(pair) != 2:
            raise InputError(f"losses: {key!r:.60} is no (size, depth)")
        losses: Sequence[Any] = list(values) if hasattr(values, "__iter__") else [values]
        rows += [{"size": pair[0], "depth": pair[1], "seed": seed, "loss": loss} for seed, loss in enumerate(losses)]
    return rows


if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    NetworkSource: TypeAlias = ModelSource | PreTrainedConfig
    Losses: TypeAlias = Rows | Mapping[str, Sequence[Any]] | Mapping[tuple[float, int], Sequence[float]]
else:
    NetworkSource = Annotated[Any, InMemory(), BeforeValidator(_network), PlainSerializer(describe)]
    """What a shape can be read off: a model, in memory or by name, or its transformers configuration alone."""
    Losses = Annotated[Any, InMemory(), BeforeValidator(_losses), PlainSerializer(describe)]
    """Losses by size and depth: a CSV file, rows, columns by name, or the losses of all seeds by (size, depth)."""


@config
class PlanConfig(VerbConfig):
    """Plan a shape: a band of depths for a parameter budget, with what other rules of practice say."""

    verb: ClassVar[str] = "architecture.plan"
    params: Size = field(kw_only=False)
    """Parameter budget: 1.3e9, "1.3B" or "350M"."""
    count: Literal["non-embedding", "total"] = "non-embedding"
    """Whether the budget leaves the embedding and output tables out (as the depth law does) or includes them."""
    modality: Modality | None = None
    """Kind of data; sets the vocabulary and the rank of the input where they are not given."""
    vocab: Annotated[int, Field(ge=2, le=2**31)] | None = None
    """Vocabulary size, e.g. 50257 or 32K; by default that of the modality, or 50257 (English byte-pair encoding)."""
    embed_rank: Annotated[int, Field(ge=1, le=2**31)] | None = None
    """Rank of the input embedding when it is below the vocabulary: factorized embeddings, patch dimension."""
    tied: bool = True
    """Whether the output head shares the embedding table."""
    d_ff_ratio: Ratio | None = None
    """Feed-forward width over model width; by default 4, or 8/3 with gated feed-forward layers."""
    glu: bool = False
    """Gated feed-forward layers (three matrices instead of two)."""
    head_dim: UpTo1024 | None = None
    """Width of one attention head; by default 64, and 128 from width 2048 on."""
    kv_heads: UpTo1024 | None = None
    """Key-value heads of grouped-query attention; by default as many as query heads."""
    qk_norm: bool = False
    """A norm of head width each on queries and keys."""
    snap: UpTo1024 | None = None
    """Widths are multiples of this; by default 64, and 128 from width 1024 on, as tensor cores like them."""
    experts: Annotated[int, Field(ge=2, le=2**16)] | None = None
    """Routed experts per layer of a mixture; by default layers are dense, or with ``active`` as many as fill params."""
    active: Size | None = None
    """Budget of parameters that a token passes through, beside ``params`` for all of them: a mixture of experts."""
    experts_per_token: Count = 8
    """Routed experts that a token of a mixture passes through."""
    shared_experts: Annotated[int, Field(ge=0)] = 0
    """Experts of a mixture that every token passes through besides."""
    granularity: Ratio | None = None
    """Dense feed-forward width over an expert's; by default the experts of a token together are as wide as dense."""
    context: Annotated[int, Field(ge=1, le=2**24)] = 2048
    """Tokens of context at which attention is counted and the key-value cache is held."""
    cache_dtype: Literal["float32", "float16", "bfloat16", "int8"] = "bfloat16"
    """Number format of the key-value cache."""
    tokens: Size | None = None
    """Tokens to train on; by default 20 per parameter (Hoffmann et al. 2022), of a mixture per active one."""
    mfu: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Model FLOPs utilization: the share of the devices' peak that training reaches."""
    device_flops: Positive = 1e15
    """Peak of one device in FLOP/s: dense 16-bit products, from its data sheet."""
    data: Count = 1
    """Data-parallel replicas, among which ZeRO divides the states."""
    tensor: UpTo1024 = 1
    """Tensor-parallel splits; they divide the heads."""
    pipeline: UpTo1024 = 1
    """Pipeline stages; they divide the depth."""
    batch: Count = 1
    """Sequences of one microbatch."""
    recompute: Literal["none", "selective", "full"] = "selective"
    """Activations computed again: none, those of attention (as fused kernels do), or all."""
    base_width: Count | None = None
    """Width of the network whose learning rate was tuned: gives multipliers for the planned one."""
    base_depth: Count | None = None
    """Depth of that network; by default the planned one's."""

    def __post_init__(self) -> None:
        if self.experts and (self.active or self.experts_per_token > self.experts):
            raise InputError(f"experts is {self.experts}: give no active beside it, and experts_per_token up to it")
        if self.active and self.active >= self.params:
            raise InputError(f"active is {self.active:g}: it must be below params {self.params:g}")
        if self.base_depth and not self.base_width:
            raise InputError("base_depth goes with base_width: give both")


@config
class BoundsConfig(VerbConfig):
    """Bound the separation rank of a shape: both theorems, the exact two-token value, the regime."""

    verb: ClassVar[str] = "architecture.bounds"
    depth: Depth = field(default=6, kw_only=False)
    """Attention layers."""
    width: Count = field(default=768, kw_only=False)
    """Width of the residual stream."""
    heads: Count = field(default=12, kw_only=False)
    """Attention heads; must divide the width."""
    embed_rank: Count | None = None
    """Rank of the input embedding; by default full."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(f"heads is {self.heads}: it must divide the width {self.width}")


@config
class MatchConfig(VerbConfig):
    """Find the width that another depth needs for the same separation rank."""

    verb: ClassVar[str] = "architecture.match"
    depth: Depth = field(default=3, kw_only=False)
    """Layers of the network to match."""
    width: Count = field(default=16, kw_only=False)
    """Width of the network to match."""
    to_depth: Depth = field(default=2, kw_only=False)
    """Layers of the network that must match it."""


@config
class NetworkShape:
    """The shape of a polynomial attention network and its inputs."""

    depth: Count = field(default=2, kw_only=False)
    """Attention layers."""
    width: Count = field(default=4, kw_only=False)
    """Width of the residual stream."""
    heads: Count = 1
    """Attention heads; must divide the inner dimension."""
    tokens: TwoOrMore = 8
    """Input vectors, half of them on each side of the cut: an even number."""
    embed_rank: Count | None = None
    """Rank of the input embedding; by default full."""
    inner_dim: Count | None = None
    """Heads times head width; by default the width."""
    positions: Positions = "none"
    """Position vectors added to the input: none, inside the span of the embedding, or free."""
    vocab: Count | None = None
    """Finite vocabulary, all of whose inputs are enumerated; by default inputs are continuous."""
    residual: bool = False
    """Adds each layer's input to its output."""
    projection: Count | None = None
    """Rank of a projection after the first layer; by default there is none."""

    def __post_init__(self) -> None:
        if self.tokens % 2:
            raise InputError(f"tokens is {self.tokens}: give an even number, half of them on each side of the cut")
        if self.inner % self.heads:
            what = "width" if self.inner_dim is None else "inner_dim"
            raise InputError(f"heads is {self.heads}: it must divide the {what} {self.inner}")

    @property
    def inner(self) -> int:
        """Heads times head width."""
        return self.width if self.inner_dim is None else self.inner_dim

    @property
    def rank(self) -> int:
        """Rank of the input embedding, at most the width."""
        return self.width if self.embed_rank is None else min(self.embed_rank, self.width)


@config
class RankConfig(NetworkShape, VerbConfig):
    """Measure the exact separation rank of a small attention network, beside its closed form."""

    verb: ClassVar[str] = "architecture.rank"
    templates: Count = 32
    """Inputs per half to begin with; doubled until the rank stays below them."""
    max_templates: TwoOrMore = 2048
    """Largest number of inputs per half; beyond it the result is a lower bound."""

    def __post_init__(self) -> None:
        if self.depth > 10 or self.width > 64:
            raise InputError(
                f"depth is {self.depth} and width {self.width}: exact ranks are measured up to depth 10 and width 64; "
                "use 'seqtant architecture bounds' beyond"
            )
        super().__post_init__()


@config
class AuditConfig(VerbConfig):
    """Audit a model's shape: exact counts, its depth against the law, narrow places."""

    verb: ClassVar[str] = "architecture.audit"
    model: NetworkSource = field(default="reference", kw_only=False)
    """Model folder, config.json, hub name as owner/name, or "reference" for the model that ships."""
    length: Count | None = None
    """Tokens of a sequence at which attention is counted; by default the model's context, at most 2048."""
    dtype: str | None = None
    """Number format of the key-value cache, e.g. bfloat16; by default the one the configuration names."""


@config
class EmbeddingRankConfig(VerbConfig):
    """Measure how many directions a trained input embedding really uses."""

    verb: ClassVar[str] = "architecture.embedding-rank"
    model: NetworkSource = field(default="reference", kw_only=False)
    """Model folder, .safetensors file, hub name as owner/name, or "reference" for the model that ships."""


@config
class SweepConfig(VerbConfig):
    """Train networks of equal size and different depth; test whether a limited rank moves the balance to depth.

    With --out, finished networks are kept there, and the same command goes on after an interrupt.
    """

    verb: ClassVar[str] = "architecture.sweep"
    text: Rows | None = dataclasses.field(default=None, kw_only=False)
    """Text to train on: .txt, or .jsonl with the text under ``field``; by default a small phrase grammar."""
    field: str = "text"
    """Name of the text in a JSON line."""
    tokens: TokenKind = "characters"
    """How text becomes numbers; bpe is learned from the text."""
    vocab: int = 2000
    """Vocabulary size of ``bpe``."""
    sizes: Annotated[tuple[Positive, ...], AfterValidator(_each_once)] = (1e5,)
    """Sizes in non-embedding parameters; every depth is built at every size."""
    depths: Rising = (2, 8)
    """Depths to compare at equal size, rising, e.g. --depths 2 --depths 8; neighbors are compared."""
    embeddings: Annotated[tuple[EmbeddingKind, ...], AfterValidator(_each_once)] = ("plain", "control", 2)
    """Input embeddings: a plain table, a factorized one of full rank (the control of a rank test), or a rank."""
    positions: Literal["learned", "rotary"] = "learned"
    """Learned vectors add rank to the input; rotary positions add none."""
    heads: Count = 4
    """Attention heads of every network; widths are multiples of it."""
    head_size: Count | None = None
    """Width of one head; then wider networks have more heads, and widths are multiples of it."""
    context: TwoOrMore = 64
    """Tokens per window."""
    rows: Count = 24
    """Windows per step."""
    steps: Count = 400
    """Optimizer steps of each run."""
    warmup: Annotated[int, Field(ge=0)] = 20
    """Steps of warm-up."""
    learning_rates: Annotated[tuple[Positive, ...], AfterValidator(_each_once)] = (1e-3, 3e-3, 1e-2)
    """Peak learning rates to choose from, for each network on its own; one alone is taken as it is."""
    tuning_steps: Count = 200
    """Steps of the runs that choose the learning rate; their seed is not used again."""
    seeds: TwoOrMore = 3
    """Runs per network; runs of equal seed see the same batches in the same order."""
    weight_decay: float = 0.1
    """Decoupled weight decay of the matrices."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision."""
    validation_windows: TwoOrMore = 400
    """Windows on which the loss is measured, the same for every network."""

    def __post_init__(self) -> None:
        if any(isinstance(embedding, int) for embedding in self.embeddings) and "control" not in self.embeddings:
            raise InputError("a rank needs its control: add 'control' (factorized, full rank) to embeddings")
        if self.warmup > min(self.steps, self.tuning_steps):
            raise InputError(f"warmup is {self.warmup}: it must lie between 0 and steps and tuning_steps")


@config
class FitConfig(VerbConfig):
    """Fit the depth law to losses: where deeper networks start to win, the line through it, what it predicts."""

    verb: ClassVar[str] = "architecture.fit"
    losses: Losses | None = field(default=None, kw_only=False)
    """CSV with columns size, depth, loss and optionally seed, embedding; by default losses are simulated."""
    embedding: str = "plain"
    """Which embedding to take, where the file has a column for it."""
    draws: Annotated[int, Field(ge=100)] = 2000
    """Draws of the bootstrap over seeds behind the error of each crossing."""
    pair_depth: Literal["deep", "shallow"] = "deep"
    """Which depth of a crossing pair the line is drawn through; the paper does not say."""
    spread: Positive = 0.003
    """Seed-to-seed standard deviation of simulated losses, nats."""
    simulated_depths: Rising = (6, 12, 18, 24, 30, 36)
    """Depths of simulated losses."""
