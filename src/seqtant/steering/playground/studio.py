"""What the page can ask of a model: tokens with and without steering, the curve, the strength for a budget."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.lm.interface import encode
from seqtant.runs.recorder import Context
from seqtant.sources import describe
from seqtant.steering.analysis.strength_search import Budget, StrengthMeasurements, choose
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, Bench, usable_range
from seqtant.steering.vectors.hooks import apply_steering

SMALLEST_BUDGET = 0.001
"""A smaller loss drowns in rounding, and the search for it would not end."""


class Studio:
    """A loaded model with its vector and items, as for ``steering choose``; one request at a time uses it."""

    def __init__(self, config: ChooseConfig, context: Context) -> None:
        self.config, self.context = config, context
        self.bench: Bench = open_bench(config, context)
        self.turn = threading.Lock()
        """Held by whoever runs the model, token by token: what steers one request is seen by all threads."""

    @cached_property
    def reach(self) -> float:
        """Largest strength of the slider: where about a fifth of helpfulness is lost."""
        with self.turn:
            return usable_range(self.bench, 0.2, self.config.score)

    @cached_property
    def norm(self) -> float:
        """Mean norm of the states that are steered."""
        with self.turn:
            return self.bench.hidden_norm

    def about(self) -> dict[str, Any]:
        """What the page shows before anything is asked."""
        return {
            "model": describe(self.config.model),
            "vector": describe(self.config.vector),
            "pairs": describe(self.config.pairs),
            "layers": list(self.bench.vector.layers),
            "reach": self.reach,
            "hidden_norm": self.norm,
            "prompt": self.bench.behavior[0].prompt,
            "budget": self.config.budget,
        }

    @torch.no_grad()
    def speak(
        self, prompt: str, strength: float, layers: Sequence[int], tokens: int, cancelled: threading.Event
    ) -> Iterator[dict[str, Any]]:
        """Continues a prompt on both sides in turn, likeliest token by token, until cancelled from outside.

        Each piece names its ``side`` (plain or steered), the whole ``text`` so far (single tokens need not be whole
        characters), and whether the reply is ``done``.
        """
        model, vector = self.bench.model, self.bench.vector.at(list(layers))
        (ids,) = encode(model, [prompt])
        if not ids:
            raise InputError("the prompt is empty: write a few words")
        if model.context_length is not None and len(ids) + tokens > model.context_length:
            raise InputError(f"the prompt has {len(ids)} tokens: with {tokens} more it is too long for the model")
        read = torch.tensor([ids, ids], device=model.device)
        strengths, sides = [0.0, strength], ("plain", "steered")
        said: list[list[int]] = [[], []]
        ended = [False, False]
        cache, tokenizer = None, model.tokenizer
        for _ in range(tokens):
            if cancelled.is_set() or all(ended):
                return
            with self.turn, apply_steering(model, vector, strengths, allow_other_model=True):
                output = model.forward(read, cache=cache, keep=1, use_cache=True)
            cache, best = output.cache, output.logits[:, -1].argmax(dim=-1)
            read = best[:, None]
            for number, token in enumerate(best.tolist()):
                if not ended[number]:
                    ended[number] = token == model.eos_id
                    said[number] += [] if ended[number] else [token]
                    text = tokenizer.decode(said[number]) if tokenizer is not None and said[number] else ""
                    yield {"side": sides[number], "text": str(text), "done": ended[number]}

    def curve(self, strengths: Sequence[float], layers: Sequence[int]) -> list[dict[str, float]]:
        """Alignment and helpfulness at some strengths."""
        bench = replace(self.bench, vector=self.bench.vector.at(list(layers)))
        with self.turn:
            scores = bench(list(strengths))
        items = getattr(scores.helpfulness, self.config.score)
        return [
            {
                "strength": float(strength),
                "alignment": float(scores.behavior.alignment[row].mean()),
                "helpfulness": float(items[row].mean()),
            }
            for row, strength in enumerate(strengths)
        ]

    def strength_for(self, budget: float, layers: Sequence[int]) -> dict[str, float | bool]:
        """The strength that spends a budget, on all items of the page (``steering choose`` also verifies it)."""
        if not SMALLEST_BUDGET <= budget < 1:
            raise InputError(f"budget is {budget}: give a share between {SMALLEST_BUDGET} and 1")
        bench = replace(self.bench, vector=self.bench.vector.at(list(layers)))
        measured = StrengthMeasurements(bench, lambda scores: getattr(scores.helpfulness, self.config.score))
        generator = np.random.default_rng([self.context.seed, 60])
        with self.turn:
            limit = Budget(share=budget, cap=self.config.cap * bench.hidden_norm)
            start = FIRST_STRENGTH * bench.hidden_norm
            found = choose(measured, limit, start, resamples=200, generator=generator)
        low, high = found.strength.low, found.strength.high
        return {
            "strength": found.strength.value,
            "low": found.strength.value if low is None else low,
            "high": found.strength.value if high is None else high,
            "limited": found.limited,
        }
