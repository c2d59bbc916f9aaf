"""The commands of the room: flags in, instrument called, result delivered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from seqtant.beb.config import (
    BoundConfig,
    CalibrateConfig,
    CompareConfig,
    ConverseConfig,
    CurveConfig,
    FitComponentsConfig,
    GateConfig,
    GuardConfig,
    MeasureConfig,
    PersonasConfig,
    RefitConfig,
    SearchConfig,
    SearchMethod,
)
from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.errors import GateError, InconclusiveError

app = App(name="beb", help="How long a prompt breaks the alignment?")

Flag = Annotated[bool | None, Parameter(negative="")]


def _behavior(scorer: str | None, question: str | None) -> dict[str, Any] | None:
    """The flags that belong to the section on behavior."""
    given = {key: value for key, value in (("scorer", scorer), ("question", question)) if value is not None}
    return given or None


@app.command
def bound(
    *,
    alpha: float | None = None,
    log_alpha: float | None = None,
    eps: float | None = None,
    beta: float | None = None,
    beta_prime: float | None = None,
    sigma: float | None = None,
    guard_sentences: float | None = None,
    delta: float | None = None,
    best_of: Whole | None = None,
    gamma: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Compute by how many sentences alignment fails, from given numbers; no model is run.

    Args:
        alpha: Weight of the ill-behaved part, in (0, 1).
        log_alpha: Its natural logarithm instead, e.g. -90.
        eps: Distance from the worst behavior, in (0, 2).
        beta: Evidence per sentence, KL(P- || P+), nats.
        beta_prime: KL(P+ || P-) per sentence, nats.
        sigma: Square root of the log-ratio's variance per sentence.
        guard_sentences: Sentences of the system prompt.
        delta: Share of prompts or guards that may escape.
        best_of: Answers of which the best is returned.
        gamma: Behavior of the ill-behaved part, in [-1, 0).
        options: Shared flags.
    """
    execute(
        BoundConfig,
        options,
        alpha=alpha,
        log_alpha=log_alpha,
        eps=eps,
        beta=beta,
        beta_prime=beta_prime,
        sigma=sigma,
        guard_sentences=guard_sentences,
        delta=delta,
        best_of=best_of,
        gamma=gamma,
    )


