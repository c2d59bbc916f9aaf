"""The commands of the architecture room: flags in, instrument called, result delivered."""

from __future__ import annotations

from cyclopts import App

from seqtant.architecture.config import (
    AuditConfig,
    BoundsConfig,
    EmbeddingRankConfig,
    FitConfig,
    MatchConfig,
    Modality,
    PlanConfig,
    Positions,
    RankConfig,
    SweepConfig,
    TokenKind,
)
from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole

app = App(name="architecture", help="How deep, how wide? Is the vocabulary choking the width?")


@app.command
def plan(
    *,
    params: str | None = None,
    modality: Modality | None = None,
    vocab: str | None = None,
    d_ff_ratio: float | None = None,
    glu: bool | None = None,
    kv_heads: Whole | None = None,
    snap: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Plan a shape: a band of depths for a parameter budget, with what other rules of practice say.

    Args:
        params: Non-embedding parameters: 1.3e9, 1.3B or 350M.
        modality: Kind of data; sets the vocabulary and the rank of the input.
        vocab: Vocabulary size, e.g. 50257 or 32K.
        d_ff_ratio: Feed-forward width over model width.
        glu: Gated feed-forward layers.
        kv_heads: Key-value heads of grouped-query attention.
        snap: Round widths to a multiple of this.
        options: Shared flags.
    """
    execute(
        PlanConfig,
        options,
        params=params,
        modality=modality,
        vocab=vocab,
        d_ff_ratio=d_ff_ratio,
        glu=glu,
        kv_heads=kv_heads,
        snap=snap,
    )


@app.command
def bounds(
    *,
    depth: Whole | None = None,
    width: Whole | None = None,
    heads: Whole | None = None,
    embed_rank: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Bound the separation rank of a shape: both theorems, the exact two-token value, the regime.

    Args:
        depth: Attention layers.
        width: Width of the residual stream.
        heads: Attention heads.
        embed_rank: Rank of the input embedding, if it is not full.
        options: Shared flags.
    """
    execute(BoundsConfig, options, depth=depth, width=width, heads=heads, embed_rank=embed_rank)


@app.command
def match(
    *,
    depth: Whole | None = None,
    width: Whole | None = None,
    to_depth: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Find the width that another depth needs for the same separation rank.

    Args:
        depth: Layers of the network to match.
        width: Width of the network to match.
        to_depth: Layers of the network that must match it.
        options: Shared flags.
    """
    execute(MatchConfig, options, depth=depth, width=width, to_depth=to_depth)


@app.command
def rank(
    *,
    depth: Whole | None = None,
    width: Whole | None = None,
    heads: Whole | None = None,
    tokens: Whole | None = None,
    embed_rank: Whole | None = None,
    inner_dim: Whole | None = None,
    positions: Positions | None = None,
    vocab: Whole | None = None,
    residual: bool | None = None,
    projection: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure the exact separation rank of a small attention network, beside its closed form.

    Args:
        depth: Attention layers.
        width: Width of the residual stream.
        heads: Attention heads.
        tokens: Input vectors, an even number.
        embed_rank: Rank of the input embedding, if it is not full.
        inner_dim: Heads times head width, if it is not the width.
        positions: Position vectors: none, span or free.
        vocab: Enumerate all inputs over a vocabulary of this size.
        residual: Add each layer's input to its output.
        projection: Rank of a projection after the first layer.
        options: Shared flags.
    """
    execute(
        RankConfig,
        options,
        depth=depth,
        width=width,
        heads=heads,
        tokens=tokens,
        embed_rank=embed_rank,
        inner_dim=inner_dim,
        positions=positions,
        vocab=vocab,
        residual=residual,
        projection=projection,
    )


@app.command
def audit(
    model: str | None = None,
    /,
    *,
    length: Whole | None = None,
    dtype: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Audit a model's shape: exact counts, its depth against the law, narrow places.

    Args:
        model: Model folder, config.json or hub name (owner/name); the model that ships if none is given.
        length: Tokens of a sequence at which attention is counted.
        dtype: Number format of the key-value cache, e.g. bfloat16.
        options: Shared flags.
    """
    execute(AuditConfig, options, model=model, length=length, dtype=dtype)


@app.command
def embedding_rank(model: str | None = None, /, *, options: Options = DEFAULT) -> None:
    """Measure how many directions a trained input embedding really uses.

    Args:
        model: Model folder, .safetensors file or hub name (owner/name); the model that ships if none is given.
        options: Shared flags.
    """
    execute(EmbeddingRankConfig, options, model=model)


@app.command
def sweep(
    *,
    text: str | None = None,
    tokens: TokenKind | None = None,
    depths: tuple[Whole, ...] | None = None,
    seeds: Whole | None = None,
    steps: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train networks of equal size and different depth; test whether a limited rank moves the balance to depth.

    With --out, finished networks are kept there, and the same command goes on after an interrupt.

    Args:
        text: Text to train on, .txt or .jsonl; a built-in phrase grammar if none is given.
        tokens: What the text is cut into; bpe is learned from it.
        depths: Depths to compare at equal size, e.g. --depths 2 --depths 8.
        seeds: Runs per network.
        steps: Optimizer steps per run.
        options: Shared flags.
    """
    execute(SweepConfig, options, text=text, tokens=tokens, depths=depths, seeds=seeds, steps=steps)


@app.command
def fit(
    losses: str | None = None,
    /,
    *,
    embedding: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Fit the depth law to losses: where deeper networks start to win, the line through it, what it predicts.

    Args:
        losses: CSV with columns size, depth, loss, seed, as a sweep writes it; simulated losses if none is given.
        embedding: Which embedding to take where the file has several.
        options: Shared flags.
    """
    execute(FitConfig, options, losses=losses, embedding=embedding)
