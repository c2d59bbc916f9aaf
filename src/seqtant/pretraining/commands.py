"""The commands of the pretraining room: flags in, instrument called, result delivered."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.pretraining.config import (
    AuditConfig,
    BiasConfig,
    BuildConfig,
    CompareArmsConfig,
    ComposeConfig,
    DeficitConfig,
    EpsilonRankConfig,
    PackConfig,
    TaptConfig,
)
from seqtant.pretraining.sections import Arm, IndexKind, Strategy

app = App(name="pretraining", help="Which texts should share a training example?")

Several = Parameter(negative="")


def _section(**flags: Any) -> dict[str, Any] | None:
    """The flags of one section of a configuration; None if none was given."""
    return {name: value for name, value in flags.items() if value is not None} or None


@app.command
def pack(
    lengths: str | None = None,
    /,
    *,
    window: Whole | None = None,
    strategy: Strategy | None = None,
    buffer: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Pack documents into windows by their lengths: how full, how many cut.

    Args:
        lengths: JSON list of document lengths in tokens; by default a published example.
        window: Tokens that fit into one window.
        strategy: How they are packed.
        buffer: Documents ahead among which 'tour' may choose.
        options: Shared flags.
    """
    execute(PackConfig, options, lengths=lengths, window=window, strategy=strategy, buffer=buffer)


@app.command
def build(
    *corpus: str,
    arm: Annotated[tuple[Arm, ...] | None, Several] = None,
    window: Whole | None = None,
    share: float | None = None,
    k: Whole | None = None,
    encoder: str | None = None,
    tokenizer: str | None = None,
    index: IndexKind | None = None,
    hold_out: Whole | None = None,
    blocklist: Annotated[tuple[str, ...] | None, Several] = None,
    workers: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Build training examples from a corpus: cut, embed, search, filter, put together, audit.

    Args:
        corpus: Text files, JSON lines, Parquet, folders of such, or 'reference' (default).
        arm: Kind of examples to write (may be repeated).
        window: Tokens of an example.
        share: Share of the examples that is made of foreign segments.
        k: Neighbors kept per segment.
        encoder: 'lsa', a sentence-transformers folder, module:function, or a name that a plug-in adds.
        tokenizer: 'bpe' (learned), 'bytes', or a folder with a tokenizer.json.
        index: How neighbors are searched.
        hold_out: Keep one in so many documents out of all examples.
        blocklist: Test set whose text must not come near an anchor (may be repeated).
        workers: Processes.
        options: Shared flags.
    """
    execute(
        BuildConfig,
        options,
        corpus=corpus or None,
        workers=workers,
        segment=_section(tokenizer=tokenizer, hold_out=hold_out, blocklist=blocklist),
        embed=_section(encoder=encoder),
        neighbors=_section(index=index),
        filter=_section(k=k),
        examples=_section(arms=arm, window=window, share=share),
    )


@app.command
def audit(
    folder: str | None = None,
    /,
    *,
    distances: Whole | None = None,
    model: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Audit built examples: company, near-duplicates, hubs, repeats, cuts, fill, test overlap.

    Args:
        folder: Folder that 'build' wrote.
        distances: Distances between segments up to which pairs are compared.
        model: Prove on this causal language model that segments of an example see each other.
        options: Shared flags.
    """
    execute(AuditConfig, options, folder=folder, distances=distances, model=model)


@app.command
def bias(
    model: str | None = None,
    /,
    *,
    corpus: Annotated[tuple[str, ...] | None, Several] = None,
    pairs: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure what a model gains from related text: in its context, and by one gradient step.

    Args:
        model: Hugging Face folder, hub name, or 'reference' (default).
        corpus: Your text instead of short stories (may be repeated).
        pairs: Number of pairs.
        options: Shared flags.
    """
    execute(BiasConfig, options, model=model, corpus=corpus, pairs=pairs)


@app.command(name="epsilon-rank")
def epsilon_rank(
    *,
    width: Whole | None = None,
    heads: Whole | None = None,
    texts: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Bound the effective separation rank of small networks, in context and across a gradient step.

    Args:
        width: Width of the residual stream.
        heads: Attention heads.
        texts: Number of earlier, and of later texts.
        options: Shared flags.
    """
    execute(EpsilonRankConfig, options, width=width, heads=heads, texts=texts)


@app.command
def deficit(
    *,
    depth: Whole | None = None,
    step: float | None = None,
    precision: float | None = None,
    span: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Evaluate the derived bound: layers lost between texts in different examples.

    Args:
        depth: Layers of the network.
        step: Step over the radius in which the network is analytic, between 0 and 1.
        precision: Precision relative to the network's bound there, between 0 and 1.
        span: Dimension of the span of the gradients, e.g. 100M.
        options: Shared flags.
    """
    execute(DeficitConfig, options, depth=depth, step=step, precision=precision, span=span)


@app.command
def compose(
    *, steps: Whole | None = None, seeds: Whole | None = None, entities: Whole | None = None, options: Options = DEFAULT
) -> None:
    """Train on two facts in one example or in two: can the model join them?

    Args:
        steps: Optimizer steps per run.
        seeds: Runs per arm.
        entities: Entities; half of them are also shown joined.
        options: Shared flags.
    """
    execute(ComposeConfig, options, steps=steps, seeds=seeds, entities=entities)


@app.command(name="compare-arms")
def compare_arms(
    folder: str | None = None,
    /,
    *,
    arm: Annotated[tuple[Arm, ...] | None, Several] = None,
    steps: Whole | None = None,
    seeds: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train a small decoder on each arm and compare them on the same held-out text.

    Args:
        folder: Folder that 'build' wrote with held-out documents.
        arm: Arm to train on (may be repeated); the first is compared with the others.
        steps: Optimizer steps per run.
        seeds: Runs per arm.
        options: Shared flags.
    """
    execute(CompareArmsConfig, options, folder=folder, arms=arm, steps=steps, seeds=seeds)


@app.command
def tapt(
    folder: str | None = None,
    /,
    *,
    model: str | None = None,
    pairs: str | None = None,
    arm: Annotated[tuple[Arm, ...] | None, Several] = None,
    steps: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Adapt a masked language model to text with and without neighbors in the same example.

    Args:
        folder: Folder that 'build' wrote, with the model's tokenizer.
        model: Hugging Face folder of a masked language model.
        pairs: Scored sentence pairs, JSON lines with first, second and score.
        arm: Arm to train on (may be repeated).
        steps: Optimizer steps per arm.
        options: Shared flags.
    """
    execute(TaptConfig, options, folder=folder, model=model, pairs=pairs, arms=arm, steps=steps)
