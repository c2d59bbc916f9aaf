"""What a CTC model's output looks like: peaked, sure, silent; and whether its loss has the right gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.lattice import alignment_log_sum
from seqtant.ctc.lattice.paths import PathBatch, collapse, sample_paths

LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(scores (B,T,V), lengths, targets (B,U), target_lengths) to the sum of the losses; the blank is label 0."""


@dataclass(frozen=True)
class Peakiness:
    """Per utterance.

    Args:
        frames_per_token: Mean frames that a sampled path spends on a token; None where it says nothing.
        blank: Mean probability of the blank.
        entropy: Mean entropy of a frame, nats.
        first: First non-blank frame of each sampled path, -1 where there is none.
    """

    frames_per_token: float | None
    blank: float
    entropy: float
    first: list[int]


def peakiness(log_probs: Float[Tensor, "T V"], *, blank: int, samples: int, generator: torch.Generator) -> Peakiness:
    """Looks at one utterance's posteriors and at paths sampled from them.

    Example:
        >>> sure = torch.tensor([[0.0, -99.0], [-99.0, 0.0], [-99.0, 0.0]])
        >>> found = peakiness(sure, blank=0, samples=2, generator=torch.Generator().manual_seed(0))
        >>> found.frames_per_token, found.first
        (2.0, [1, 1])
    """
    paths = sample_paths(log_probs[None], samples, generator=generator)
    batch = PathBatch(paths, torch.tensor([len(log_probs)]), blank)
    said, spoken = collapse(batch), paths != blank
    tokens = int(said.counts.sum())
    first = torch.where(spoken.any(-1), spoken.to(torch.int8).argmax(-1), -1)[0]
    probabilities = log_probs.exp()
    entropy = -torch.where(probabilities > 0, probabilities * log_probs, 0.0).sum(-1)
    return Peakiness(
        int(spoken.sum()) / tokens if tokens else None,
        float(probabilities[:, blank].mean()),
        float(entropy.mean()),
        first.tolist(),
    )


@dataclass(frozen=True)
class GradientCheck:
    """A loss's gradient beside the exact one.

    Args:
        error: Largest difference of any component.
        scale: Largest component of the exact gradient.
    """

    error: float
    scale: float

    @property
    def is_right(self) -> bool:
        """Whether they agree to five digits."""
        return self.error <= 1e-5 * max(self.scale, 1e-12)


def check_ctc_gradient(
    loss: LossFunction,
    *,
    normalized: bool = True,
    penalty: Callable[[Tensor], Tensor] | None = None,
    seed: int = 0,
) -> GradientCheck:
    """Compares a CTC loss's gradient with the exact one on random input.

    Args:
        loss: The loss, summed over the batch.
        normalized: Whether the input is a log-softmax; otherwise raw scores, as after a bonus or a prior.
        penalty: Applied to the log-softmax before the loss, for losses that are used on changed scores.
        seed: Of the random input.

    Example:
        >>> def pytorch(scores, lengths, targets, counts):
        ...     scores = scores.transpose(0, 1)
        ...     return torch.nn.functional.ctc_loss(scores, targets, lengths, counts, reduction="sum")
        >>> check_ctc_gradient(pytorch).is_right, check_ctc_gradient(pytorch, normalized=False).is_right
        (True, False)
    """
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 8, 5, generator=generator, dtype=torch.float64)
    lengths, counts = torch.tensor([8, 6, 5]), torch.tensor([3, 2, 1])
    targets = torch.tensor([[1, 1, 2], [3, 4, 0], [2, 0, 0]])

    def gradient(function: LossFunction) -> Tensor:
        values = logits.clone().requires_grad_()
        scores = values.log_softmax(-1) if normalized else values
        scores = scores if penalty is None else penalty(scores)
        (found,) = torch.autograd.grad(function(scores, lengths, targets, counts), values)
        return found

    def exact(scores: Tensor, frames: Tensor, labels: Tensor, tokens: Tensor) -> Tensor:
        return -alignment_log_sum(scores, frames, labels, tokens, blank=0).sum()

    right = gradient(exact)
    return GradientCheck(float((gradient(loss) - right).abs().max()), float(right.abs().max()))


def pytorch_ctc(
    scores: Float[Tensor, "B T V"], lengths: Int[Tensor, " B"], targets: Int[Tensor, "B U"], counts: Int[Tensor, " B"]
) -> Float[Tensor, ""]:
    """PyTorch's own loss in the form :func:`check_ctc_gradient` takes."""
    return torch.nn.functional.ctc_loss(scores.transpose(0, 1), targets, lengths, counts, reduction="sum")
