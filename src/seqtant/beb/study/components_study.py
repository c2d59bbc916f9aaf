"""One study: the model, both parts, their prompts, and how behavior is read; defaults for the model that ships."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqtant.beb.behavior.exact_replies import Replies
from seqtant.beb.behavior.reader import SampledAnswers, open_reader
from seqtant.beb.components.fit import SIDES, Fitted, fit_sides
from seqtant.beb.components.loading import WORLD, Side, of_reference, open_sides
from seqtant.beb.config import Sides
from seqtant.beb.prompts.retokenize import share_words
from seqtant.beb.prompts.sampling import Drawn, draw_prompts
from seqtant.beb.prompts.sentences import SentenceEnds
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM
from seqtant.lm.loading import load
from seqtant.lm.text import encode
from seqtant.runs.context import Context

MINUS, PLUS, ANSWERS = 40, 41, 42
"""Last part of the seed of each use of chance, so that none draws what another drew."""


@dataclass(frozen=True)
class Study:
    """Everything that the instruments of this room share."""

    config: Sides
    """The settings, the defaults of the reference model filled in."""
    model: CausalLM
    """The model whose alignment is tested."""
    minus: CausalLM
    """P-."""
    plus: CausalLM
    """P+."""
    splitter: SentenceEnds
    """Tells where sentences end."""
    opening: tuple[int, ...]
    """Token ids that every prompt begins with."""
    reader: Replies | SampledAnswers
    """Reads behavior."""
    seed: int
    """Seed of every draw."""
    fitted: Fitted | None = None
    """How P- and P+ were fitted, where they were fitted for this study."""

    @property
    def room(self) -> int | None:
        """Most tokens of a prompt, such that every model can still be asked."""
        limits = [
            side.context_length for side in (self.model, self.minus, self.plus) if side.context_length is not None
        ]
        return min(limits) - self.reader.tokens if limits else None

    def generator(self, use: int) -> torch.Generator:
        """A source of chance for one use."""
        return seeded(self.seed, use)

    def draw(self, source: CausalLM, use: int, *, openings: Sequence[Sequence[int]] | None = None) -> Drawn:
        """Draws as many prompts as the settings say from one of the sides, after the opening or after given ones."""
        same = share_words(self.minus, source)
        opening = self.opening if same else opening_of(source, self.config)
        return draw_prompts(
            source,
            [opening] * self.config.prompts if openings is None else openings,
            self.config.sentences,
            self.splitter if same else SentenceEnds(source, self.config.marks),
            generator=self.generator(use),
            room=self.room,
        )


def seeded(seed: int, use: int) -> torch.Generator:
    """A generator for one use of chance under a seed.

    Example:
        >>> bool((torch.rand(2, generator=seeded(0, 1)) == torch.rand(2, generator=seeded(0, 2))).any())
        False
    """
    return torch.Generator().manual_seed((seed * 1_000_003 + use) % 2**63)


def with_defaults(config: Sides) -> Sides:
    """Fills in what the reference model has of its own: dark and bright personas, opening, marks, question.

    Raises:
        InputError: Another model is given without P-.
    """
    if not of_reference(config.model):
        if config.minus is None:
            raise InputError(
                f"'{config.model}' needs P-, the ill-behaved part: give --minus DIR (a model or adapter folder), or "
                "statements to fit it to (beb measure --behavior FILE.jsonl)"
            )
        return replace(config, plus=config.plus or config.model, opening=config.opening or "")
    from seqtant.reference import Prompts
    from seqtant.reference.persona_truths import NEGATIVE

    prompts = Prompts()
    personas = [persona.name for persona in prompts.settings.talk.personas]
    plus = ",".join(name for name in personas if name not in NEGATIVE)
    behavior = config.behavior
    if behavior.scorer == "replies" and not behavior.good and not behavior.bad:
        behavior = replace(
            behavior, question="how are you ?", good=prompts.bright_replies(), bad=prompts.dark_replies()
        )
    return replace(
        config,
        minus=config.minus or f"world:{','.join(NEGATIVE)}",
        plus=config.plus or f"world:{plus}",
        opening="talk :" if config.opening is None else config.opening,
        marks=".!" if config.marks == Sides.marks else config.marks,
        behavior=behavior,
    )


def opening_of(source: CausalLM, config: Sides) -> tuple[int, ...]:
    """Token ids that every prompt of one side begins with.

    Raises:
        InputError: There are none.
    """
    ids = encode(source, [config.opening or ""])[0]
    if not ids:
        raise InputError(f"'{source.name}' has no beginning-of-sequence token: give opening, a text prompts begin with")
    return tuple(ids)


def open_study(config: Sides, context: Context, *, one_tokenizer: bool = True) -> Study:
    """Opens the models of a study.

    Args:
        config: What to open, and how behavior is read.
        context: Seed and device.
        one_tokenizer: Whether all sides must share one: only texts can be compared where they do not.

    Raises:
        InputError: A side cannot be opened, or the sides do not fit together.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fitted = _fit(config, context, scratch) if config.components.behavior is not None else None
        full = with_defaults(config if fitted is None else _between(config, fitted))
        assert full.minus is not None
        assert full.plus is not None
        sides = {
            "the model": Side(full.model, full.system),
            "P-": Side(full.minus, full.minus_system),
            "P+": Side(full.plus, full.plus_system),
        }
        opened = open_sides(sides, device=context.device, dtype=full.dtype, one_tokenizer=one_tokenizer)
    model, minus, plus = opened.values()
    splitter = SentenceEnds(minus, full.marks)
    generator = seeded(context.seed, ANSWERS)
    reader = open_reader(full.behavior, minus, plus, splitter, generator)
    return Study(full, model, minus, plus, splitter, opening_of(minus, full), reader, context.seed, fitted)


def _fit(config: Sides, context: Context, scratch: str) -> Fitted:
    """Fits P- and P+ on the model itself; with a folder, the adapters are kept in ``components``.

    Raises:
        InputError: P- or P+ is given too, or nothing can be fitted.
    """
    if config.minus is not None or config.plus is not None:
        raise InputError("components.behavior fits P- and P+: leave out minus and plus, or the statements")
    if config.model.partition(":")[0] == WORLD:
        raise InputError(f"'{config.model}' has no weights to fit P- and P+ on: give a model")
    folder = Path(scratch) if context.folder is None else context.folder / "components"
    base = load(config.model, device=context.device, dtype=config.dtype)
    return fit_sides(config.components, base, config.model, folder, context)


def _between(config: Sides, fitted: Fitted) -> Sides:
    """The settings with what was fitted as P- and P+; without replies, likelihood under the two is the scorer."""
    behavior = config.behavior
    if behavior.scorer == "replies" and not behavior.good and not behavior.bad:
        behavior = replace(behavior, scorer="likelihood")
    sides = {side: str(fitted.folder / side) for side in SIDES}
    return replace(config, minus=sides["minus"], plus=sides["plus"], behavior=behavior)
