"""The commands of the CTC room: flags in, instrument called, result delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.ctc.config import (
    AlignConfig,
    DecodeConfig,
    DiagnoseConfig,
    FinetuneConfig,
    LatencyConfig,
    StreamConfig,
    SweepConfig,
    TrainConfig,
)

app = App(name="ctc", help="Can my CTC model have the property I care about?")


def _listed(kind: Any, tokens: Any) -> tuple[Any, ...]:
    """Reads ``a,b`` and repeated flags alike."""
    item = kind.__args__[0]
    return tuple(item(part) for token in tokens for part in token.value.split(",") if part)


Names = Annotated[tuple[str, ...], Parameter(converter=_listed, n_tokens=1, negative="")]
Numbers = Annotated[tuple[float, ...], Parameter(converter=_listed, n_tokens=1, negative="")]


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


@app.command
def train(
    *,
    data: Path | None = None,
    test_speaker: str | None = None,
    base_steps: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train a streaming recognizer with plain CTC; with --out it is kept there.

    Args:
        data: Spoken-digit checkout, folder of lists (train.jsonl, ...) or parts (train/, ...), or a text to be spoken.
        test_speaker: Speaker to keep out of training and test on.
        base_steps: Optimizer steps.
        options: Shared flags.
    """
    execute(TrainConfig, options, data=_path(data), test_speaker=test_speaker, base_steps=base_steps)


@app.command
def finetune(
    *,
    model: Path | None = None,
    data: Path | None = None,
    test_speaker: str | None = None,
    method: str | None = None,
    weight: float | None = None,
    budget_wer: float | None = None,
    steps: Whole | None = None,
    start_wer: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Give a recognizer a property: at a weight, or as much as a budget of word errors buys.

    Args:
        model: Folder of the recognizer to start from; none trains one first.
        data: Spoken-digit checkout, or a folder of lists (see train); tones if none.
        test_speaker: Speaker to keep out of training and test on.
        method: ctc, awp, awp-mwer, awp-both, sampled-mwer, nbest-mwer, delay-penalty, trim-tail, peak-first,
            bayes-risk, label-prior, or a name that a plug-in adds.
        weight: Weight of the method.
        budget_wer: Percentage points of word error rate that may be spent on latency.
        steps: Optimizer steps with the method.
        start_wer: Word error rate (percent) below which the method starts.
        options: Shared flags.
    """
    execute(
        FinetuneConfig,
        options,
        model=_path(model),
        data=_path(data),
        test_speaker=test_speaker,
        method=method,
        weight=weight,
        budget_wer=budget_wer,
        steps=steps,
        start_wer=start_wer,
    )


@app.command
def sweep(
    *,
    data: Path | None = None,
    test_speaker: str | None = None,
    methods: Names | None = None,
    weights: Numbers | None = None,
    seeds: Whole | None = None,
    steps: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Compare methods from one checkpoint: latency bought, word errors paid.

    With --out, finished runs are kept there, and the same command goes on after an interrupt.

    Args:
        data: Spoken-digit checkout, or a folder of lists (see train); tones if none.
        test_speaker: Speaker to keep out of training and test on.
        methods: Methods by name (see finetune), e.g. --methods ctc,awp,delay-penalty.
        weights: Weights of Align With Purpose, e.g. --weights 0.2,0.5.
        seeds: Independent repetitions.
        steps: Optimizer steps with each method.
        options: Shared flags.
    """
    execute(
        SweepConfig,
        options,
        data=_path(data),
        test_speaker=test_speaker,
        methods=methods,
        weights=weights,
        seeds=seeds,
        steps=steps,
    )


@app.command
def stream(
    file: Path | None = None,
    /,
    *,
    model: Path | None = None,
    against: Path | None = None,
    chunk_ms: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Listen to a sound file as it would arrive; with --out a page is written that plays it.

    Args:
        file: Sound file; made-up tones if none.
        model: Folder of the recognizer.
        against: Folder of a second one.
        chunk_ms: Sound handed over at a time.
        options: Shared flags.
    """
    execute(StreamConfig, options, file=_path(file), model=_path(model), against=_path(against), chunk_ms=chunk_ms)


@app.command
def latency(
    *,
    hyp: Path | None = None,
    ref: Path | None = None,
    against: Path | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure delays and word errors of any recognizer from CTM files.

    Args:
        hyp: CTM file of the system; the start of a word is when it was emitted.
        ref: CTM file with the true word times.
        against: CTM file of a second system, for a paired comparison.
        options: Shared flags.
    """
    execute(LatencyConfig, options, hyp=_path(hyp), ref=_path(ref), against=_path(against))


@app.command
def diagnose(
    model: Path | None = None,
    /,
    *,
    data: Path | None = None,
    test_speaker: str | None = None,
    utterances: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Look into a CTC model: how peaked, sure, silent and late it is, and the gradient of its loss.

    Args:
        model: Folder of the recognizer.
        data: Speech to look at, as for train.
        test_speaker: Speaker to look at.
        utterances: Utterances to look at.
        options: Shared flags.
    """
    execute(
        DiagnoseConfig,
        options,
        model=_path(model),
        data=_path(data),
        test_speaker=test_speaker,
        utterances=utterances,
    )


@app.command
def align(
    file: Path | None = None,
    /,
    *,
    text: str | None = None,
    model: Path | None = None,
    options: Options = DEFAULT,
) -> None:
    """Find the time of every word of a known text in a sound file.

    Args:
        file: Sound file; made-up tones if none.
        text: Its words, separated by spaces.
        model: Folder of the recognizer.
        options: Shared flags.
    """
    execute(AlignConfig, options, file=_path(file), text=text, model=_path(model))


@app.command
def decode(
    file: Path | None = None,
    /,
    *,
    model: Path | None = None,
    beam: Whole | None = None,
    best: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Recognize a sound file: greedily and by prefix beam search, with time stamps.

    Args:
        file: Sound file; made-up tones if none.
        model: Folder of the recognizer.
        beam: Prefixes kept after each frame.
        best: Hypotheses shown.
        options: Shared flags.
    """
    execute(DecodeConfig, options, file=_path(file), model=_path(model), beam=beam, best=best)
