"""Measures one study: evidence of P- and P+ along their prompts, behavior after them, the model's own posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.behavior.reader import Reader, ScorerCheck, prompt_lengths
from seqtant.beb.estimation.estimates import Curve, cumulative_sums, halfway_length
from seqtant.beb.prompts.divergence import (
    Evidence,
    compute_evidence,
    retokenize,
    same_tokenizer,
    sentence_index,
    sum_by_sentence,
)
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.theory import bad_weight
from seqtant.lm.interface import CausalLM
from seqtant.progress import SILENT, Progress

OPENING_TOKENS = 3
"""Tokens of a sentence that still show the weight before it: what follows them is evidence itself."""
Rates = tuple[float, float] | None
"""Sensitivity and specificity of a scorer; None leaves scores as they are."""


@dataclass(frozen=True)
class Measurement:
    """Arrays over prompts; everything else is computed from them."""

    prompts: tuple[Prompt, ...]
    """From P-."""
    to_model: Evidence
    """P- against the model, along prompts from P-."""
    to_plus: Evidence
    """P- against P+, along the same prompts."""
    from_plus: Evidence
    """P+ against P-, along prompts from P+."""
    lengths: tuple[int, ...]
    """Prompt lengths, in sentences, at which behavior was read."""
    model: Float[np.ndarray, "prompts lengths"]
    """Behavior of the model after prompts from P-; so of the other two."""
    minus: Float[np.ndarray, "prompts lengths"]
    plus: Float[np.ndarray, "prompts lengths"]
    tokens_per_sentence: float
    dropped: int
    """Prompts that did not fit the context."""
    check: ScorerCheck | None = None
    """How the scorer did on answers that people judged; behavior has been corrected with it."""

    @property
    def own_plus(self) -> Evidence | None:
        """Evidence against P+, or None where P+ is the model itself and adds nothing."""
        return None if self.to_plus is self.to_model else self.to_plus

    def predicted(self, log_inverse_alpha: float) -> Curve:
        """Mean behavior of the mixture, w- B- + w+ B+, from the log-ratios that the prompts really have."""
        sums = cumulative_sums(self.to_plus.log_ratio)[:, list(self.lengths)]
        weight = bad_weight(-max(log_inverse_alpha, 1e-9), sums)
        return (weight * self.minus + (1 - weight) * self.plus).mean(axis=0)

    def resample(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Rates]:
        """Samples prompts with replacement, and rates of the scorer that its check leaves possible."""
        count, plus_count = len(self.model), len(self.from_plus.divergence)
        rows, plus_rows = generator.integers(count, size=count), generator.integers(plus_count, size=plus_count)
        return rows, plus_rows, sample_rates(self.check, generator)

    def select(self, rows: np.ndarray, plus_rows: np.ndarray, rates: Rates = None) -> Measurement:
        """The measurement as it would be for other prompts from P- and P+, and other rates of the scorer."""
        to_model = self.to_model.select(rows)
        return replace(
            self,
            to_model=to_model,
            # Object identity says that P+ is the model: a resample must keep it.
            to_plus=to_model if self.own_plus is None else self.to_plus.select(rows),
            from_plus=self.from_plus.select(plus_rows),
            model=rescore(self.check, self.model[rows], rates),
            minus=rescore(self.check, self.minus[rows], rates),
            plus=rescore(self.check, self.plus[rows], rates),
        )


def sample_rates(check: ScorerCheck | None, generator: np.random.Generator) -> Rates:
    """Samples a sensitivity and a specificity that a check leaves possible; None where there was none."""
    if check is None:
        return None
    sensitivity, specificity = check.sample_rates(1, generator)[0]
    return float(sensitivity), float(specificity)


def rescore(check: ScorerCheck | None, scores: np.ndarray, rates: Rates) -> np.ndarray:
    """Corrected scores as they would be had the scorer these rates."""
    return scores if check is None or rates is None else check.recorrect(scores, rates)


def measure_prompts(
    model: CausalLM,
    minus: CausalLM,
    plus: CausalLM,
    prompts: Sequence[Prompt],
    plus_prompts: Sequence[Prompt],
    reader: Reader,
    *,
    dropped: int = 0,
    floor: float | None = None,
    progress: Progress = SILENT,
) -> Measurement:
    """Computes the evidence along given prompts and reads the behavior after them."""
    # Where P+ is the model itself, both are one entry: the same evidence object, and one reading of the behavior.
    others = list(dict.fromkeys([model, plus]))
    evidence = compute_evidence(minus, others, prompts, floor=floor, progress=progress)
    (from_plus,) = compute_evidence(plus, [minus], plus_prompts, floor=floor, progress=progress)
    lengths = prompt_lengths(reader, len(prompts[0].ends))
    behavior: dict[CausalLM, np.ndarray] = {}
    for each in dict.fromkeys([model, minus, plus]):
        if same_tokenizer(minus, each):
            behavior[each] = reader.curve(each, prompts, lengths)
        else:
            # Another tokenizer: the same texts and question, spelled in its tokens.
            own = reader.for_model(each)
            again = retokenize(prompts, minus, each, reserve=own.reserved_tokens)
            behavior[each] = own.curve(each, again, lengths)
    tokens = sum(len(prompt.ids) - prompt.start for prompt in prompts)
    return Measurement(
        tuple(prompts),
        evidence[0],
        evidence[-1],
        from_plus,
        lengths,
        behavior[model],
        behavior[minus],
        behavior[plus],
        tokens / sum(len(prompt.ends) for prompt in prompts),
        dropped,
        reader.check,
    )


@dataclass(frozen=True)
class ImpliedPosterior:
    """The weight that the model itself gives to P- at the beginning of each sentence, by whatever rule it learns.

    A mixture's next-token distribution lies on the line from P+ to P- (Eq. 10), as far along as P- has weight. Where
    the model's own lies along that line is measured with no alpha and no log-ratio. Behavior that follows from these
    weights but not from Bayes' rule says what is at fault: the model is a mixture, and learns from its prompt in
    another way.
    """

    along: Float[np.ndarray, "prompts sentences"]
    """Inner product of model - P+ with P- - P+, each token weighted by one over the mean of the two."""
    whole: Float[np.ndarray, "prompts sentences"]
    """The same of P- - P+ with itself."""

    def mean(self, rows: np.ndarray) -> Float[np.ndarray, " sentences"]:
        """Weight of P- before each sentence, over some prompts: least squares over all their positions."""
        return self.along[rows].sum(axis=0) / self.whole[rows].sum(axis=0)

    def halfway_length(
        self,
        minus: Float[np.ndarray, "prompts lengths"],
        plus: Float[np.ndarray, "prompts lengths"],
        lengths: Sequence[int],
        rows: np.ndarray,
    ) -> float:
        """Half-way length of a mixture with these weights; the behavior is that on the prompts of ``rows``."""
        # The weight after n sentences is read at the beginning of sentence n + 1: none follows the last.
        kept = [length for length in lengths if length < self.along.shape[1]]
        weight = self.mean(rows)[kept]
        good, bad = (scores.mean(axis=0)[: len(kept)] for scores in (plus, minus))
        # The bottom is the mean over all lengths of P-'s own behavior, the limit as its weight goes to 1.
        return halfway_length(weight * bad + (1 - weight) * good, float(minus.mean()), kept)


def implied_posterior(model: CausalLM, minus: CausalLM, plus: CausalLM, prompts: Sequence[Prompt]) -> ImpliedPosterior:
    """Measures the model's own weights along prompts, one pass per model; all three must share their tokenizer."""

    def products(log_probs: list[Tensor], _: Tensor) -> tuple[Tensor, Tensor]:
        bad, good, own = (each.exp() for each in log_probs)  # [rows, positions, vocabulary]
        mean, apart = (bad + good) / 2, bad - good
        # Least squares for w in own = good + w (bad - good), each token weighted by 1 / mean.
        towards = torch.where(mean > 0, apart / mean, 0.0)
        return ((own - good) * towards).sum(dim=-1), (apart * towards).sum(dim=-1)

    def beginnings(prompt: Prompt) -> np.ndarray:
        """Index of the sentence that each token begins; all other tokens get the index after the last."""
        # Tokens since the beginning of their sentence; those of the opening belong to none.
        owner = sentence_index(prompt)
        starts = np.array([prompt.start, *(end + 1 for end in prompt.ends[:-1])])
        within = owner < len(starts)
        since = np.arange(len(owner)) - starts[np.where(within, owner, 0)]
        return np.where(within & (since < OPENING_TOKENS), owner, len(starts))

    return ImpliedPosterior(*sum_by_sentence([minus, plus, model], prompts, products, index=beginnings))
