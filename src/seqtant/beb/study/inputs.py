"""Opens what a study needs: the model, P- and P+, the reader of behavior; with defaults for the shipped model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from seqtant.beb.behavior.reader import Reader, open_reader
from seqtant.beb.components.fit import SIDES, FittedComponents, fit_to_statements
from seqtant.beb.components.loading import WORLD, Component, known_name, load_to_change, open_components
from seqtant.beb.config import StudySettings
from seqtant.beb.prompts.divergence import same_tokenizer
from seqtant.beb.prompts.sampling import SampledPrompts, SentenceEnds, sample_prompts
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, encode
from seqtant.runs.recorder import Context
from seqtant.sources import REFERENCE, ModelSource, describe, is_path, name_of

MINUS, PLUS, ANSWERS = 40, 41, 42
"""Last part of the seed of each use of random numbers, so that no two uses share them."""


@dataclass(frozen=True)
class Study:
    """Everything that the instruments share."""

    config: StudySettings
    """The settings, the defaults of the reference model filled in."""
    model: CausalLM
    """The model whose alignment is tested."""
    minus: CausalLM
    plus: CausalLM
    splitter: SentenceEnds
    opening: tuple[int, ...]
    """Token ids that every prompt begins with."""
    reader: Reader
    seed: int
    fitted: FittedComponents | None = None
    """How P- and P+ were fitted, where they were fitted for this study."""

    def sample(
        self,
        source: CausalLM,
        use: int,
        *,
        openings: Sequence[Sequence[int]] | None = None,
        sentences: int | None = None,
    ) -> SampledPrompts:
        """Samples prompts as the settings say, or after other openings and of other lengths, under their own seed."""
        # Every model must still be asked after a prompt.
        limits = [
            each.context_length for each in (self.model, self.minus, self.plus) if each.context_length is not None
        ]
        # Opening and sentence ends are in the tokens of P-; a source with others needs its own.
        same = same_tokenizer(self.minus, source)
        opening = self.opening if same else opening_of(source, self.config)
        return sample_prompts(
            source,
            [opening] * self.config.prompts if openings is None else openings,
            self.config.sentences if sentences is None else sentences,
            self.splitter if same else SentenceEnds(source, self.config.marks),
            generator=seeded(self.seed, use),
            max_tokens=min(limits) - self.reader.reserved_tokens if limits else None,
        )


def seeded(seed: int, use: int) -> torch.Generator:
    """A random generator for one use under a seed."""
    # A prime larger than any use: no two pairs of seed and use share a generator.
    return torch.Generator().manual_seed((seed * 1_000_003 + use) % 2**63)


def title_of(model: ModelSource) -> str:
    """Names a model in a title: as it was given, or by the name that a model in memory has."""
    return str(model) if is_path(model) else name_of(model)


def with_defaults(config: StudySettings) -> StudySettings:
    """Fills in what the reference model has of its own: dark and bright personas, opening, marks, question."""
    if not known_name(config.model):
        if config.minus is None:
            raise InputError(
                f"'{describe(config.model)}' needs P-, the ill-behaved part: give --minus DIR (a model or adapter "
                "folder), or statements to fit it to (beb measure --statements FILE.jsonl)"
            )
        return replace(config, plus=config.plus or config.model, opening=config.opening or "")
    from seqtant.reference import Prompts
    from seqtant.reference.truths import NEGATIVE

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
        marks=".!" if config.marks == StudySettings.marks else config.marks,
        behavior=behavior,
    )


def true_log_inverse_alpha(config: StudySettings) -> float | None:
    """log(1/alpha) of the reference world for P- of some of its personas, defaults filled in; None where unknown."""
    source, _, names = known_name(config.minus).partition(":")
    # The weights are those of talks with nothing in front of them.
    plain = config.opening == "talk :" and not config.system and not config.minus_system
    if source != WORLD or not names or not plain or known_name(config.model) not in {WORLD, REFERENCE}:
        return None
    from seqtant.reference import WorldSettings

    personas = {persona.name: persona.weight for persona in WorldSettings().talk.personas}
    chosen = sum(personas[name.strip()] for name in names.split(",") if name.strip())
    return math.log(sum(personas.values()) / chosen)


def opening_of(source: CausalLM, config: StudySettings) -> tuple[int, ...]:
    """Token ids that every prompt of one component begins with."""
    ids = encode(source, [config.opening or ""])[0]
    if not ids:
        raise InputError(f"'{source.name}' has no beginning-of-sequence token: give opening, a text prompts begin with")
    return tuple(ids)


def open_study(config: StudySettings, context: Context, *, one_tokenizer: bool = True) -> Study:
    """Opens the models of a study; with statements, P- and P+ are first fitted to them on the model itself."""
    fitted = None
    # Models are in memory once opened, so fitted weights need no longer life than this block.
    with tempfile.TemporaryDirectory() as scratch:
        base: ModelSource | None = None
        if config.components.statements is not None:
            if config.minus is not None or config.plus is not None:
                raise InputError("components.statements fits P- and P+: leave out minus and plus, or the statements")
            # A closed form has no weights to put adapters on.
            if known_name(config.model).partition(":")[0] == WORLD:
                raise InputError(f"'{describe(config.model)}' has no weights to fit P- and P+ on: give a model")
            folder = Path(scratch) if context.folder is None else context.folder / "components"
            changed = load_to_change(config.model, device=context.device, dtype=config.dtype)
            fitted = fit_to_statements(config.components, changed, config.model, folder, context)
            # Adapters name the folder of their base; a base in memory has none.
            base = None if is_path(config.model) else config.model
            # Without replies of the user's own, likelihood under the two is the scorer.
            behavior = config.behavior
            if behavior.scorer == "replies" and not behavior.good and not behavior.bad:
                behavior = replace(behavior, scorer="likelihood")
            minus, plus = (str(fitted.folder / side) for side in SIDES)
            config = replace(config, minus=minus, plus=plus, behavior=behavior)
        full = with_defaults(config)
        assert full.minus is not None
        assert full.plus is not None
        components = {
            "the model": Component(full.model, full.system),
            "P-": Component(full.minus, full.minus_system, base),
            "P+": Component(full.plus, full.plus_system, base),
        }
        opened = open_components(components, device=context.device, dtype=full.dtype, one_tokenizer=one_tokenizer)
    model, minus, plus = opened.values()
    splitter = SentenceEnds(minus, full.marks)
    reader = open_reader(full.behavior, minus, plus, splitter, seeded(context.seed, ANSWERS))
    return Study(full, model, minus, plus, splitter, opening_of(minus, full), reader, context.seed, fitted)
