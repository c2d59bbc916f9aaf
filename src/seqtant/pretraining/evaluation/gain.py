"""What a model gains from a related text: read in its context, or learned by one gradient step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm import CausalLM, HuggingFaceLM, continuation_log_probs
from seqtant.progress import SILENT, Progress, track


@dataclass(frozen=True)
class TextPair:
    """A text, and another that is to be predicted from it; token ids."""

    related: tuple[int, ...]
    """S1: a text related to the target."""
    control: tuple[int, ...]
    """A text drawn at random in its place."""
    target: tuple[int, ...]
    """S2: what is predicted."""
    start: tuple[int, ...] = ()
    """What stands before both in every case, e.g. a beginning-of-sequence token; at least one token."""
    cluster: str = ""
    """Pairs of one cluster are not independent."""


@dataclass(frozen=True)
class Gains:
    """Gains of the target, in nats per token, one row per pair."""

    related_in_context: Float[np.ndarray, " pairs"]
    """From reading the related text."""
    control_in_context: Float[np.ndarray, " pairs"]
    """From reading the control."""
    related_sequential: Float[np.ndarray, "pairs steps"]
    """From one gradient step on the related text, per step size."""
    control_sequential: Float[np.ndarray, "pairs steps"]
    """From one gradient step on the control, per step size."""


def in_context_gains(model: CausalLM, pairs: Sequence[TextPair], *, related: bool = True) -> np.ndarray:
    """Gain from reading a text first: log p(S2 | S1) - log p(S2), per token of S2.

    Args:
        model: Any causal language model, an oracle included.
        pairs: The texts.
        related: Whether the related text is read, or the control.

    Returns:
        [pairs], in nats per token.
    """
    gains = []
    for pair in pairs:
        first = pair.related if related else pair.control
        without = continuation_log_probs(model, pair.start, [pair.target])[0]
        after = continuation_log_probs(model, (*pair.start, *first), [pair.target])[0]
        gains.append(float((after - without).mean()))
    return np.array(gains)


def measure_gains(
    model: HuggingFaceLM, pairs: Sequence[TextPair], relative_steps: Sequence[float], *, progress: Progress = SILENT
) -> Gains:
    """Both gains of every pair, with their controls.

    One gradient step means plain gradient descent on the mean loss of S1 (after ``start``), all weights, of the length
    ``relative_step * |W|`` along the gradient. The weights are put back exactly after every pair.

    Args:
        model: A Hugging Face model in float32 or float64; its weights are the same afterwards.
        pairs: The texts.
        relative_steps: Lengths of the step, in lengths of the weights.
        progress: Told how many pairs are done.

    Raises:
        InputError: The weights are in half precision, in which a small step rounds to nothing.
    """
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.model.parameters()):
        raise InputError(f"'{model.name}' is in half precision: load it in float32, where a small step is not lost")
    sequential: dict[bool, list[list[float]]] = {True: [], False: []}
    with _trainable(model.model) as weights:
        for pair in track(pairs, progress, "gradient steps"):
            before = _loss(model, pair.start, pair.target).item()
            for related, rows in sequential.items():
                first = pair.related if related else pair.control
                rows.append(
                    [before - after for after in _losses_after_step(model, weights, pair, first, relative_steps)]
                )
    return Gains(
        in_context_gains(model, pairs),
        in_context_gains(model, pairs, related=False),
        np.array(sequential[True]),
        np.array(sequential[False]),
    )


@contextmanager
def _trainable(network: nn.Module) -> Iterator[list[nn.Parameter]]:
    """Weights that take gradients, frozen again and as they were afterwards."""
    weights = [p for p in network.parameters() if p.is_floating_point()]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield weights
    finally:
        for weight in weights:
            weight.requires_grad_(False)


def _losses_after_step(
    model: HuggingFaceLM,
    weights: list[nn.Parameter],
    pair: TextPair,
    first: tuple[int, ...],
    relative_steps: Sequence[float],
) -> list[float]:
    gradients = torch.autograd.grad(_loss(model, pair.start, first), weights, allow_unused=True)
    known = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
    size = _norm([weight.detach() for weight in weights]) / _norm([g for _, g in known])
    kept = [weight.detach().clone() for weight, _ in known]
    losses = []
    try:
        for step in relative_steps:
            with torch.no_grad():
                for (weight, gradient), own in zip(known, kept, strict=True):
                    weight.copy_(own).add_(gradient, alpha=-step * size)
                losses.append(_loss(model, pair.start, pair.target).item())
    finally:
        with torch.no_grad():
            for (weight, _), own in zip(known, kept, strict=True):
                weight.copy_(own)
    return losses


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([t.double().norm() for t in tensors]).norm())


def _loss(model: HuggingFaceLM, start: tuple[int, ...], text: tuple[int, ...]) -> Tensor:
    """Mean loss of a text after the start, in nats per token."""
    ids = torch.tensor([[*start, *text]], device=model.device)
    logits = model.model(ids, use_cache=False).logits[0, len(start) - 1 : -1].float()
    return nn.functional.cross_entropy(logits, ids[0, len(start) :])
