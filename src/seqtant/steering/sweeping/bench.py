"""Items of both sides made ready for one model and one vector, to be measured at any strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.text import encode, encode_continuations
from seqtant.progress import SILENT, Progress
from seqtant.steering.data.items import BehaviorPrompt, HelpfulnessItem, Passage, Question
from seqtant.steering.sweeping.scores import Behavior, Helpfulness, Readings, Scores, passages_read, questions_read
from seqtant.steering.sweeping.sweep import Plan, plan, sweep_log_probs
from seqtant.steering.vectors.vector import SteeringVector


@dataclass(frozen=True)
class Bench:
    """A model, a vector, and what is measured."""

    model: HuggingFaceLM
    vector: SteeringVector
    behavior: Sequence[BehaviorPrompt]
    helpfulness: Sequence[HelpfulnessItem]
    positions: str = "all"
    """Which tokens are steered."""
    tokens_per_batch: int = 4096
    """Most tokens in one forward pass."""
    progress: Progress = SILENT

    def __call__(self, strengths: Sequence[float]) -> Readings:
        """Measures both sides at some strengths."""
        return Readings(tuple(strengths), self.read_behavior(strengths), self.read_helpfulness(strengths))

    def read_behavior(self, strengths: Sequence[float]) -> Behavior:
        """Measures the behavior prompts at some strengths."""
        scores = self.sweep(self.behavior_plan, strengths, "behavior")
        counts = [len(item.good) for item in self.behavior]
        return Behavior(
            tuple(strengths),
            [own[:, :count] for own, count in zip(scores, counts, strict=True)],
            [own[:, count:] for own, count in zip(scores, counts, strict=True)],
        )

    def read_helpfulness(self, strengths: Sequence[float]) -> Helpfulness:
        """Measures the helpfulness items at some strengths."""
        scores = self.sweep(self.helpfulness_plan, strengths, "helpfulness")
        if isinstance(self.helpfulness[0], Passage):
            return passages_read(strengths, scores, [len(target.tokens) for target in self.helpfulness_plan.targets])
        return questions_read(strengths, scores, [item.answer for item in self.questions])

    def part(self, prompts: Sequence[int], items: Sequence[int]) -> Bench:
        """The same bench with some of its prompts and items."""
        return Bench(
            self.model,
            self.vector,
            [self.behavior[index] for index in prompts],
            [self.helpfulness[index] for index in items],
            self.positions,
            self.tokens_per_batch,
            self.progress,
        )

    def steered_by(self, vector: SteeringVector) -> Bench:
        """The same bench with another vector."""
        return Bench(
            self.model,
            vector,
            self.behavior,
            self.helpfulness,
            self.positions,
            self.tokens_per_batch,
            self.progress,
        )

    @property
    def questions(self) -> list[Question]:
        """The helpfulness items if they are questions."""
        return [item for item in self.helpfulness if isinstance(item, Question)]

    @cached_property
    def behavior_plan(self) -> Plan:
        """What is read for the behavior."""
        return plan(self.model, [encode_continuations(self.model, b.prompt, [*b.good, *b.bad]) for b in self.behavior])

    @cached_property
    def helpfulness_plan(self) -> Plan:
        """What is read for the helpfulness."""
        if isinstance(self.helpfulness[0], Question):
            return plan(
                self.model, [encode_continuations(self.model, item.prompt, item.options) for item in self.questions]
            )
        texts = [item.text for item in self.helpfulness if isinstance(item, Passage)]
        tokens = encode(self.model, texts)
        if any(len(ids) < 2 for ids in tokens):
            raise InputError("a helpfulness text has fewer than two tokens: there is nothing to score")
        return plan(self.model, [(ids[:1], [ids[1:]]) for ids in tokens])

    def sweep(self, scoring: Plan, strengths: Sequence[float], what: str) -> list[Scores]:
        """Log-probabilities of a plan's continuations at some strengths."""
        return sweep_log_probs(
            self.model,
            self.vector,
            scoring,
            strengths,
            positions=self.positions,
            tokens_per_batch=self.tokens_per_batch,
            progress=self.progress,
            description=what,
        )