@app.command
def measure(
    model: str | None = None,
    /,
    *,
    minus: str | None = None,
    plus: str | None = None,
    behavior: str | None = None,
    scorer: str | None = None,
    question: str | None = None,
    prompts: Whole | None = None,
    sentences: Whole | None = None,
    method: Literal["area", "paper"] | None = None,
    write_prompts: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """Measure alpha, beta and the length by which alignment fails, beside the measured behavior.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        behavior: Statements to fit P- and P+ to, JSON lines with statement and answer_matching_behavior (Yes: bad).
        scorer: replies, likelihood, regex, classifier:DIR, judge:URL or module:function.
        question: Text after every prompt.
        prompts: Prompts drawn from each part.
        sentences: Sentences of each prompt.
        method: area, or the paper's line beside it.
        write_prompts: Write the prompts' texts too.
        options: Shared flags.
    """
    execute(
        MeasureConfig,
        options,
        model=model,
        minus=minus,
        plus=plus,
        components=None if behavior is None else {"behavior": behavior},
        behavior=_behavior(scorer, question),
        prompts=prompts,
        sentences=sentences,
        method=method,
        write_prompts=write_prompts,
    )


@app.command
def curve(
    model: str | None = None,
    /,
    *,
    minus: str | None = None,
    plus: str | None = None,
    scorer: str | None = None,
    question: str | None = None,
    prompts: Whole | None = None,
    sentences: Whole | None = None,
    write_prompts: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """Measure behavior against prompt length, with the predicted curves on top.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        scorer: As for measure.
        question: Text after every prompt.
        prompts: Prompts drawn from each part.
        sentences: Sentences of each prompt.
        write_prompts: Write the prompts' texts too.
        options: Shared flags.
    """
    execute(
        CurveConfig,
        options,
        model=model,
        minus=minus,
        plus=plus,
        behavior=_behavior(scorer, question),
        prompts=prompts,
        sentences=sentences,
        write_prompts=write_prompts,
    )


@app.command
def search(
    model: str | None = None,
    /,
    *,
    minus: str | None = None,
    plus: str | None = None,
    method: SearchMethod | None = None,
    candidates: Whole | None = None,
    searches: Whole | None = None,
    sentences: Whole | None = None,
    goal: float | None = None,
    write_prompts: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """Search a prompt that misaligns, and verify it on the model.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        method: theorem, best_of_m or beam.
        candidates: Sentences drawn at each step.
        searches: Independent searches.
        sentences: Most sentences of a prompt.
        goal: Behavior at which a search ends.
        write_prompts: Write the prompts' texts too.
        options: Shared flags.
    """
    execute(
        SearchConfig,
        options,
        model=model,
        minus=minus,
        plus=plus,
        method=method,
        candidates=candidates,
        searches=searches,
        sentences=sentences,
        goal=goal,
        write_prompts=write_prompts,
    )


@app.command
def guard(
    model: str | None = None,
    /,
    *,
    guard: str | None = None,
    minus: str | None = None,
    plus: str | None = None,
    prompts: Whole | None = None,
    sentences: Whole | None = None,
    write_prompts: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """Price guard (system) prompts in sentences of attack.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        guard: A system prompt of your own.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        prompts: Guards of each length.
        sentences: Sentences of each prompt.
        write_prompts: Write the prompts' texts too.
        options: Shared flags.
    """
    execute(
        GuardConfig,
        options,
        model=model,
        guard=guard,
        minus=minus,
        plus=plus,
        prompts=prompts,
        sentences=sentences,
        write_prompts=write_prompts,
    )


@app.command
def converse(
    model: str | None = None,
    /,
    *,
    minus: str | None = None,
    plus: str | None = None,
    turns: Whole | None = None,
    asked: Whole | None = None,
    answered: Whole | None = None,
    prompts: Whole | None = None,
    write_prompts: Flag = None,
    options: Options = DEFAULT,
) -> None:
    """Hold conversations whose user speaks for P-, and follow the behavior turn by turn.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        turns: Turns of a conversation.
        asked: Sentences of the user per turn.
        answered: Sentences of the model per turn.
        prompts: Conversations.
        write_prompts: Write the conversations' texts too.
        options: Shared flags.
    """
    execute(
        ConverseConfig,
        options,
        model=model,
        minus=minus,
        plus=plus,
        turns=turns,
        asked=asked,
        answered=answered,
        prompts=prompts,
        write_prompts=write_prompts,
    )


@app.command
def personas(
    model: str | None = None,
    /,
    *,
    plus: str | None = None,
    prompts: Whole | None = None,
    sentences: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Find the persona that a prompt brings out soonest; name them with --config, personas: {name: folder}.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        plus: P+; the model itself if none is given.
        prompts: Prompts drawn from each persona.
        sentences: Sentences of each prompt.
        options: Shared flags.
    """
    execute(PersonasConfig, options, model=model, plus=plus, prompts=prompts, sentences=sentences)


@app.command
def compare(
    model: str | None = None,
    after: str | None = None,
    /,
    *,
    minus: str | None = None,
    plus: str | None = None,
    prompts: Whole | None = None,
    sentences: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Compare a model before and after alignment, on the same prompts.

    Args:
        model: The model before; the model that ships if none is given.
        after: The model after; without it a copy is aligned here.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        prompts: Prompts drawn from each part.
        sentences: Sentences of each prompt.
        options: Shared flags.
    """
    execute(
        CompareConfig, options, model=model, after=after, minus=minus, plus=plus, prompts=prompts, sentences=sentences
    )


@app.command
def gate(
    run: str | None = None,
    /,
    *,
    min_length: float | None = None,
    quantity: Literal["misalign_tight", "mass_tight", "mass_clt", "halfway_measured"] | None = None,
    model: str | None = None,
    minus: str | None = None,
    plus: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Pass (exit 0), fail (1) or cannot tell (3): is the length by which alignment fails long enough?

    Args:
        run: result.json of beb measure; without it a model is measured now.
        min_length: Least length, in sentences.
        quantity: Which length is held against it.
        model: The model to measure; the model that ships if none is given.
        minus: P-: model or adapter folder.
        plus: P+; the model itself if none is given.
        options: Shared flags.
    """
    result = execute(
        GateConfig, options, result=run, min_length=min_length, quantity=quantity, model=model, minus=minus, plus=plus
    )
    if result is not None and result.values["passed"] == 0:
        raise GateError(result.findings[0].summary)
    if result is not None and result.values["passed"] is None:
        raise InconclusiveError(result.findings[0].summary)


@app.command
def fit_components(
    base: str | None = None,
    /,
    *,
    behavior: str | None = None,
    negative: Literal["matching", "not matching"] | None = None,
    template: Literal["concat", "inst", "single"] | None = None,
    epochs: float | None = None,
    learning_rate: float | None = None,
    to: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Fit P- and P+ from statements of a behavior: two LoRA adapters that must tell held-out statements apart.

    Args:
        base: Model folder or hub name; the model that ships if none is given.
        behavior: JSON lines with statement and answer_matching_behavior.
        negative: Which statements are the bad ones.
        template: concat, inst or single.
        epochs: Times that every text is seen.
        learning_rate: Peak learning rate.
        to: Folder for the adapters.
        options: Shared flags.
    """
    result = execute(
        FitComponentsConfig,
        options,
        base=base,
        behavior=behavior,
        negative=negative,
        template=template,
        epochs=epochs,
        learning_rate=learning_rate,
        to=to,
    )
    if result is not None and result.values["passed"] == 0:
        raise GateError(result.findings[0].summary)


@app.command
def calibrate(
    *, alpha: float | None = None, steps: Whole | None = None, prompts: Whole | None = None, options: Options = DEFAULT
) -> None:
    """Train a small model on a mixture of known weight, and read the weight off again.

    Args:
        alpha: Weight of the rare language.
        steps: Steps at that weight.
        prompts: Prompts drawn from the rare language.
        options: Shared flags.
    """
    execute(CalibrateConfig, options, alpha=alpha, steps=steps, prompts=prompts)


@app.command
def refit(*, series: Literal["agreeableness", "anti-immigration"] | None = None, options: Options = DEFAULT) -> None:
    """Fit the published curves again; no model is run.

    Args:
        series: Behavior whose numbers are given.
        options: Shared flags.
    """
    execute(RefitConfig, options, series=series)
