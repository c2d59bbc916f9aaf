"""The commands of the room of in-context learning: flags in, instrument called, result delivered."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.errors import InputError
from seqtant.icl.config import (
    BoundConfig,
    CorruptConfig,
    GincBayesConfig,
    GincEvalConfig,
    GincMakeConfig,
    GincTrainConfig,
    LabelLaw,
    OrderConfig,
    PosteriorConfig,
    ShotsConfig,
)

app = App(name="icl", help="How many examples must the prompt hold?")
ginc_app = App(name="ginc", help="The synthetic world of Xie et al., with exact Bayes.")
app.command(ginc_app)

Names = Annotated[tuple[str, ...] | None, Parameter(negative="")]
Flag = Annotated[bool | None, Parameter(negative="")]


@app.command
def shots(
    model: str | None = None,
    /,
    *,
    tasks: Names = None,
    shots: Whole | None = None,
    prompts: Whole | None = None,
    eps: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """How many shots each task needs: predicted from single examples, measured in prompts.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        tasks: JSON lines of a task, or its registered name (repeat for each task).
        shots: Most examples in a prompt.
        prompts: Prompts per task.
        eps: Accuracy that may be missing to the many-shot plateau.
        options: Shared flags.
    """
    execute(ShotsConfig, options, model=model, tasks=tasks, shots=shots, prompts=prompts, eps=eps)


@app.command
def posterior(
    model: str | None = None,
    /,
    *,
    tasks: Names = None,
    prompt: str | None = None,
    shots: Whole | None = None,
    prompts: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Which task the model takes a prompt for, shot by shot; prompts that are stuck on a wrong one.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        tasks: JSON lines of a task, or its registered name (repeat for each task).
        prompt: JSON lines with the examples of one prompt.
        shots: Most examples in a prompt.
        prompts: Prompts per task.
        options: Shared flags.
    """
    execute(PosteriorConfig, options, model=model, tasks=tasks, prompt=prompt, shots=shots, prompts=prompts)


