"""The commands of the steering room: flags in, instrument called, result delivered."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.errors import InputError
from seqtant.steering.config import (
    AnswerScore,
    ApplyConfig,
    ChooseConfig,
    DiagnoseConfig,
    ExportConfig,
    ExportFormat,
    ExtractConfig,
    LayersConfig,
    Method,
    Positions,
    RefitConfig,
    SweepConfig,
    TrainConfig,
)

app = App(name="steering", help="How hard may I steer before the model gets useless?")

Behavior = Annotated[str | None, Parameter(name=("--behavior", "--behavior"))]
"""``seqtant checkup`` and half of the world spell it the other way."""


@app.command
def extract(
    model: str | None = None,
    /,
    *,
    pairs: str | None = None,
    layers: str | None = None,
    method: Method | None = None,
    template: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Extract a steering vector from contrast pairs; with --out it is kept as vector.safetensors.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        pairs: JSON lines with positive and negative (and prompt).
        layers: Blocks: 2,3 or 4:8 or 0.3:0.6.
        method: mean, pca, repe, probe or random.
        template: Text with {text}, or chat.
        options: Shared flags.
    """
    execute(ExtractConfig, options, model=model, pairs=pairs, layers=layers, method=method, template=template)


@app.command
def sweep(
    model: str | None = None,
    /,
    *,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: Behavior = None,
    helpfulness: str | None = None,
    layers: str | None = None,
    strengths: str | None = None,
    score: AnswerScore | None = None,
    scorer: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure alignment and helpfulness over a range of strengths; fit the S-curve and the bell.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        layers: Blocks to steer.
        strengths: first:last:step, or numbers with commas; the range is found if none is given.
        score: restricted or full.
        scorer: Registered scorer of generated replies: begins, contains or your own.
        options: Shared flags.
    """
    execute(
        SweepConfig,
        options,
        model=model,
        vector=vector,
        pairs=pairs,
        behavior=behavior,
        helpfulness=helpfulness,
        layers=layers,
        strengths=None if strengths is None else parse_strengths(strengths),
        score=score,
        scorer=scorer,
    )


def parse_strengths(text: str) -> tuple[float, ...]:
    """Strengths from ``first:last:step``, both ends in, or from numbers with commas.

    Raises:
        InputError: The text cannot be read.

    Example:
        >>> parse_strengths("-1:1:0.5"), parse_strengths("0,2")
        ((-1.0, -0.5, 0.0, 0.5, 1.0), (0.0, 2.0))
    """
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        first, last, step = (float(part) for part in text.split(":"))
        count = round((last - first) / step)
        if count < 1 or count > 10_000:
            raise ValueError(f"{count} steps")
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"strengths '{text}' cannot be read: write first:last:step or numbers with commas") from error
    return tuple(round(first + step * number, 12) for number in range(count + 1))


@app.command
def choose(
    model: str | None = None,
    /,
    *,
    budget: float | None = None,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: Behavior = None,
    helpfulness: str | None = None,
    layers: str | None = None,
    side: Whole | None = None,
    score: AnswerScore | None = None,
    options: Options = DEFAULT,
) -> None:
    """Choose the strength under a helpfulness budget: predicted from small strengths, verified on held-out items.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        budget: Share of helpfulness that may be lost, e.g. 0.05.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        layers: Blocks to steer.
        side: 1 towards the positive side of the pairs, -1 away from it.
        score: restricted or full.
        options: Shared flags.
    """
    execute(
        ChooseConfig,
        options,
        model=model,
        budget=budget,
        vector=vector,
        pairs=pairs,
        behavior=behavior,
        helpfulness=helpfulness,
        layers=layers,
        side=side,
        score=score,
    )


@app.command
def diagnose(
    model: str | None = None,
    /,
    *,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: Behavior = None,
    helpfulness: str | None = None,
    layers: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Check what the theory assumes (A1 to A3), and in which range of strengths it holds.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        layers: Blocks to steer.
        options: Shared flags.
    """
    execute(
        DiagnoseConfig,
        options,
        model=model,
        vector=vector,
        pairs=pairs,
        behavior=behavior,
        helpfulness=helpfulness,
        layers=layers,
    )


@app.command
def layers(
    model: str | None = None,
    /,
    *,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: Behavior = None,
    helpfulness: str | None = None,
    budget: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Compare layers: how much alignment each gains before the budget is spent.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        vector: Steering vector of all blocks; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        budget: Share of helpfulness at which layers are compared.
        options: Shared flags.
    """
    execute(
        LayersConfig,
        options,
        model=model,
        vector=vector,
        pairs=pairs,
        behavior=behavior,
        helpfulness=helpfulness,
        budget=budget,
    )


@app.command(alias="generate")
def apply(
    model: str | None = None,
    /,
    *,
    prompt: tuple[str, ...] | None = None,
    prompts_file: str | None = None,
    vector: str | None = None,
    pairs: str | None = None,
    strength: float | None = None,
    layers: str | None = None,
    positions: Positions | None = None,
    tokens: Whole | None = None,
    temperature: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Generate with and without steering, side by side.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        prompt: Text to continue (may be repeated).
        prompts_file: Prompts, one a line or JSON lines with prompt.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        strength: How hard to steer.
        layers: Blocks to steer.
        positions: all, prompt, last or generated.
        tokens: Most new tokens.
        temperature: 0 takes the likeliest token.
        options: Shared flags.
    """
    execute(
        ApplyConfig,
        options,
        model=model,
        prompt=prompt,
        prompts_file=prompts_file,
        vector=vector,
        pairs=pairs,
        strength=strength,
        layers=layers,
        positions=positions,
        tokens=tokens,
        temperature=temperature,
    )


@app.command
def export(
    model: str | None = None,
    /,
    *,
    to: str | None = None,
    format: ExportFormat | None = None,
    vector: str | None = None,
    pairs: str | None = None,
    strength: float | None = None,
    layers: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Write a vector for other programs: a GGUF control vector, or a model folder with the vector folded in.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        to: File (.gguf) or folder to write.
        format: gguf or folder.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        strength: Multiplied into what is written.
        layers: Blocks to steer.
        options: Shared flags.
    """
    execute(
        ExportConfig,
        options,
        model=model,
        to=to,
        format=format,
        vector=vector,
        pairs=pairs,
        strength=strength,
        layers=layers,
    )


@app.command(name="import")
def import_vector(source: str, model: str | None = None, /, *, options: Options = DEFAULT) -> None:
    """Check a control vector of another program against a model and, with --out, keep it as vector.safetensors.

    Args:
        source: The .gguf file.
        model: Model folder or hub name; the model that ships if none is given.
        options: Shared flags.
    """
    execute(ExtractConfig, options, vector=source, model=model)


@app.command
def train(
    *,
    reviews: str | None = None,
    text: tuple[str, ...] | None = None,
    steps: Whole | None = None,
    width: Whole | None = None,
    depth: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train a small model on texts with opinions; write it with pairs, prompts and items from texts it never saw.

    Args:
        reviews: JSON lines with text and label (pos or neg).
        text: Further text, .txt or .jsonl (may be repeated); helpfulness is asked of it.
        steps: Optimizer steps.
        width: Width of the network.
        depth: Number of blocks.
        options: Shared flags; --out says where model and files go.
    """
    execute(TrainConfig, options, reviews=reviews, text=text, steps=steps, width=width, depth=depth)


@app.command
def refit(*, options: Options = DEFAULT) -> None:
    """Fit the theory's curves to the numbers of the paper's own repository; no model is run.

    Args:
        options: Shared flags.
    """
    execute(RefitConfig, options)


@app.command
def playground(
    model: str = "reference",
    /,
    *,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: Behavior = None,
    helpfulness: str | None = None,
    layers: str | None = None,
    port: Whole = 8765,
    device: str = "auto",
    seed: Annotated[int, Parameter(negative="")] = 0,
    check: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Open a page on 127.0.0.1: baseline and steered text side by side, a slider, the trade-off with the current point.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        layers: Blocks to steer.
        port: Where the page is served.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: Seed of what is random.
        check: Load everything, say where the page would be, and stop.
    """
    from seqtant.steering.playground.server import serve

    serve(
        model=model,
        vector=vector,
        pairs=pairs,
        behavior=behavior,
        helpfulness=helpfulness,
        layers=layers,
        port=port,
        device=device,
        seed=seed,
        check=check,
    )
