"""What one study observes: evidence of both parts along their prompts, and the behavior after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from seqtant.beb.behavior.reader import Reader, places_of
from seqtant.beb.behavior.scorer_calibration import ScorerCheck
from seqtant.beb.prompts.divergence import Evidence
from seqtant.beb.prompts.retokenize import evidence_of, respell, share_words
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.components_study import MINUS, PLUS, Study
from seqtant.lm.interface import CausalLM
from seqtant.progress import SILENT, Progress
from seqtant.runs.context import Context


@dataclass(frozen=True)
class Draw:
    """One way the study might have come out: other prompts, other errors of the scorer."""

    rows: np.ndarray
    """Prompts from P-, possibly repeated."""
    plus_rows: np.ndarray
    """Prompts from P+, likewise."""
    rates: tuple[float, float] | None = None
    """Sensitivity and specificity of the scorer; None leaves the scores as they are."""


@dataclass(frozen=True)
class Observed:
    """Arrays over prompts; everything else is computed from them."""

    prompts: tuple[Prompt, ...]
    """The prompts from P-."""
    to_model: Evidence
    """P- against the model, along prompts from P-."""
    to_plus: Evidence
    """P- against P+, along the same prompts."""
    from_plus: Evidence
    """P+ against P-, along prompts from P+."""
    places: tuple[int, ...]
    """Numbers of sentences after which behavior was read."""
    model: Float[np.ndarray, "prompts places"]
    """Behavior of the model after prompts from P-."""
    minus: Float[np.ndarray, "prompts places"]
    """Behavior of P- there."""
    plus: Float[np.ndarray, "prompts places"]
    """Behavior of P+ there."""
    tokens_per_sentence: float
    """Mean tokens of a sentence of P-."""
    lost: int
    """Prompts that did not fit the context."""
    check: ScorerCheck | None = None
    """How the scorer did on answers that people judged; behavior has been corrected with it."""

    @property
    def own_plus(self) -> Evidence | None:
        """Evidence against P+, or None where P+ is the model itself and tells nothing new."""
        return None if self.to_plus is self.to_model else self.to_plus

    def draw(self, generator: np.random.Generator) -> Draw:
        """Prompts with replacement, and rates of the scorer that its check leaves possible."""
        count, plus_count = len(self.model), len(self.from_plus.divergence)
        rows, plus_rows = generator.integers(count, size=count), generator.integers(plus_count, size=plus_count)
        return Draw(rows, plus_rows, draw_rates(self.check, generator))

    def select(self, draw: Draw) -> Observed:
        """The same as it would be for a draw."""
        to_model = self.to_model.select(draw.rows)
        model, minus, plus = (
            rescored(self.check, each[draw.rows], draw.rates) for each in (self.model, self.minus, self.plus)
        )
        return replace(
            self,
            to_model=to_model,
            to_plus=to_model if self.own_plus is None else self.to_plus.select(draw.rows),
            from_plus=self.from_plus.select(draw.plus_rows),
            model=model,
            minus=minus,
            plus=plus,
        )


def draw_rates(check: ScorerCheck | None, generator: np.random.Generator) -> tuple[float, float] | None:
    """Sensitivity and specificity that a check leaves possible; None where there was none."""
    if check is None:
        return None
    sensitivity, specificity = check.draws(1, generator)[0]
    return float(sensitivity), float(specificity)


def rescored(check: ScorerCheck | None, scores: np.ndarray, rates: tuple[float, float] | None) -> np.ndarray:
    """Corrected scores as they would be had the scorer these rates."""
    return scores if check is None or rates is None else check.corrected_anew(scores, *rates)


@dataclass(frozen=True)
class Parts:
    """The three models of a study."""

    model: CausalLM
    """The model whose alignment is tested."""
    minus: CausalLM
    """P-."""
    plus: CausalLM
    """P+."""


def observe(study: Study, context: Context) -> Observed:
    """Draws prompts from both parts, gathers the evidence and reads the behavior.

    Raises:
        InputError: Prompts do not fit the context, or a divergence is infinite.
    """
    drawn, bright = study.draw(study.minus, MINUS), study.draw(study.plus, PLUS)
    return observe_prompts(
        Parts(study.model, study.minus, study.plus),
        drawn.prompts,
        bright.prompts,
        study.reader,
        lost=drawn.lost + bright.lost,
        floor=study.config.floor,
        progress=context.progress,
    )


def observe_prompts(
    parts: Parts,
    prompts: Sequence[Prompt],
    bright: Sequence[Prompt],
    reader: Reader,
    *,
    lost: int = 0,
    floor: float | None = None,
    progress: Progress = SILENT,
) -> Observed:
    """Gathers the evidence along given prompts and reads the behavior after them.

    Args:
        parts: The models.
        prompts: Prompts from P-, all of the same number of sentences.
        bright: Prompts from P+.
        reader: Reads behavior.
        lost: Prompts that did not fit.
        floor: As for :func:`seqtant.beb.prompts.divergence.gather`.
        progress: Told how far it is.

    Raises:
        InputError: A divergence is infinite.
    """
    others = list(dict.fromkeys([parts.model, parts.plus]))
    found = evidence_of(parts.minus, others, prompts, floor=floor, progress=progress)
    (from_plus,) = evidence_of(parts.plus, [parts.minus], bright, floor=floor, progress=progress)
    places = places_of(reader, len(prompts[0].ends))
    sides = dict.fromkeys([parts.model, parts.minus, parts.plus])
    read = {side: _read(reader, side, parts.minus, prompts, places) for side in sides}
    tokens = sum(len(prompt.ids) - prompt.start for prompt in prompts)
    return Observed(
        tuple(prompts),
        found[0],
        found[-1],
        from_plus,
        places,
        read[parts.model],
        read[parts.minus],
        read[parts.plus],
        tokens / sum(len(prompt.ends) for prompt in prompts),
        lost,
        reader.check,
    )


def _read(
    reader: Reader, side: CausalLM, writer: CausalLM, prompts: Sequence[Prompt], places: Sequence[int]
) -> Float[np.ndarray, "prompts places"]:
    """Behavior of one side after prompts of another, in its own tokens where they differ."""
    if share_words(writer, side):
        return reader.curve(side, prompts, places)
    own = reader.of_model(side)
    return own.curve(side, respell(prompts, writer, side, reserve=own.tokens), places)
