"""The commands of this room: flags in, instrument called, result delivered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.subtasks.config import (
    ArmName,
    AugmentConfig,
    CheckConfig,
    CompareConfig,
    Decoding,
    EvalConfig,
    Kind,
    MakeConfig,
    OneStepConfig,
    ProbeConfig,
    RowArmName,
    SolveGf2Config,
    TrainConfig,
)

app = App(name="subtasks", help="Which steps make a compound task learnable?")

Several = Parameter(name="--arm", negative="")


def _section(**values: Any) -> dict[str, Any] | None:
    """The given values of a nested section; None if none was given."""
    return {name: value for name, value in values.items() if value is not None} or None


@app.command
def make(
    task: str | None = None,
    /,
    *,
    bits: Whole | None = None,
    rows: Whole | None = None,
    test_rows: Whole | None = None,
    terms: Whole | None = None,
    modulus: Whole | None = None,
    digits: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Make rows of a task with all their steps; with --out: train.jsonl, validation.jsonl, test.jsonl, manifest.json.

    Args:
        task: parity, sum, addition, arithmetic (in words), a circuit.json, or a name that a plug-in adds.
        bits: Bits of a parity, a multiple of 4.
        rows: Rows to train on.
        test_rows: Rows to validate and rows to test on.
        terms: Numbers in a sum.
        modulus: What a sum is taken modulo.
        digits: Digits of the numbers to add.
        options: Shared flags.
    """
    execute(
        MakeConfig,
        options,
        task=task,
        bits=bits,
        rows=rows,
        test_rows=test_rows,
        terms=terms,
        modulus=modulus,
        digits=digits,
    )


@app.command
def check(
    rows: str | None = None,
    /,
    *,
    tokenizer: str | None = None,
    max_arity: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Check the steps of rows: recomputable, in order, few reads, no leaks, no shared inputs, whole tokens.

    Exit code 1 if anything is wrong.

    Args:
        rows: A .jsonl file, a folder with train.jsonl, or arithmetic (built in).
        tokenizer: Model folder whose tokenizer must not glue two steps together.
        max_arity: Most earlier items that one step may read.
        options: Shared flags.
    """
    execute(CheckConfig, options, rows=rows, tokenizer=tokenizer, max_arity=max_arity)


@app.command
def augment(
    rows: str | None = None,
    /,
    *,
    arm: Annotated[tuple[RowArmName, ...] | None, Several] = None,
    form: Literal["causal", "seq2seq"] | None = None,
    tokenizer: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Turn rows into training data with loss masks, spans and control arms of equal compute; files go to --out.

    Args:
        rows: A .jsonl file, a folder with train.jsonl, or arithmetic (built in).
        arm: steps, answer, pause, shuffled or noisy (may be repeated); by default all.
        form: causal (prompt, completion) or seq2seq (source, target).
        tokenizer: Model folder; with it rows also hold input_ids, labels and completion_mask.
        options: Shared flags.
    """
    execute(AugmentConfig, options, rows=rows, arms=arm or None, form=form, tokenizer=tokenizer)


@app.command
def train(
    task: str | None = None,
    /,
    *,
    bits: Whole | None = None,
    arm: ArmName | None = None,
    network: Kind | None = None,
    width: Whole | None = None,
    base: str | None = None,
    updates: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train a network on one way to write solutions; with --out it is kept, and an interrupted run goes on.

    Args:
        task: parity, sum, addition, a circuit.json, a .jsonl of rows, arithmetic, or a name that a plug-in adds.
        bits: Bits of a parity, a multiple of 4.
        arm: steps, answer, pause, shuffled, noisy or partial.
        network: elman, lstm, decoder or masked.
        width: Width of the network.
        base: Language model to adapt to rows with LoRA instead.
        updates: Updates of the weights.
        options: Shared flags.
    """
    shape = _section(kind=network, width=width)
    execute(TrainConfig, options, task=task, bits=bits, arm=arm, network=shape, base=base, updates=updates)


@app.command(name="eval")
def evaluate(
    model: str | None = None,
    /,
    *,
    rows: str | None = None,
    decode: Decoding | None = None,
    test_rows: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Evaluate a model on its own steps: per step, first errors, end to end, against what true steps predict.

    Args:
        model: Folder of 'train', a language model, or reference (default) on its own sums.
        rows: Rows to solve, for models that learned from rows.
        decode: free (its own steps), sample, or teacher (the true steps).
        test_rows: Problems.
        options: Shared flags.
    """
    execute(EvalConfig, options, model=model, rows=rows, decode=decode, test_rows=test_rows)


@app.command
def probe(
    task: str | None = None,
    /,
    *,
    bits: Whole | None = None,
    network: Kind | None = None,
    width: Whole | None = None,
    samples: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure the gradient signal of each step and of the whole task: learnable in about N updates, or not.

    Args:
        task: parity, sum, addition, a circuit.json, or a name that a plug-in adds.
        bits: Bits of a parity, a multiple of 4.
        network: elman, lstm, decoder or masked.
        width: Width of the network.
        samples: Inputs behind each gradient; all there are if so many suffice.
        options: Shared flags.
    """
    execute(ProbeConfig, options, task=task, bits=bits, network=_section(kind=network, width=width), samples=samples)


@app.command
def compare(
    task: str | None = None,
    /,
    *,
    bits: Whole | None = None,
    arm: Annotated[tuple[ArmName, ...] | None, Several] = None,
    network: Kind | None = None,
    width: Whole | None = None,
    updates: Whole | None = None,
    seeds: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train the same network with and without steps, seed by seed: accuracy and updates to 90 %.

    Args:
        task: parity, sum, addition, a circuit.json, a .jsonl of rows, arithmetic, or a name that a plug-in adds.
        bits: Bits of a parity, a multiple of 4.
        arm: steps, answer, pause, shuffled, noisy or partial (may be repeated); by default steps and answer.
        network: elman, lstm, decoder or masked.
        width: Width of the network.
        updates: Updates of every run.
        seeds: Runs per arm.
        options: Shared flags.
    """
    shape = _section(kind=network, width=width)
    execute(
        CompareConfig,
        options,
        task=task,
        bits=bits,
        arms=arm or None,
        network=shape,
        updates=updates,
        seeds=seeds,
    )


@app.command
def one_step(
    *,
    bits: Whole | None = None,
    subset_size: Whole | None = None,
    samples: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Learn every step of a parity with one gradient step of a one-layer network, in closed form.

    Args:
        bits: Number of bits.
        subset_size: Bits whose parity is wanted, a power of two.
        samples: Training inputs.
        options: Shared flags.
    """
    execute(OneStepConfig, options, bits=bits, subset_size=subset_size, samples=samples)


@app.command
def solve_gf2(
    *,
    bits: Whole | None = None,
    samples: Whole | None = None,
    rows: Path | None = None,
    options: Options = DEFAULT,
) -> None:
    """Recover the hidden subset of a parity by Gaussian elimination modulo two.

    Args:
        bits: Number of bits.
        samples: Random samples; by default bits + 10.
        rows: Rows to solve instead: inputs of bits, one bit as the answer.
        options: Shared flags.
    """
    execute(SolveGf2Config, options, bits=bits, samples=samples, rows=None if rows is None else str(rows))
