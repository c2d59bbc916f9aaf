"""The commands of the reference model: flags in, instrument called, result delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from cyclopts import App

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole
from seqtant.findings import Result
from seqtant.reference.config import CheckConfig, DescribeConfig, SampleConfig, TrainConfig
from seqtant.registry import import_attribute
from seqtant.runs.context import Context

app = App(name="reference", help="The model that ships: its world, its training, its manifest.")


@app.command
def train(*, options: Options = DEFAULT) -> int:
    """Train the reference model from nothing; weights and manifest land in DIR/weights.

    Args:
        options: Shared flags; --out is needed.
    """
    return _exit_code(execute(TrainConfig, options, run=_instrument("train")))


@app.command
def check(model: str | None = None, /, *, options: Options = DEFAULT) -> int:
    """Measure a model against the world; exit code 1 if it misses a requirement.

    Args:
        model: Model folder; by default the model that ships.
        options: Shared flags.
    """
    return _exit_code(execute(CheckConfig, options, run=_instrument("check"), model=model))


@app.command
def sample(
    *,
    prompt: str | None = None,
    source: Literal["model", "world"] | None = None,
    count: Whole | None = None,
    tokens: Whole | None = None,
    temperature: float | None = None,
    options: Options = DEFAULT,
) -> None:
    """Draw documents from the model or from the world.

    Args:
        prompt: Beginning of every document in words, such as "talk :".
        source: Who speaks.
        count: Number of documents.
        tokens: Most tokens of each.
        temperature: Divides the logits; 0 takes the likeliest token.
        options: Shared flags.
    """
    execute(
        SampleConfig,
        options,
        run=_instrument("sample"),
        prompt=prompt,
        source=source,
        count=count,
        tokens=tokens,
        temperature=temperature,
    )


@app.command
def describe(*, sentences: Whole | None = None, options: Options = DEFAULT) -> None:
    """Tell what is true of the world: kinds, personas, tasks, facts.

    Args:
        sentences: Longest prompt, in sentences, that is followed exactly.
        options: Shared flags.
    """
    execute(DescribeConfig, options, run=_instrument("describe"), sentences=sentences)


def _instrument(verb: str) -> Callable[[object, Context], Result]:
    def run(config: object, context: Context) -> Result:
        return import_attribute(f"seqtant.reference.instruments.{verb}:run")(config, context)

    return run


def _exit_code(result: Result | None) -> int:
    return int(result is not None and result.verdict == "disagrees")
