"""Trains networks of equal size and different depth, and tests whether a limited rank moves the balance to depth."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from seqtant.architecture.config import SweepConfig
from seqtant.architecture.experiments.grid import Cell, Gap, Outcome, Run, cells, find_or_train, gaps
from seqtant.architecture.theory import FITTED, FITTED_DEPTHS, FITTED_SIZES
from seqtant.boundary import size_text
from seqtant.data.corpus import build_corpus
from seqtant.data.documents import Documents, TextFile, TextList
from seqtant.data.espeak import phrase_documents
from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.findings import Cell as TableCell
from seqtant.models.decoder_config import DecoderConfig
from seqtant.progress import track
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path, read_lines, text_of
from seqtant.stats.intervals import mean
from seqtant.training.config import TrainingConfig

COLUMNS = ("size", "depth", "width", "embedding", "learning_rate", "seed", "loss", "bits_per_byte", "parameters")


@verb(SweepConfig)
def sweep(config: SweepConfig, context: Context) -> Result:
    """Trains networks of equal size and different depth, and tests whether a limited rank moves the balance to depth.

    Every depth is trained at every size, with every embedding and seed; the gap of a pair of depths is the loss of the
    shallow network less that of the deep one, paired by seed. Finished networks are kept in the folder ``out``, so that
    a killed sweep goes on.

    Returns:
        The gap of every pair, and its move from the factorized control to each rank, with Student's intervals.

    Raises:
        InputError: The text cannot be read, or no width makes a depth come near a size.

    Example:
        >>> from seqtant import architecture
        >>> tiny = {"sizes": [12000], "depths": [1, 4], "embeddings": ["control"], "context": 16, "rows": 2}
        >>> short = {"steps": 2, "warmup": 0, "learning_rates": [0.01], "seeds": 2, "validation_windows": 4}
        >>> architecture.sweep(**tiny, **short, device="cpu").values["runs"]
        4
    """
    depths = ", ".join(str(depth) for depth in config.depths)
    title = f"Depths {depths} at equal size, trained {config.seeds} times each"
    with Recorder("architecture.sweep", title, config, context, papers=(7, 8)) as record:
        step = config.head_size or config.heads
        grid = cells(config.sizes, config.depths, config.embeddings, multiple_of=step)
        corpus = build_corpus(documents_of(config), config.tokens, vocabulary=config.vocab, folder=context.folder)
        # Of several learning rates, each network's best in a shorter run of its own seed.
        rates = dict.fromkeys(grid, config.learning_rates[0])
        for cell in grid if len(config.learning_rates) > 1 else ():
            trials = [
                run_of(cell, config, corpus.vocabulary, rate, 1000 * context.seed, config.tuning_steps)
                for rate in config.learning_rates
            ]
            bar = track(trials, context.progress, f"learning rate of {cell}", len(trials))
            best = min((find_or_train(each, corpus, context) for each in bar), key=lambda outcome: outcome.loss)
            rates[cell] = best.run.training.learning_rate
        # Seeds 1000 s + 1, 1000 s + 2, ...; 1000 s itself chose the learning rates and is not used again.
        runs = [
            run_of(cell, config, corpus.vocabulary, rates[cell], 1000 * context.seed + number, config.steps)
            for number in range(1, config.seeds + 1)
            for cell in grid
        ]
        outcomes = [
            find_or_train(each, corpus, context) for each in track(runs, context.progress, "networks", len(runs))
        ]
        _record_losses(record, outcomes, context.folder)
        found = gaps(outcomes)
        tried = sorted(config.learning_rates)
        edge = [
            f"{cell} ({rate:g})" for cell, rate in rates.items() if len(tried) > 1 and rate in (tried[0], tried[-1])
        ]
        if edge:
            record.warn(
                f"the best learning rate is at the end of those tried, a better one may lie beyond: {', '.join(edge)}"
            )
        rows: list[tuple[TableCell, ...]] = []
        several = len({(gap.shallow, gap.deep) for gap in found}) > 1
        for gap in found:
            gain = gap.estimate
            for seed, difference in zip(gap.seeds, gap.differences, strict=True):
                record.measure("gap", difference, unit="nats", seed=seed, group=_key(gap, several=True))
            record.value(f"gap_{_key(gap, several=several)}", gain.value)
            shallow, deep = (f"{shape.depth} x {shape.width}" for shape in (gap.shallow, gap.deep))
            interval = (gain.value, gain.low, gain.high)
            rows.append((gap.shallow.size, shallow, deep, str(gap.embedding), *interval, _winner(gain)))
        record.table(
            "gaps",
            "Shallow minus deep at equal size",
            ("size", "shallow", "deep", "embedding", "gap (nats)", "low", "high", "wins"),
            rows,
            "Paired by seed: both networks see the same batches. Above 0 the deep one is better.",
        )
        for gap in found:
            if gap.embedding == found[0].embedding:
                _record_law(record, gap, config)
            if isinstance(gap.embedding, int):
                controls = (other for other in found if other.embedding == "control")
                control = next(other for other in controls if (other.shallow, other.deep) == (gap.shallow, gap.deep))
                _record_rank_cap(record, gap, control, config, on_edge=bool(edge))
    return record.result


def documents_of(config: SweepConfig) -> Documents:
    """Opens the text to train on: a file, texts in memory, or the phrase grammar."""
    if config.text is None:
        return phrase_documents(600)
    if is_path(config.text):
        return TextFile(config.text, field=config.field)
    rows = read_lines(config.text, fields=(config.field,))
    return TextList(text_of(row, config.field, place) for place, row in rows)


def run_of(cell: Cell, config: SweepConfig, vocabulary: int, rate: float, seed: int, steps: int) -> Run:
    """Makes one training run of a cell, with its network and its settings."""
    # The control is factorized at full rank; a plain table is not factorized.
    ranks = {"plain": None, "control": cell.shape.width}
    network = DecoderConfig(
        vocabulary=vocabulary,
        depth=cell.shape.depth,
        width=cell.shape.width,
        heads=cell.shape.width // config.head_size if config.head_size else config.heads,
        context=config.context,
        embedding_rank=cell.embedding if isinstance(cell.embedding, int) else ranks[cell.embedding],
        positions=config.positions,
    )
    training = TrainingConfig(
        steps=steps,
        learning_rate=rate,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        precision=config.precision,
    )
    return Run(cell, network, training, config.rows, config.validation_windows, seed)


def _record_losses(record: Recorder, outcomes: list[Outcome], folder: Path | None) -> None:
    rows: list[tuple[TableCell, ...]] = []
    by_cell: dict[Cell, list[Outcome]] = {}
    for outcome in outcomes:
        cell, seed = outcome.run.cell, outcome.run.seed
        shape, rate = cell.shape, outcome.run.training.learning_rate
        by_cell.setdefault(cell, []).append(outcome)
        group = f"{shape.size:g}: {cell}"
        record.measure("loss", outcome.loss, unit="nats/token", seed=seed, group=group)
        record.measure("bits_per_byte", outcome.bits_per_byte, seed=seed, group=group)
        record.measure("seconds", outcome.seconds, unit="s", seed=seed, group=group)
        named = (shape.size, shape.depth, shape.width, str(cell.embedding), rate, seed)
        rows.append((*named, outcome.loss, outcome.bits_per_byte, outcome.parameters))
    if folder is not None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        path = folder / "losses.csv"
        write_text(path, text.getvalue())
        record.artifact(path, "losses")
    record.value("runs", len(outcomes))

    summary: list[tuple[TableCell, ...]] = []
    for cell, own in by_cell.items():
        shape, first = cell.shape, own[0]
        loss = mean([outcome.loss for outcome in own], unit="nats")
        bits = sum(outcome.bits_per_byte for outcome in own) / len(own)
        sizes = (shape.size, shape.depth, shape.width, str(cell.embedding), shape.matrix_parameters, first.parameters)
        summary.append((*sizes, first.run.training.learning_rate, loss.value, loss.low, loss.high, bits))
    columns = ("size", "depth", "width", "embedding", "12 L d^2", "all parameters", "learning rate")
    record.table(
        "cells",
        "Validation loss of each network",
        (*columns, "loss (nats/token)", "low", "high", "bits per byte"),
        summary,
        f"Mean over {len(outcomes) // len(by_cell)} seeds with Student's 95 % interval.",
    )


def _key(gap: Gap, *, several: bool) -> str:
    embedding = f"rank_{gap.embedding}" if isinstance(gap.embedding, int) else gap.embedding
    if not several:
        return embedding
    return f"{embedding}_{gap.shallow.depth}_{gap.deep.depth}_at_{gap.shallow.size:.0f}"


def _winner(gain: Estimate) -> str:
    if gain.low is None or gain.high is None or gain.low <= 0 <= gain.high:
        return "undecided"
    return "deep" if gain.value > 0 else "shallow"


def _record_law(record: Recorder, gap: Gap, config: SweepConfig) -> None:
    """Compares with the depth law: below the transition size of the deeper network the shallower one should win."""
    size, deep = gap.shallow.size, gap.deep.depth
    transition = FITTED.transition_size(deep)
    expected = "deep" if size > transition else "shallow"
    winner = _winner(gap.estimate)
    verdict: Verdict = "inconclusive" if winner == "undecided" else "agrees" if winner == expected else "disagrees"
    inside = FITTED_SIZES[0] <= size <= FITTED_SIZES[1] and gap.shallow.depth >= FITTED_DEPTHS[0]
    record.finding(
        f"law_{_key(gap, several=True)}",
        f"Which is better at {size_text(size)} parameters, {gap.shallow.depth} or {deep} layers "
        f"({gap.embedding} embedding)?",
        verdict,
        f"The law expects the {expected} one ({deep} layers pay from {size_text(transition)} parameters); "
        f"measured: {winner}, gap {gap.estimate.value:+.4f} nats.",
        measured=gap.estimate,
        assumptions=(
            Assumption(
                statement="Size and depth lie in the range the law was fitted on",
                status="holds" if inside else "fails",
                how=f"about {FITTED_SIZES[0]:g} to {FITTED_SIZES[1]:g} parameters, 6 to 48 layers",
            ),
            Assumption(
                statement="Both networks are trained to the end",
                how=f"{config.steps} steps of {config.rows} x {config.context} tokens; a longer run may turn the gap",
            ),
        ),
    )


def _record_rank_cap(record: Recorder, gap: Gap, control: Gap, config: SweepConfig, *, on_edge: bool) -> None:
    """Records the difference of differences: the gap with limited rank minus the gap of the factorized control."""
    moved = gap.minus(control)
    several = len(config.sizes) * (len(config.depths) - 1) > 1
    record.value(f"difference_of_differences_{_key(gap, several=several)}", moved.value)
    verdicts: dict[str, Verdict] = {"undecided": "inconclusive", "deep": "agrees", "shallow": "disagrees"}
    record.finding(
        f"rank_cap_{_key(gap, several=True)}",
        f"Does an input embedding of rank {gap.embedding} move the balance of {gap.shallow.depth} against "
        f"{gap.deep.depth} layers towards depth?",
        verdicts[_winner(moved)],
        f"Shallow minus deep is {control.estimate.value:+.4f} with the factorized control and "
        f"{gap.estimate.value:+.4f} at rank {gap.embedding}: a move of {moved.value:+.4f} nats "
        "(theory: above 0).",
        measured=moved,
        assumptions=(
            Assumption(
                statement="The learning rate suits each network",
                status="not checked" if len(config.learning_rates) == 1 else "fails" if on_edge else "holds",
                how=f"chosen per network among {', '.join(f'{rate:g}' for rate in config.learning_rates)}",
            ),
            Assumption(
                statement="Position vectors add no rank to the input",
                status="holds" if config.positions == "rotary" else "fails",
                how=f"positions are {config.positions}",
            ),
            Assumption(
                statement="A limit on capacity shows in the loss",
                how="the theorem is about separation rank, without softmax and position-wise networks",
            ),
        ),
        advice="The control is factorized too: factorizing alone changes the optimization, and a plain table would "
        "mistake that for the rank.",
    )