@app.command
def corrupt(
    model: str | None = None,
    /,
    *,
    tasks: Names = None,
    variants: Names = None,
    shots: Whole | None = None,
    prompts: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """What wrong labels and foreign inputs do to prompts, beside what the flip law says.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        tasks: JSON lines of a task, or its registered name (repeat for each task).
        variants: gold, random, marginal, 75_correct, ..., permuted, abstract, foreign_inputs, labels_only, inputs_only.
        shots: Examples in a prompt.
        prompts: Prompts per task and variant.
        options: Shared flags.
    """
    execute(CorruptConfig, options, model=model, tasks=tasks, variants=variants, shots=shots, prompts=prompts)


@app.command
def order(
    model: str | None = None,
    /,
    *,
    tasks: Names = None,
    shots: Whole | None = None,
    prompts: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """How much the order of the examples matters, and what the vote of all orders gains.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        tasks: JSON lines of a task, or its registered name (repeat for each task).
        shots: Examples in a prompt.
        prompts: Sets of examples per task.
        options: Shared flags.
    """
    execute(OrderConfig, options, model=model, tasks=tasks, shots=shots, prompts=prompts)


@app.command
def bound(
    *,
    c1: float | None = None,
    c2: float | None = None,
    c3: float | None = None,
    length: Whole | None = None,
    kl: float | None = None,
    eps: float | None = None,
    delta: float | None = None,
    flipped: Flag = None,
    shared_delimiter: Flag = None,
    margin: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """How many shots the theory promises, as published and refined; pure mathematics, no model.

    Args:
        c1: Dependence across the delimiter, in (0, 1].
        c2: Smallest probability of a token in any task.
        c3: Smallest prior probability of a task, at most 1/2.
        length: Tokens per example.
        kl: Divergence of a whole example from the nearest rival task, in nats.
        eps: Posterior odds left to the other tasks.
        delta: Probability that the prompt is unlucky.
        flipped: The prompt's labels may be wrong.
        shared_delimiter: Every task gives the delimiter the same probability.
        margin: Margin of the right label; evaluates the theorems on margins too.
        options: Shared flags.
    """
    execute(
        BoundConfig,
        options,
        c1=c1,
        c2=c2,
        c3=c3,
        length=length,
        kl=kl,
        eps=eps,
        delta=delta,
        flipped=flipped,
        shared_delimiter=shared_delimiter,
        margin=margin,
    )


def ginc_make(
    *,
    vocabulary: Whole | None = None,
    identity: float | None = None,
    documents: Whole | None = None,
    prompts: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Draw the data set: parameters, documents, prompts; --out writes them.

    Args:
        vocabulary: Number of symbols; 50, 100 and 150 are published.
        identity: Share of staying with the same entity.
        documents: Training documents.
        prompts: Prompts per length of an example.
        options: Shared flags.
    """
    execute(GincMakeConfig, options, vocabulary=vocabulary, identity=identity, documents=documents, prompts=prompts)


def ginc_bayes(
    *,
    vocabulary: Whole | None = None,
    example_length: Whole | None = None,
    shots: str | None = None,
    labels: LabelLaw | None = None,
    prompts: Whole | None = None,
    outside: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """The exact Bayes predictor on prompts: accuracy and posterior by number of shots.

    Args:
        vocabulary: Number of symbols.
        example_length: Symbols of an example, label included (the paper's k).
        shots: Numbers of shots with commas, e.g. 0,8 (the paper's n).
        labels: Labels that prompts show: gold, random or permuted.
        prompts: Number of prompts.
        outside: Prompts follow patterns out of distribution.
        options: Shared flags.
    """
    execute(
        GincBayesConfig,
        options,
        vocabulary=vocabulary,
        example_length=example_length,
        shots=parse_numbers(shots),
        labels=labels,
        prompts=prompts,
        outside=outside,
    )


def ginc_eval(
    model: str | None = None,
    /,
    *,
    vocabulary: Whole | None = None,
    example_length: Whole | None = None,
    shots: str | None = None,
    labels: LabelLaw | None = None,
    prompts: Whole | None = None,
    outside: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """A trained model on prompts of GINC beside exact Bayes on the same prompts.

    Args:
        model: Folder that 'ginc train' wrote, or a Hugging Face folder over GINC's ids.
        vocabulary: Number of symbols.
        example_length: Symbols of an example, label included.
        shots: Numbers of shots with commas.
        labels: Labels that prompts show: gold, random or permuted.
        prompts: Number of prompts.
        outside: Prompts follow patterns out of distribution.
        options: Shared flags.
    """
    execute(
        GincEvalConfig,
        options,
        model=model,
        vocabulary=vocabulary,
        example_length=example_length,
        shots=parse_numbers(shots),
        labels=labels,
        prompts=prompts,
        outside=outside,
    )


def ginc_train(*, vocabulary: Whole | None = None, context: Whole | None = None, options: Options = DEFAULT) -> None:
    """Train a network on documents of GINC and ask it prompts; --out keeps it, and the command resumes.

    Args:
        vocabulary: Number of symbols.
        context: Symbols of a training row.
        options: Shared flags; the network is set with --set network.name=lstm and so on.
    """
    execute(GincTrainConfig, options, vocabulary=vocabulary, context=context)


for _name, _function in (("make", ginc_make), ("bayes", ginc_bayes), ("eval", ginc_eval), ("train", ginc_train)):
    ginc_app.command(_function, name=_name)
    app.command(_function, name=f"ginc-{_name}", show=False)


def parse_numbers(text: str | None) -> tuple[int, ...] | None:
    """Whole numbers with commas between; None stays None.

    Raises:
        InputError: The text holds something else.

    Example:
        >>> parse_numbers("0,8")
        (0, 8)
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"'{text}' is no list of whole numbers: write e.g. 0,1,2,4,8") from None
